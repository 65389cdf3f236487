#!/usr/bin/env python3
"""Makes data/golden/tokenizer/*.json with the Hugging Face tokenizers library.

The program and its tests need no Python: they read the committed results. Run this only to make the
files again, in a virtual environment with `pip install tokenizers==0.21.4 gguf==0.19
sentencepiece==0.2.0` (tokenizers 0.23 takes special tokens that are "normalized" for ordinary ones
when it decodes):

    tools/make_tokenizer_goldens.py components              # needs nothing else
    tools/make_tokenizer_goldens.py sentencepiece           # the same
    tools/make_tokenizer_goldens.py smollm2 --gguf FILE     # FILE: see tools/fetch_smollm2.sh
    tools/make_tokenizer_goldens.py tinystories

--data DIR (default $AWQ_DATA) is the folder that holds wikitext2/ and models/. Of the corpora there
only the number and a hash of the ids are kept; all texts in the files are written for them.
"""

import argparse
import base64
import json
import os
import pathlib
import random
import tempfile

import tokenizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "golden" / "tokenizer"

TEXTS = [
    "", " ", "  ", "   \t ", "\n", "\n\n\n", "\r\n \r\n", "a", " a", "a ", "  a  ",
    "Hello, world!", "Hello,  world!  It's 7 o'clock; they'll say we've been here.",
    "I'D SAY IT'S NOT WE'RE", "don’t", "snake_case camelCase SCREAMING_CASE kebab-case",
    "3.14159 1,000,000 0x1F 1e-9 2026-01-31 12345678901234567890 ²³½ Ⅻ",
    "٠١٢٣٤ ०१२३ １２３",
    "def f(x):\n    return {k: v**2 for k, v in x.items()}  # done\n\n\tif (a->b != c) { ++i; }\n",
    "<html>\n  <body class=\"x\">&nbsp;</body>\n</html>",
    "naïve façade, Ångström, Straße, ﬁne", "cafe\u0301 vs caf\u00e9 \u1e9b\u0323",
    "Ελληνικά και русский текст, українська, עברית עם ניקוד שָׁלוֹם, العربية مع تَشكيل",
    "हिन्दी में क्षत्रिय, தமிழ் மொழி, ภาษาไทยไม่มีช่องว่าง",
    "你好，世界。今天的天气很好！", "日本語のテキスト、カタカナとひらがな。", "한국어 텍스트 한국어",
    "𠮷野家 𝒳𝓎𝓏 𝟘𝟙𝟚", "🙂 👍🏽 👨‍👩‍👧‍👦 🇫🇷🇩🇪 ❤️ 🏴‍☠️", "a🙂b🙂", "🙂" * 9,
    "\u0000\u0001\u0007\u001b[0m\u007f", "\u0080\u0085\u00a0\u00ad\u200b\u200d\u2028\u2029\u3000\ufeff",
    "\u1680\u180e\u2003 x \u202f\u205f", "\ufffd\uffff\U0010ffff", "İıſK Å ǅ ẞ",
    "<|im_start|>user\nHi<|im_end|>\n", "<|im_end|>", "x<|im_end|>y", "<|im_end", "<<|im_end|>>",
    "<s>[INST] hi [/INST]</s>", "<unk><unk> <pad>", "<0x0A><0xZZ>", "▁under▁score ▁",
    "ĠtokensĊand Ġ", "!!!???...---===>>>", "a.b,c;d:e!f?g(h)i[j]k{l}m", "$x^2 + `y`|~z<w>v=u+t$",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ababababababababababababababababababababababababababababababababababababababab",
    " " * 40 + "x", "x" + " " * 41, "\n" * 23, "\t" * 7 + "x", "-" * 70, "長" * 80,
    "The quick brown fox jumps over the lazy dog. " * 3,
    "pneumonoultramicroscopicsilicovolcanoconiosis honorificabilitudinitatibus",
]
# Bytes that are not UTF-8: the reference takes only text, so it sees what Rust's (and Python's)
# lossy decoding makes of them, one U+FFFD for each longest prefix of a character.
INVALID = [
    b"\xff", b"\xfe\xff", b"a\x80b", b"\xc3", b"\xe4\xbd", b"\xf0\x9f\x99", b"\xf0\x9f\x99x",
    b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
    "é".encode()[:1] + "é".encode(), b"ok \xe2\x82 \xe2\x82\xac \xe2", b"\x00\xc3\x28\x00",
]


def random_texts(count, seed):
    """Short strings over characters that tokenizers treat in different ways."""
    rng = random.Random(seed)
    pool = list("aabcdeeegst  TAB019'_-.,!\n\t") + list("éñßΩжאعक你の한🙂\u0301\u00a0\u200d▁Ġ²½ﬁİ")
    pool += ["'s", "'LL", "the", " in", "<s>", "<|im_end|>", "  ", "\r\n"]
    return ["".join(rng.choice(pool) for _ in range(rng.randint(1, 24))) for _ in range(count)]


def id_hash(ids):
    """FNV-1a (64 bits) over the ids as little-endian 32-bit integers."""
    value = 0xCBF29CE484222325
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def run_cases(tokenizer, plain, texts, invalid=()):
    """`plain` is the same tokenizer without special tokens."""
    cases = []
    for text in list(texts) + [raw.decode("utf-8", "replace") for raw in invalid]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        case = {"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)}
        plain_ids = plain.encode(text, add_special_tokens=False).ids
        if plain_ids != ids:
            case["plain_ids"] = plain_ids
        cases.append(case)
    for case, raw in zip(cases[len(cases) - len(invalid):], invalid):
        case["hex"] = raw.hex()
        del case["text"]
    return cases


def without_special(document):
    document = json.loads(json.dumps(document))
    document["added_tokens"] = [t for t in document["added_tokens"] if not t["special"]]
    return tokenizers.Tokenizer.from_str(json.dumps(document))


def write(name, header, cases):
    rows = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in header.items()]
    lines = ",\n  ".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases)
    text = "{\n" + ",\n".join(rows + [f' "cases": [\n  {lines}\n ]']) + "\n}\n"
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(cases)} cases, {len(text.encode())} bytes")


def golden(name, document, args):
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
    corpus = (pathlib.Path(args.data) / "wikitext2/wiki.test.raw").read_bytes().decode("utf-8")
    ids = tokenizer.encode(corpus, add_special_tokens=False).ids
    header = {"made_with": f"tokenizers {tokenizers.__version__}",
              "wikitext2": {"count": len(ids), "fnv1a": id_hash(ids)}, "runs": []}
    for unit in ("A", " ", "\n", "你", "🙂", "ab", "1"):
        times = (1 << 20) // len(unit.encode())
        ids = tokenizer.encode(unit * times, add_special_tokens=False).ids
        header["runs"].append({"unit": unit, "times": times, "count": len(ids),
                               "fnv1a": id_hash(ids)})
    write(name, header, run_cases(tokenizer, without_special(document),
                                  TEXTS + random_texts(200, 7), INVALID))


def smollm2_document(path):
    """The GGUF vocabulary as tokenizer.json, with the pre-tokenizer of SmolLM2's own file."""
    import gguf

    reader = gguf.GGUFReader(path)
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    merges = reader.get_field("tokenizer.ggml.merges").contents()
    types = reader.get_field("tokenizer.ggml.token_type").contents()
    assert reader.get_field("tokenizer.ggml.pre").contents() == "smollm"
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": types[i] == 3}
             for i, t in enumerate(tokens) if types[i] in (3, 4)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges},
    }


# --- components: a small model under every normalizer, pre-tokenizer and decoder ---------------------

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def small_model(byte_level):
    """A BPE model trained on TEXTS: of byte characters, or of characters with byte tokens."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    special = []
    if byte_level:
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    else:
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
        special = ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
        alphabet = []
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=(256 if byte_level else 400) + 150, special_tokens=special, show_progress=False,
        initial_alphabet=alphabet, limit_alphabet=256 if byte_level else 100)
    tokenizer.train_from_iterator(TEXTS * 2, trainer)
    return json.loads(tokenizer.to_str())["model"]


def unigram_model(byte_fallback):
    """A unigram model trained on TEXTS, with "▁" for spaces."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    special = ["<unk>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    tokenizer.train_from_iterator(TEXTS * 2, tokenizers.trainers.UnigramTrainer(
        vocab_size=len(special) + 550, special_tokens=special, unk_token="<unk>",
        show_progress=False))
    model = json.loads(tokenizer.to_str())["model"] | {"byte_fallback": byte_fallback}
    # Scores that a float holds, and equal ones, to show how ties are broken.
    scores = {}
    for token, score in model["vocab"]:
        scores.setdefault(token, round(score, 1))
    model["vocab"] = [list(entry) for entry in scores.items()]
    return model


# Texts and their normal forms: more than a character, more than a code point, white space, nothing.
CHARACTER_MAP = [("ﬁ", "fi"), ("½", "1/2"), ("\t", " "), ("\n", " "), ("\r\n", " "), ("\u3000", " "),
                 ("é", "e"), ("e\u0301", "e"), ("A\u030a", "Å"), ("Ⅻ", "XII"), ("\u200b", ""),
                 ("👍🏽", "👍"), ("日本", "にほん"), ("日", "にち"), ("🙂", ":)"), ("T", "t"), ("Th", "þ")]


def character_map(**options):
    """A SentencePiece model with CHARACTER_MAP, serialized, trained on TEXTS."""
    import sentencepiece

    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for text, normal in CHARACTER_MAP:
            codes = [" ".join(f"{ord(c):X}" for c in part) for part in (text, normal)]
            rules.write("\t".join(codes) + "\n")
        rules.flush()
        return train_sentencepiece(sentencepiece, normalization_rule_tsv=rules.name, **options)


def train_sentencepiece(sentencepiece, **options):
    import io

    out = io.BytesIO()
    texts = [line for text in TEXTS for line in text.split("\n") if line and "\0" not in line]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 2), model_writer=out, minloglevel=2, num_threads=1, **options)
    return out.getvalue()


def precompiled():
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(character_map(vocab_size=300, hard_vocab_limit=False))
    charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
    return {"type": "Precompiled", "precompiled_charsmap": charsmap}


def added(content, index, **options):
    return {"id": 9000 + index, "content": content, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": True} | options


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(kind, *steps):
    return {"type": "Sequence", kind: list(steps)}


def pre_tokenizer_variants():
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield f"split {behavior}", split({"String": "e"}, behavior)
        yield f"split {behavior} inverted", split({"Regex": r"\w+"}, behavior, True)
        yield f"punctuation {behavior}", {"type": "Punctuation", "behavior": behavior}
    yield "white space", {"type": "Whitespace"}
    yield "white space split", {"type": "WhitespaceSplit"}
    yield "bert", {"type": "BertPreTokenizer"}
    yield "digits", {"type": "Digits", "individual_digits": False}
    yield "each digit", {"type": "Digits", "individual_digits": True}
    yield "delimiter", {"type": "CharDelimiterSplit", "delimiter": "-"}
    yield "llama 3", sequence("pretokenizers", split({"Regex": LLAMA3}), byte_level(regex=False))
    yield "byte level", byte_level()
    yield "byte level with prefix", byte_level(prefix=True)
    yield "classes", split({"Regex": r"\s|\S\w|[^\s\w]+|\d|[[:alpha:]]|\h+"})
    yield "lookaround", split({"Regex": r"(?<=a).|\b\w|(?i)TH(?=e)|^.|.$|x{2,3}?"})
    for behavior in ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield f"split empty {behavior}", split({"Regex": r"x*|\b"}, behavior)
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            yield f"metaspace {scheme} {cut}", {
                "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}


def normalizer_variants():
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield form, {"type": form}
    yield "no accents", sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"})
    yield "strip", {"type": "Strip", "strip_left": True, "strip_right": True}
    yield "strip right", {"type": "Strip", "strip_left": False, "strip_right": True}
    yield "replace", {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    yield "character map", precompiled()
    yield "character map, then spaces", sequence("normalizers", precompiled(), {
        "type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    yield "replace empty", {"type": "Replace", "pattern": {"Regex": "e*"}, "content": "a"}
    yield "llama", sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"})


def decoder_variants():
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield "none", None
    yield "metaspace", metaspace
    yield "metaspace never", metaspace | {"prepend_scheme": "never"}
    yield "fallback", {"type": "ByteFallback"}
    yield "llama", sequence(
        "decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    # Both ends of one token, or more of the end than the token has, make the library panic.
    yield "strip starts", {"type": "Strip", "content": "e", "start": 2, "stop": 0}
    yield "strip ends", {"type": "Strip", "content": "e", "start": 0, "stop": 1}
    yield "late replace", sequence("decoders", {"type": "Fuse"}, {
        "type": "Replace", "pattern": {"Regex": "[ae]+"}, "content": "o"})


def component_variants():
    """(name, which model, changes of the document)"""
    for name, step in pre_tokenizer_variants():
        model = "bytes" if "byte" in name or "llama" in name else "characters"
        yield f"pre_tokenizer: {name}", model, {"pre_tokenizer": step}
    for name, step in normalizer_variants():
        yield f"normalizer: {name}", "characters", {"normalizer": step}
    for name, step in decoder_variants():
        yield f"decoder: {name}", "characters", {"decoder": step}
    for name, step in (("byte level", byte_level()),
                       ("byte level, strip", sequence("decoders", byte_level(), {
                           "type": "Strip", "content": " ", "start": 1, "stop": 0}))):
        yield f"decoder: {name}", "bytes", {"decoder": step, "pre_tokenizer": byte_level()}
    for options in ({}, {"lstrip": True}, {"rstrip": True}, {"single_word": True},
                    {"special": False}, {"normalized": True, "special": False}):
        name = "added: " + (" ".join(options) or "plain")
        tokens = [added(t, i, **options) for i, t in enumerate(("<s>", "ab", "THE", "<s>[INST]"))]
        yield name, "characters", {"added_tokens": tokens, "normalizer": {"type": "Lowercase"}}
    for fuse in (False, True):
        for fallback in (False, True):
            for unknown in (None, "<unk>"):
                yield f"model: {fuse} {fallback} {unknown}", "characters", {
                    "model": {"fuse_unk": fuse, "byte_fallback": fallback, "unk_token": unknown}}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield "model: unigram", "unigram", {"pre_tokenizer": metaspace, "decoder": metaspace}
    yield "model: unigram, whole texts", "unigram", {}
    yield "model: unigram with bytes", "unigram_bytes", {"pre_tokenizer": metaspace}
    yield "model: ignore_merges", "bytes", {
        "model": {"ignore_merges": True}, "pre_tokenizer": byte_level()}


def components():
    models = {"bytes": small_model(True), "characters": small_model(False),
              "unigram": unigram_model(False), "unigram_bytes": unigram_model(True)}
    texts = TEXTS[9:48:2] + random_texts(20, 3)
    cases = []
    for name, model, changes in component_variants():
        document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
                    "normalizer": None, "pre_tokenizer": None, "post_processor": None,
                    "decoder": None}
        document |= {k: v for k, v in changes.items() if k != "model"}
        document["model"] = models[model] | changes.get("model", {})
        # Without a fallback for what it has never seen, the model would drop most of the texts.
        if model == "characters" and "model" not in changes:
            document["model"] = document["model"] | {"byte_fallback": True}
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
        # What the library reads may differ in ids (it renumbers added tokens) and in defaults.
        read = json.loads(tokenizer.to_str())
        changed = {k: v for k, v in read["model"].items() if models[model].get(k) != v}
        case = {"name": name, "model": model, "options": changed}
        case |= {k: read[k] for k in ("added_tokens", "normalizer", "pre_tokenizer", "decoder")}
        encoded = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
        case["ids"] = encoded
        case["decoded"] = ([tokenizer.decode(i, skip_special_tokens=False) for i in encoded]
                           if name.startswith("decoder") else None)
        cases.append(case)
    header = {"made_with": f"tokenizers {tokenizers.__version__}", "models": models, "texts": texts}
    write("components.json", header, cases)


def sentencepiece_models():
    """Small SentencePiece models, as their files are, and the ids that the library gives."""
    import sentencepiece

    identity = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    small = {"vocab_size": 640, "hard_vocab_limit": False, "character_coverage": 0.98}
    user = ["<user>", "½", "er", "▁▁", "▁▁▁", "\n"]
    variants = {
        "llama": dict(small, model_type="bpe", byte_fallback=True, split_digits=True, **identity),
        "gemma": dict(small, model_type="bpe", byte_fallback=True, add_dummy_prefix=False,
                      user_defined_symbols=user, **identity),
        "bpe, user's pieces": dict(small, model_type="bpe", user_defined_symbols=user, **identity),
        "bpe, spaces dropped": dict(small, model_type="bpe", normalization_rule_name="identity"),
        "unigram": dict(small, model_type="unigram", **identity),
        "unigram, user's pieces": dict(small, model_type="unigram", byte_fallback=True,
                                       user_defined_symbols=user, **identity),
        "unigram, spaces dropped": dict(small, model_type="unigram",
                                        normalization_rule_name="identity"),
    }
    mapped = {
        "bpe, mapped": dict(small, model_type="bpe"),
        "unigram, mapped": dict(small, model_type="unigram", byte_fallback=True),
        "unigram, mapped, user's pieces": dict(small, model_type="unigram",
                                               user_defined_symbols=user),
    }
    texts = [t for t in TEXTS + random_texts(60, 11) if "\0" not in t]
    models = [(n, train_sentencepiece(sentencepiece, **o)) for n, o in variants.items()]
    models += [(n, character_map(**o)) for n, o in mapped.items()]
    cases = []
    for name, model in models:
        library = sentencepiece.SentencePieceProcessor(model_proto=model)
        cases.append({"name": name, "ids": [library.encode(text) for text in texts],
                      "model": base64.b64encode(model).decode()})
    write("sentencepiece.json", {"made_with": f"sentencepiece {sentencepiece.__version__}",
                                 "texts": texts}, cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["components", "sentencepiece", "smollm2", "tinystories"])
    parser.add_argument("--data", default=os.environ.get("AWQ_DATA", "."))
    parser.add_argument("--gguf")
    args = parser.parse_args()
    if args.what == "components":
        components()
    elif args.what == "sentencepiece":
        sentencepiece_models()
    elif args.what == "smollm2":
        golden("smollm2.json", smollm2_document(args.gguf), args)
    else:
        path = pathlib.Path(args.data) / "models/TinyStories-656K/tokenizer.json"
        golden("tinystories.json", json.loads(path.read_text("utf-8")), args)


if __name__ == "__main__":
    main()
