#!/usr/bin/env python3
"""Makes src/checkpoint/block_goldens.inc with the Python package gguf (pip install gguf numpy).

Random blocks of every GGUF type that the program decodes, and the checksum and first values of what
gguf.quants.dequantize makes of them. The bytes come from a generator that the test repeats
(xorshift64), so that only the results need to be kept. Run this only to make the file again.
"""

import pathlib
import zlib

import gguf
import numpy as np
from gguf.quants import dequantize

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K",
         "Q5_K", "Q6_K"]
BLOCKS = 64
# Byte offsets of the half-precision fields of a block.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82],
          "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def random_bytes(seed, count):
    """The high bytes of xorshift64."""
    mask = (1 << 64) - 1
    state, out = seed * 0x9E3779B97F4A7C15 & mask, bytearray()
    for _ in range(count):
        state ^= (state << 13) & mask
        state ^= state >> 7
        state ^= (state << 17) & mask
        out.append(state >> 56)
    return out


def blocks_of(name, seed):
    """BLOCKS random blocks; fields that are floats are kept finite by clearing an exponent bit."""
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    raw = random_bytes(seed, BLOCKS * size)
    for block in range(BLOCKS):
        base = block * size
        if name in ("F32", "F16", "BF16"):
            raw[base + size - 1] &= 0xBF
        for offset in HALVES.get(name, []):
            raw[base + offset + 1] &= 0xBF
    return np.frombuffer(bytes(raw), np.uint8), elements


def main():
    lines = ["// Made by tools/make_block_goldens.py. Type, CRC-32 of the decoded floats' bytes, "
             "first floats'", "// bits."]
    for seed, name in enumerate(TYPES, 1):
        raw, elements = blocks_of(name, seed)
        values = dequantize(raw, gguf.GGMLQuantizationType[name]).astype(np.float32).reshape(-1)
        assert values.size == BLOCKS * elements and np.isfinite(values).all()
        # A zero has no sign here: -0 * 0 and 0 - 0 differ by how a formula is written.
        bits = (values + np.float32(0)).view(np.uint32)
        first = ", ".join(f"0x{bit:08x}" for bit in bits[:4])
        lines.append(f"{{DType::{name.lower()}, 0x{zlib.crc32(bits.tobytes()):08x}, {{{first}}}}},")
    path = ROOT / "src" / "checkpoint" / "block_goldens.inc"
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
