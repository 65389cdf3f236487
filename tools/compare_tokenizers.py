#!/usr/bin/env python3
"""Compares the tokenizer with the Hugging Face tokenizers library: ids and speed on real text.

    pip install tokenizers==0.21.4
    cmake -S . -B build -DAWQ_BENCH=ON && cmake --build build --target tokenizer_bench
    tools/compare_tokenizers.py build/bin/tokenizer_bench --data $AWQ_DATA [--only NAME ...]

--data DIR holds tokenizers/ and the texts (wikitext2/, enron/, pubmed/, calibration/). The texts are
cut into documents and joined by made-up ones: CJK, emoji, control bytes, added tokens. Every
vocabulary reads all of them, one thread on both sides, in one run; the library's time is that of its
fastest call, encode_batch_fast, which computes no offsets. Exits with 1 when any id differs, when an
added token stands for other bytes, or when a byte-level vocabulary does not give back a text.
"""

import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers  # noqa: E402  (reads the environment)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def byte_level(regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}


def split(regex):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def added(content, index, **options):
    return {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True} | options


def document(vocab, merges, pre_tokenizer, normalizer=None, tokens=(), **options):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False, "vocab": vocab, "merges": merges} | options
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None,
            "decoder": byte_level(True), "model": model}


def read_pair(folder, vocabulary, merges):
    lines = (folder / merges).read_text("utf-8").split("\n")
    return (json.loads((folder / vocabulary).read_text("utf-8")),
            [line for line in lines if line and not line.startswith("#version")])


MARKS = ["<|im_start|>", "<|im_end|>", "<|strip_left|>", "<|strip_right|>", "<|both|>", "word",
         "Émile", "İzmir", "<|plain|>"]


def marks(vocab):
    """Added tokens with every flag, in the order of MARKS, with the ids that the library gives."""
    flags = [{}, {}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True},
             {"single_word": True, "special": False}, {"normalized": True, "special": False},
             {"normalized": True, "special": False}, {"special": False}]
    tokens, fresh = [], len(vocab)
    for mark, flag in zip(MARKS, flags):
        tokens.append(added(mark, vocab.get(mark, fresh), **flag))
        fresh += mark not in vocab
    return tokens


def vocabularies(folder, bench):
    """(name, decoding gives every text back, tokenizer.json), one after another."""
    vocab, merges = read_pair(folder / "gpt2", "vocab.json", "merges.txt")
    end = [added("<|endoftext|>", vocab["<|endoftext|>"])]
    yield "gpt2", True, document(vocab, merges, byte_level(True), None, end)
    yield "opt", True, document(*read_pair(folder / "opt", "opt_vocab.json", "opt_merges.txt"),
                                byte_level(True))
    neox = json.loads((folder / "gpt-neox/20B_tokenizer.json").read_text("utf-8"))
    yield "gpt-neox", False, neox  # NFC
    vocab, merges = read_pair(folder / "llama3.2", "encoder.json", "vocab.bpe")
    nfc = {"type": "NFC"}
    for name, step, normalizer, ignore in (
            ("llama3", sequence(split(LLAMA3), byte_level(False)), None, True),
            ("llama3, added tokens", sequence(split(LLAMA3), byte_level(False)), None, True),
            ("qwen2", sequence(split(QWEN2), byte_level(False)), nfc, False),
            ("tekken", sequence(split(TEKKEN), byte_level(False)), None, True),
            ("gpt-4o", sequence(split(GPT4O), byte_level(False)), None, False),
            ("bloom", sequence(split(BLOOM), byte_level(False)), None, False),
            ("digits", sequence({"type": "Digits", "individual_digits": True}, byte_level(True)),
             None, False),
            ("no split", byte_level(False), None, False)):
        tokens = marks(vocab) if normalizer or "added" in name else []
        yield name, not (normalizer or tokens), document(vocab, merges, step, normalizer, tokens,
                                                         ignore_merges=ignore)
    for name in ("falcon", "mpt", "llama-spm"):
        gguf = folder / f"vectors/ggml-vocab-{name}.gguf"
        text = subprocess.run([bench, "--export", gguf], check=True, capture_output=True).stdout
        yield f"{name} (GGUF)", False, json.loads(text)  # falcon has no tokens for some bytes


def chunks(text, rng):
    """`text` cut at line ends into documents of some hundred bytes to 16 KiB."""
    lines, out, size, wanted = text.splitlines(keepends=True), [], 0, 0
    part = []
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= wanted:
            out.append("".join(part))
            part, size, wanted = [], 0, int(2 ** rng.uniform(8, 14))
    return out + ["".join(part)]


def made_up(rng, count):
    pools = {
        "cjk": [chr(c) for c in range(0x4E00, 0x9FA6, 7)] + list("，。！？「」の はをカタ한국어 "),
        "emoji": [chr(c) for c in range(0x1F300, 0x1F650)] + ["\u200d", "\ufe0f", "🏽", "🇫🇷", " ", "a"],
        "control": [chr(c) for c in range(0x20)] + [chr(c) for c in range(0x7F, 0xA1)] + list("ab 1"),
        "mixed": list("aabcdeE tsT019'’_-.,!\n\t\r  ") + list("éñßΩжאعकの한\u0301\u00a0▁Ġ²½ﬁİſK٣"),
        "marks": MARKS + [" ", "  ", "\n", "\u3000", "a", "words", "é", "E\u0301mile", "e\u0301", "<|", "1"],
        "spaces": [" ", "  ", "\n", "\r\n", "\t", "\u2028", "\u00a0", "x", "    ", "\n\n", "1", "."],
    }
    for pool in pools.values():
        for _ in range(count):
            yield "".join(rng.choice(pool) for _ in range(int(2 ** rng.uniform(0, 11))))


def corpus(data):
    rng = random.Random(20240717)
    texts = chunks((data / "wikitext2/wiki.test.raw").read_text("utf-8"), rng)
    for name in ("enron/emails.jsonl", "pubmed/abstracts.jsonl"):
        lines = (data / name).read_text("utf-8").splitlines()
        texts += [json.loads(line)["text"] for line in lines]
    for path in sorted((data / "calibration").glob("*.utf8")):
        texts += chunks(path.read_bytes().decode("utf-8", "replace"), rng)
    return texts + list(made_up(rng, 500))


def read_ids(path, count):
    data, at, out = path.read_bytes(), 0, []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, at)
        out.append(list(struct.unpack_from(f"<{size}i", data, at + 4)))
        at += 4 + 4 * size
    return out


def first_difference(name, text, ours, theirs):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b),
              min(len(ours), len(theirs)))
    print(f"{name}: ids differ at {at}: {ours[at:at + 8]}, expected {theirs[at:at + 8]}\n"
          f"  of {text[:200]!r}", file=sys.stderr)


def skip_space(text, at):
    while at < len(text) and text[at].isspace() and text[at] not in "\x1c\x1d\x1e\x1f":
        at += 1
    return at


def added_spans(spec, names, text, ids):
    """Where the added tokens among `ids` lie in `text`, [begin, end) in bytes.

    Every other token of a byte-level vocabulary without a normalizer stands for as many bytes as it
    has characters, so the ids alone say it; None when they do not add up to the text.
    """
    flags = {t["id"]: t for t in spec["added_tokens"]}
    raw, at, spans = text.encode("utf-8"), 0, []
    for token in ids:
        if token not in flags:
            at += len(names[token])
            continue
        begin, flag = at, flags[token]
        rest = raw[at:].decode("utf-8")
        start = skip_space(rest, 0) if flag["lstrip"] else 0
        end = start + len(flag["content"])
        if rest[start:end] != flag["content"]:
            return None
        end = skip_space(rest, end) if flag["rstrip"] else end
        at += len(rest[:end].encode("utf-8"))
        spans.append((begin, at))
    return spans if at == len(raw) else None


def expected_spans(spec, text, encoding):
    added = {t["id"] for t in spec["added_tokens"]}
    return [tuple(len(text[:at].encode("utf-8")) for at in span)
            for token, span in zip(encoding.ids, encoding.offsets) if token in added]


def spans_differ(name, spec, texts, ours, encodings):
    """How many texts have added tokens elsewhere; of MARKS those alone that a text can spell."""
    names = {i: t for t, i in spec["model"]["vocab"].items()}
    marks = [t["content"] for t in spec["added_tokens"]]
    bad = 0
    for text, ids, encoding in zip(texts, ours, encodings):
        if not any(mark in text for mark in marks):
            continue
        found, expected = added_spans(spec, names, text, ids), expected_spans(spec, text, encoding)
        if found != expected:
            bad += 1
            if bad <= 3:
                print(f"{name}: added tokens at {found}, expected {expected}\n  of {text[:200]!r}",
                      file=sys.stderr)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("--data", default=os.environ.get("AWQ_DATA"), required="AWQ_DATA" not in os.environ)
    parser.add_argument("--only", nargs="*", help="names of vocabularies")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    data = pathlib.Path(args.data)
    texts = corpus(data)
    raw = [text.encode("utf-8") for text in texts]
    size = sum(map(len, raw))
    print(f"{len(texts)} texts, {size / 1e6:.1f} MB, tokenizers {tokenizers.__version__}\n")
    print("| vocabulary | ids | texts that differ | texts decoded to themselves "
          "| awq MB/s | tokenizers MB/s | ratio |\n|---|---|---|---|---|---|---|")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "texts").write_bytes(b"".join(struct.pack("<I", len(r)) + r for r in raw))
        for name, lossless, spec in vocabularies(data / "tokenizers", args.bench):
            if args.only and name not in args.only:
                continue
            (folder / "tokenizer.json").write_text(json.dumps(spec), "utf-8")
            run = subprocess.run([args.bench, folder / "tokenizer.json", folder / "texts",
                                  folder / "ids", str(args.repeats)],
                                 check=True, capture_output=True)
            report = json.loads(run.stdout)
            ours = read_ids(folder / "ids", len(texts))
            reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            fastest = None
            for _ in range(args.repeats):
                start = time.perf_counter()
                reference.encode_batch_fast(texts, add_special_tokens=False)
                fastest = min(fastest or 1e9, time.perf_counter() - start)
            encodings = reference.encode_batch(texts, add_special_tokens=False)
            theirs = [encoding.ids for encoding in encodings]
            bad = [i for i in range(len(texts)) if ours[i] != theirs[i]]
            if spec["added_tokens"] and spec["normalizer"] is None and name.startswith("llama3"):
                failed = spans_differ(name, spec, texts, ours, encodings) or failed
            for i in bad[:3]:
                first_difference(name, texts[i], ours[i], theirs[i])
            failed = failed or bad or (lossless and report["decoded_equal"] != len(texts))
            print(f"| {name} | {report['ids']} | {len(bad)} | {report['decoded_equal']} "
                  f"| {size / 1e6 / report['encode_s']:.1f} | {size / 1e6 / fastest:.1f} "
                  f"| {fastest / report['encode_s']:.2f} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
