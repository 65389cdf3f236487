#!/usr/bin/env python3
"""Makes data/golden/families: a tiny random checkpoint of each model family, with its logits.

Set up as tools/make_goldens.py says (transformers 5.23, torch on the CPU), then

    tools/make_family_goldens.py            # all
    tools/make_family_goldens.py --only gemma2 falcon-40b

Each folder holds config.json and model.safetensors as transformers 5 writes them and
expected.safetensors: prompt_ids I32 [tokens], logits F32 [tokens, vocabulary] of eager attention in
float32 (falcon-rw: sdpa), greedy_ids I32 [8] and greedy_logits F32 [8, vocabulary] of the eight steps after the prompt.
config.transformers4.json says the same as transformers 4 wrote it, where that differs. Weights come
from numpy's PCG64, a seed for each name, and are stored as halves: the same files on every run.
"""

import argparse
import json
import math
import pathlib
import zlib

import numpy as np

from make_goldens import ROOT, write_json

BASE = {"vocab_size": 96, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6,
        "num_key_value_heads": 2, "intermediate_size": 80, "max_position_embeddings": 128,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
# Keys of families that do not speak of num_hidden_layers and the like.
GPT2 = {"vocab_size": 96, "n_embd": 48, "n_layer": 2, "n_head": 6, "n_positions": 128,
        "bos_token_id": 1, "eos_token_id": 2}
OPT = {key: value for key, value in BASE.items() if key != "num_key_value_heads"} | {"ffn_dim": 80}
FALCON = {"vocab_size": 96, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6,
          "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
        "rope_theta": 10000.0}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0,
            "original_max_position_embeddings": 32,
            "short_factor": [1.0, 1.05, 1.1, 1.3], "long_factor": [1.0, 1.6, 4.0, 9.0]}

# name: (model_type, options[, tokens])
FAMILIES = {
    "llama-yarn": ("llama", BASE | {"rope_parameters": YARN}, 48),
    "llama-linear": ("llama", BASE | {"rope_parameters": {
        "rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
    "llama-dynamic": ("llama", BASE | {"max_position_embeddings": 32, "rope_parameters": {
        "rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}, 24),
    "llama-dynamic-long": ("llama", BASE | {"max_position_embeddings": 32, "rope_parameters": {
        "rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}, 44),
    "mistral-window": ("mistral", BASE | {"sliding_window": 9, "head_dim": 12}, 40),
    "qwen2": ("qwen2", BASE | {"tie_word_embeddings": True}),
    "qwen2-window": ("qwen2", BASE | {"use_sliding_window": True, "sliding_window": 7,
                                      "max_window_layers": 1}, 32),
    "qwen3": ("qwen3", BASE | {"head_dim": 12, "tie_word_embeddings": True}),
    "gemma": ("gemma", BASE | {"num_key_value_heads": 1, "head_dim": 16}),
    "gemma2": ("gemma2", BASE | {"head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 6,
                                 "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
               32),
    "gemma3": ("gemma3_text", BASE | {"head_dim": 16, "query_pre_attn_scalar": 20,
                                      "sliding_window": 6, "num_hidden_layers": 4,
                                      "layer_types": ["sliding_attention", "sliding_attention",
                                                      "full_attention", "sliding_attention"],
                                      "rope_parameters": {
                                          "full_attention": {"rope_type": "linear", "factor": 8.0,
                                                             "rope_theta": 1000000.0},
                                          "sliding_attention": {"rope_type": "default",
                                                                "rope_theta": 10000.0}}}, 32),
    "phi3": ("phi3", BASE | {"sliding_window": 11}, 32),
    "phi3-longrope": ("phi3", BASE | {"rope_parameters": LONGROPE, "sliding_window": None,
                                      "original_max_position_embeddings": 32}, 20),
    "phi3-longrope-long": ("phi3", BASE | {"rope_parameters": LONGROPE, "sliding_window": None,
                                           "original_max_position_embeddings": 32}, 40),
    "phi4-mini": ("phi3", BASE | {"tie_word_embeddings": True, "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}}),
    "opt": ("opt", OPT | {"word_embed_proj_dim": 48}),
    "opt-350m": ("opt", OPT | {"word_embed_proj_dim": 24, "do_layer_norm_before": False}),
    "mpt": ("mpt", {"vocab_size": 96, "d_model": 48, "n_heads": 6, "n_layers": 2,
                    "max_seq_len": 128,
                    "attn_config": {"clip_qkv": 1.5, "alibi": True}}),
    "falcon-7b": ("falcon", FALCON | {"multi_query": True}),
    "falcon-40b": ("falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-11b": ("falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2,
                                       "num_ln_in_parallel_attn": 1,
                                       "tie_word_embeddings": False}),
    "falcon-rw": ("falcon", FALCON | {"num_attention_heads": 4, "multi_query": False,
                                      "parallel_attn": False, "alibi": True, "bias": True}),
    "gpt-neox": ("gpt_neox", BASE | {"num_key_value_heads": 6, "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    "gpt-neox-sequential": ("gpt_neox", BASE | {"num_key_value_heads": 6,
                                                "use_parallel_residual": False,
                                                "rope_parameters": {
                                                    "rope_type": "default", "rope_theta": 10000.0,
                                                    "partial_rotary_factor": 1.0}}),
    "bloom": ("bloom", {"vocab_size": 96, "hidden_size": 48, "n_layer": 2, "n_head": 6,
                        "bos_token_id": 1, "eos_token_id": 2}),
    "gpt2": ("gpt2", GPT2),
    "gpt-bigcode": ("gpt_bigcode", GPT2 | {"multi_query": True, "n_inner": 80}),
    "gpt-bigcode-heads": ("gpt_bigcode", GPT2 | {"multi_query": False}),
    "starcoder2": ("starcoder2", BASE | {"sliding_window": 9}, 32),
    "stablelm": ("stablelm", BASE | {"use_qkv_bias": True, "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}}),
    "stablelm-12b": ("stablelm", BASE | {"use_parallel_residual": True, "qk_layernorm": True,
                                         "rope_parameters": {
                                             "rope_type": "default", "rope_theta": 10000.0,
                                             "partial_rotary_factor": 0.25}}),
    "olmo2": ("olmo2", BASE),
    "granite": ("granite", BASE | {"embedding_multiplier": 6.0, "residual_multiplier": 0.4,
                                   "attention_multiplier": 0.2, "logits_scaling": 3.0,
                                   "tie_word_embeddings": True}),
    "cohere": ("cohere", BASE | {"logit_scale": 0.25}),
    "cohere-plus": ("cohere", BASE | {"logit_scale": 0.25, "use_qk_norm": True}),
    "smollm3": ("smollm3", BASE | {"num_hidden_layers": 4, "no_rope_layers": [1, 0, 1, 1],
                                   "no_rope_layer_interval": 2}),
    "mixtral": ("mixtral", BASE | {"num_local_experts": 4, "num_experts_per_tok": 2,
                                   "intermediate_size": 40}),
    "qwen3-moe": ("qwen3_moe", BASE | {"head_dim": 12, "num_experts": 6, "num_local_experts": 6,
                                       "num_experts_per_tok": 2, "moe_intermediate_size": 24,
                                       "norm_topk_prob": True}),
    "glm": ("glm", BASE | {"head_dim": 16}),
}

# transformers' eager attention adds Falcon's ALiBi twice (to the mask and to the scores); sdpa once.
SDPA = ("falcon-rw",)

# What transformers 4 called the parts of rope_parameters, by model_type.
OLD_THETA = {"gpt_neox": "rotary_emb_base"}
OLD_PARTIAL = {"gpt_neox": "rotary_pct"}


def is_norm(name):
    return any(part in name for part in ("norm", "ln_", ".ln", "norms."))


def randomize(model, name):
    """Norms and biases are not trivial, matrices keep the size of their input."""
    import torch

    for key, parameter in sorted(model.named_parameters()):
        rng = np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()),
                                                   zlib.crc32(key.encode())]))
        values = rng.standard_normal(tuple(parameter.shape))
        centred = model.config.model_type.startswith("gemma")
        if parameter.dim() == 1 or (is_norm(key) and "embed" not in key):
            weight = key.endswith("weight")
            values = 0.3 * values + (1.0 if weight and not centred else 0.0)
            if not is_norm(key):
                values = values * 1.5
        elif "embed" in key or "wte" in key or "wpe" in key:
            scale = 0.5
            if model.config.model_type.startswith("gemma"):
                scale = 0.5 / math.sqrt(parameter.shape[-1])
            values = scale * values
        else:
            conv = type(model).__name__.startswith("GPT2") and "lm_head" not in key
            inputs = parameter.shape[0] if conv else parameter.shape[-1]
            gain = 1.4 if any(p in key for p in ("q_proj", "k_proj", "query_key", "qkv", "c_attn")) \
                else 1.0
            values = gain / math.sqrt(inputs) * values
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def old_config(config):
    """The same config as transformers 4 wrote it, or None where nothing differs."""
    old = {key: value for key, value in config.items()
           if key not in ("rope_parameters", "layer_types", "dtype")}
    old["torch_dtype"] = config["dtype"]
    old["transformers_version"] = "4.44.2"
    kind = config["model_type"]
    rope = config.get("rope_parameters")
    if rope is None:
        return old
    if "full_attention" in rope:
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    rope = dict(rope)
    old[OLD_THETA.get(kind, "rope_theta")] = rope.pop("rope_theta")
    partial = rope.pop("partial_rotary_factor", None)
    if partial is not None:
        old[OLD_PARTIAL.get(kind, "partial_rotary_factor")] = partial
    if rope["rope_type"] == "default":
        old["rope_scaling"] = None
    else:
        rope["type"] = rope.pop("rope_type")
        old["rope_scaling"] = rope
    if kind == "gemma3_text":  # the layers of the golden model follow no period
        old["layer_types"] = config["layer_types"]
    if kind == "qwen3_moe":
        old["num_experts"] = old.pop("num_local_experts")
    return dict(sorted(old.items()))


def make(name, out):
    import torch
    import transformers
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    transformers.utils.logging.disable_progress_bar()
    model_type, options, *rest = FAMILIES[name]
    tokens = rest[0] if rest else 20
    config = AutoConfig.for_model(model_type, **options)
    torch.manual_seed(1)
    attention = "sdpa" if name in SDPA else "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).float().eval()
    randomize(model, name)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)  # small files; the logits are of the halves
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    written = json.loads((folder / "config.json").read_text())
    old = old_config(written)
    if old:
        write_json(folder / "config.transformers4.json", old)
    rng = np.random.Generator(np.random.PCG64([7, zlib.crc32(name.encode())]))
    prompt = rng.integers(3, config.vocab_size, tokens).astype(np.int32)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                 attn_implementation=attention).eval()
    with torch.inference_mode():
        ids = torch.from_numpy(prompt).long()[None]
        logits = model(ids, use_cache=False).logits[0].float()
        greedy_ids, greedy_logits = [], []
        row = logits[-1]
        for _ in range(8):
            greedy_logits.append(row)
            greedy_ids.append(int(row.argmax()))
            ids = torch.cat([ids, torch.tensor([[greedy_ids[-1]]])], dim=1)
            row = model(ids, use_cache=False).logits[0, -1].float()
    assert bool(torch.isfinite(logits).all())
    save_file({"prompt_ids": torch.from_numpy(prompt), "logits": logits.contiguous(),
               "greedy_ids": torch.tensor(greedy_ids, dtype=torch.int32),
               "greedy_logits": torch.stack(greedy_logits).contiguous()},
              folder / "expected.safetensors",
              metadata={"source": f"transformers {transformers.__version__}, torch "
                                  f"{torch.__version__}, {attention} attention, float32"})
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, logits {float(logits.min()):.2f} to {float(logits.max()):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data" / "golden" / "families")
    parser.add_argument("--only", nargs="*", choices=list(FAMILIES))
    arguments = parser.parse_args()
    for name in arguments.only or FAMILIES:
        make(name, arguments.out)


if __name__ == "__main__":
    main()
