#!/usr/bin/env python3
"""Writes data/golden/gptq.json: GPTQ's codes, scales and zeros for frozen weights and Hessians.

An independent rendering of the algorithm, column by column in float64, after the reference
(Frantar et al. 2022, and section 5 of its code as published): no blocks, no reversed
factorization, the whole inverse of H. Needs numpy.

    python3 -m venv venv && venv/bin/pip install numpy
    venv/bin/python tools/make_gptq_goldens.py
"""
import argparse
import json
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
DAMPING = 0.01


def find_params(values, bits, symmetric):
    """Scale (rounded to half precision) and zero of float32 values, as src/quant/round.h says."""
    values = values.astype(np.float32)
    if symmetric:
        half = 2 ** (bits - 1)
        scale = np.float32(max(np.abs(values).max(), np.float32(1e-5))) / np.float32(half - 1)
        return np.float32(np.float16(scale)), half
    top = np.float32(2 ** bits - 1)
    low, high = values.min(), values.max()
    scale = np.float32(np.float16(np.maximum(high - low, np.float32(1e-5)) / top))
    return scale, int(np.clip(-np.rint(low / scale), 0, top))


def clipped_params(values, keep, bits, symmetric):
    values = values.astype(np.float32)
    limit = np.abs(values).max() * np.float32(keep)
    return find_params(np.clip(values, -limit, limit), bits, symmetric)


def gptq(weight, hessian, bits, group, symmetric, act_order, keep):
    rows, columns = weight.shape
    size = group or columns
    h = hessian.astype(np.float64).copy()
    dead = np.diag(h) == 0
    mean = np.diag(h).mean()
    h[dead, dead] = mean
    h[np.diag_indices(columns)] += DAMPING * mean
    order = np.arange(columns)
    if act_order:
        order = np.argsort(-np.diag(hessian).astype(np.float64), kind="stable")
    # U^T U = inverse of H, U upper triangular.
    u = np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)])).T
    codes = np.zeros((rows, columns), int)
    groups = -(-columns // size)
    scales, zeros = np.zeros((rows, groups), np.float32), np.zeros((rows, groups), int)
    for r in range(rows):
        w = weight[r].astype(np.float64)[order]
        if act_order:
            for g in range(groups):
                scales[r, g], zeros[r, g] = clipped_params(
                    weight[r, g * size:(g + 1) * size], keep[r, g], bits, symmetric)
        for i in range(columns):
            column = order[i]
            g = column // size
            if not act_order and i % size == 0:
                scales[r, g], zeros[r, g] = clipped_params(w[i:i + size], keep[r, g], bits,
                                                           symmetric)
            scale = np.float64(scales[r, g])
            code = np.clip(np.rint(w[i] / scale) + zeros[r, g], 0, 2 ** bits - 1)
            error = (w[i] - (code - zeros[r, g]) * scale) / u[i, i]
            w[i:] -= error * u[i, i:]
            codes[r, column] = int(code)
    return codes, scales.astype(np.float16), zeros


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data/golden/gptq.json")
    arguments = parser.parse_args()
    rng = np.random.Generator(np.random.PCG64(7))
    rows, columns, tokens = 6, 192, 300
    weight = (0.1 * rng.standard_normal((rows, columns))).astype(np.float16)
    weight[1] *= np.float16(30)
    weight[2, 64:128] = 0.25
    weight[3, ::17] *= np.float16(8)
    # Small integers with structure: their Gram matrix is exact in float32.
    mix = rng.integers(-2, 3, (24, columns))
    x = rng.integers(-3, 4, (tokens, 24)) @ mix + rng.integers(-6, 7, (tokens, columns))
    x[:, ::41] *= 4
    x[:, [5, 150]] = 0
    hessian = (x.T @ x).astype(np.float32)
    assert np.array_equal(hessian.astype(np.int64), x.T @ x)
    cases = []
    for bits, group, symmetric, act_order, clip in [
            (2, 64, False, False, False), (2, 64, False, True, True), (3, 64, False, False, True),
            (3, 32, True, False, False), (3, 0, False, True, False), (4, 128, False, False, False),
            (4, 64, True, True, False), (4, 16, False, False, False), (4, 0, True, False, True),
            (8, 64, False, False, False)]:
        groups = -(-columns // (group or columns))
        keep = np.ones((rows, groups))
        if clip:
            keep = 1 - rng.integers(0, 8, (rows, groups)) / 16
        codes, scales, zeros = gptq(weight, hessian, bits, group, symmetric, act_order, keep)
        cases.append({"bits": bits, "group": group, "symmetric": symmetric, "act_order": act_order,
                      "keep_sixteenths": (keep * 16).astype(int).tolist(),
                      "scales": scales.view(np.uint16).tolist(), "zeros": zeros.tolist(),
                      "codes": ["".join(f"{c:02x}" for c in row) for row in codes]})
    head = {
        "what": "GPTQ with damping 0.01 of frozen weights and a frozen Hessian x^T x, made by "
                "tools/make_gptq_goldens.py. weights and scales are fp16 bit patterns; codes are "
                "two hexadecimal digits each, [rows][columns]; keep is in sixteenths",
        "weights": weight.view(np.uint16).tolist(),
        "hessian_rows": [" ".join(str(int(v)) for v in row[i:]) for i, row in enumerate(hessian)],
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
             for key, value in head.items()]
    lines.append(' "cases": [\n  ' + ",\n  ".join(json.dumps(c, separators=(",", ":"))
                                                   for c in cases) + "\n ]")
    arguments.out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{arguments.out}: {len(cases)} cases")


if __name__ == "__main__":
    main()
