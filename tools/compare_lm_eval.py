#!/usr/bin/env python3
"""Holds `awq eval` against lm-evaluation-harness on the same items: the choice of each item.

    python3 -m venv venv && venv/bin/pip install lm-eval==0.4.13 torch transformers gguf sentencepiece
    awq eval MODEL --tasks NAMES --limit 200 --json > ours.json
    AWQ_DATA=... venv/bin/python tools/compare_lm_eval.py MODEL ours.json [DEVICE [BATCH]]

MODEL: a directory that transformers reads or SmolLM2's .gguf file (its tokenizer as in make_goldens.py), in
float32 on DEVICE (cpu, or cuda), BATCH requests at a time (1). The items are those of
AWQ_DATA/tasks, the requests those that lm-eval's task files make of them (context, a space, continuation;
acc by the largest sum), scored by lm-eval's own HFLM.loglikelihood. Differences between choices whose
log-likelihoods are equal but for TIE are counted apart."""
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from make_goldens import SmolLM2
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

FILES = {"hellaswag": "hellaswag_val_full.txt", "lambada": "lambada_openai.jsonl"}
TIE = 1e-3


def items(task, count):
    """(contexts, continuations, gold) of the first items: one of both lists has one entry."""
    path = Path(os.environ["AWQ_DATA"]) / "tasks" / FILES.get(task, f"{task}.jsonl")
    lines = path.read_text(encoding="utf-8").split("\n")
    if task == "hellaswag":
        for i in range(0, 6 * count, 6):
            yield [lines[i]], lines[i + 2:i + 6], int(lines[i + 1])
        return
    for line in lines[:count]:
        item = json.loads(line)
        if "context_options" in item:
            yield item["context_options"], [item["continuation"]], item["gold"]
        elif "query" in item:
            yield [item["query"].rstrip() + "\nAnswer:"], item["choices"], item["gold"]
        else:
            yield [item["context"]], [item["continuation"]], None


def main():
    device, batch = (sys.argv[3:] + ["cpu", "1"][len(sys.argv) - 3:])[:2]
    path, ours = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    if path.suffix == ".gguf":
        smollm2 = SmolLM2(SimpleNamespace(gguf=path))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=smollm2.tokenizer(), eos_token="<|im_end|>")
        model = smollm2.load(dtype=torch.float32)
    else:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=int(batch), device=device)
    print("| task | items | same choice | ties | acc % (lm-eval) | acc % (awq) |\n|---|---:|---:|---:|---:|---:|")
    failed = False
    for row in ours:
        chosen, right, same, ties = row["chosen"], 0, 0, 0
        questions = list(items(row["task"], len(chosen)))
        requests, ends = [], []
        for contexts, continuations, _ in questions:
            for i in range(max(len(contexts), len(continuations))):
                pair = (contexts[i if len(contexts) > 1 else 0], " " + continuations[i if len(continuations) > 1 else 0])
                requests.append(Instance("loglikelihood", {}, pair, len(requests)))
            ends.append(len(requests))
        answers = lm.loglikelihood(requests, disable_tqdm=True)
        begin = 0
        for (_, _, gold), end, our in zip(questions, ends, chosen):
            logs = [answer[0] for answer in answers[begin:end]]
            theirs = logs.index(max(logs)) if gold is not None else int(answers[begin][1])
            begin = end
            right += theirs == (gold if gold is not None else 1)
            same += theirs == our
            if theirs != our and gold is not None and abs(logs[theirs] - logs[our]) < TIE:
                ties += 1
        failed |= same + ties < len(chosen)
        print(f"| {row['task']} | {len(chosen)} | {same} | {ties} | {100 * right / len(chosen):.1f} | {100 * row['acc']:.1f} |",
              flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
