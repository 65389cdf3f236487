#!/usr/bin/env python3
"""Hugging Face transformers in half precision by the protocols of `awq bench`, for figure 5 of the AWQ paper.

    python3 bench/hf_baseline.py [--shape llama-2-7b] [--dtype float16] [--compile] [--json]

Random weights in the shape of a known model, on the first GPU: a prompt of 4 tokens, then 200 greedy tokens with the
library's own cache, the median of the time per token; prefill of 512 and 2048 tokens. --compile measures the step
compiled by torch with a static cache as well. Needs torch and transformers; nothing else of this project does.
"""
import argparse
import json
import statistics
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig, StaticCache

SHAPES = {  # hidden, ffn, layers, heads, kv heads, vocabulary
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000),
    "llama-2-7b": (4096, 11008, 32, 32, 32, 32000),
    "llama-2-13b": (5120, 13824, 40, 40, 40, 32000),
    "llama-3-8b": (4096, 14336, 32, 32, 8, 128256),
}


def make_model(shape, dtype):
    hidden, ffn, layers, heads, kv_heads, vocab = SHAPES[shape]
    config = LlamaConfig(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
                         num_key_value_heads=kv_heads, vocab_size=vocab, max_position_embeddings=4096)
    torch.set_default_dtype(dtype)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    torch.set_default_dtype(torch.float32)
    return model.eval()


def timed(work):
    torch.cuda.synchronize()
    begin = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) * 1e3, result


def decode(model, step, cache, tokens):
    """Milliseconds of each of `tokens` greedy steps after a prompt of four."""
    ids = torch.arange(1, 5, device="cuda").unsqueeze(0)
    logits = model(ids, past_key_values=cache, use_cache=True).logits
    token = logits[:, -1:].argmax(-1)
    times = []
    for _ in range(tokens):
        ms, logits = timed(lambda: step(token, cache))
        token = logits[:, -1:].argmax(-1).clone()
        times.append(ms)
    return times


def prefill(model, length, repetitions):
    ids = torch.randint(0, model.config.vocab_size, (1, length), device="cuda")
    runs = [timed(lambda: model(ids, use_cache=True, logits_to_keep=1))[0] for _ in range(repetitions + 1)]
    return statistics.median(runs[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="llama-2-7b")
    parser.add_argument("--dtype", choices=["float16", "bfloat16"], default="float16")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = make_model(options.shape, getattr(torch, options.dtype))

    def step(token, cache):
        return model(token, past_key_values=cache, use_cache=True).logits

    with torch.inference_mode():
        decode(model, step, DynamicCache(), 20)  # warm
        result = {
            "shape": options.shape, "dtype": options.dtype, "device": torch.cuda.get_device_name(0),
            "torch": torch.__version__, "transformers": transformers.__version__, "weights": "random",
            "ms_per_token": statistics.median(decode(model, step, DynamicCache(), options.tokens)),
            "prefill_512_ms": prefill(model, 512, 5), "prefill_2048_ms": prefill(model, 2048, 5),
        }
        if options.compile:
            compiled = torch.compile(step, mode="reduce-overhead", fullgraph=True)
            cache = StaticCache(config=model.config, max_cache_len=256)
            decode(model, compiled, cache, 20)
            cache.reset()
            result["compiled_ms_per_token"] = statistics.median(decode(model, compiled, cache, options.tokens))
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:22} {value:.3f}" if isinstance(value, float) else f"{key:22} {value}")


if __name__ == "__main__":
    main()
