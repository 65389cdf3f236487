#!/usr/bin/env python3
"""The tables of docs/results.md from what tools/results.sh made: results.py DOCS_PAGE JSON_FILE_OR_TAR...

Replaces what lies between the marks of the page; every figure comes from the files."""
import json
import re
import sys
import tarfile

BEGIN, END = "<!-- tools/results.py: begin -->", "<!-- tools/results.py: end -->"
ORDER = ["salience", "scaling", "ablation", "perplexity", "int2", "groups", "calibration", "search"]


def load(paths):
    for path in paths:
        if path.endswith(".tar"):
            with tarfile.open(path) as tar:
                for member in tar.getmembers():
                    yield json.load(tar.extractfile(member))
        else:
            with open(path, encoding="utf-8") as file:
                yield json.load(file)


def model_name(document):
    return re.sub(r"\.gguf$", "", document["model"].rstrip("/").rsplit("/", 1)[-1])


def command(document):
    """As typed elsewhere: no folder of the machine it ran on."""
    words = []
    for word in document["command"].split():
        for part in ("wikitext2", "calibration", "tasks"):
            word = re.sub(rf"^.*/{part}/", f"$AWQ_DATA/{part}/", word)
        words.append(word.rsplit("/", 1)[-1] if word.startswith(("/", ".")) else word)
    return " ".join(words)


def cell(row, column):
    value = row.get(column["key"])
    if value is None:
        return "–"
    return str(value) if isinstance(value, str) else f"{value:.{max(column['digits'], 0)}f}"


def tables(document):
    lines = []
    for section in document["sections"]:
        columns = section["columns"]
        lines += [f"**{section['title']}**", ""]
        lines.append("| " + " | ".join(c["title"] for c in columns) + " |")
        lines.append("|" + "|".join("---" if c["digits"] < 0 else "---:" for c in columns) + "|")
        lines += ["| " + " | ".join(cell(row, c) for c in columns) + " |" for row in section["rows"]]
        lines += [""] + [f"- {note}" for note in section["notes"]] + ([""] if section["notes"] else [])
    lines.append(f"`{command(document)}`: {document['windows']} windows of {document['window']}, "
                 f"{document['calibration_sequences']} x {document['calibration_length']} calibration tokens, "
                 f"{document['total_seconds']:.0f} s on {document['machine']}.")
    return lines


class Untested(Exception):
    """These runs do not speak of the claim."""


class Rows:
    """The rows of a model's studies by name."""

    def __init__(self, documents):
        self.documents = documents
        # Where rounding lowers perplexity it does not order methods; the divergence from the float model does.
        ppl = {row["name"]: row["ppl"] for row in self.rows("ablation")} if "ablation" in documents else {}
        self.loss = "kl" if any(value < ppl["FP16"] for value in ppl.values()) else "ppl"

    def rows(self, study):
        if study not in self.documents:
            raise Untested(study)
        return [row for s in self.documents[study]["sections"] for row in s["rows"]]

    def get(self, study, key, **where):
        for row in self.rows(study):
            if all(row.get(k) == v for k, v in where.items()):
                return row[key]
        raise Untested(f"{study}: {key} of {where}")

    def needs(self, study, bits):
        if not any(f"INT{bits}" in s["title"] for s in self.documents.get(study, {"sections": []})["sections"]):
            raise Untested(f"{study} in INT{bits}")

    def said(self, value):
        return f"KL {value:.4f}" if self.loss == "kl" else f"{value:.3f}"


def order(r, study, key, *names):
    values = [r.get(study, key, name=name) for name in names]
    digits = 4 if key == "kl" else 3
    return values == sorted(values) and len(set(values)) == len(values), (
        ("KL " if key == "kl" else "") + " < ".join(f"{v:.{digits}f}" for v in values))


def ablation(r):
    r.needs("ablation", 3)
    return order(r, "ablation", r.loss, "AWQ scale + clip", "AWQ scale", "RTN")


def two_bits(key):
    def check(r):
        r.needs("int2", 2)
        return order(r, "int2", key, "AWQ+GPTQ", "GPTQ", "RTN")
    return check


def salience(r):
    r.needs("salience", 3)
    r.needs("ablation", 3)
    rtn, awq = (r.get("ablation", r.loss, name=name) for name in ("RTN", "AWQ scale + clip"))
    if awq >= rtn:
        raise Untested("AWQ recovers nothing")
    shares = {by: 100 * (rtn - r.get("salience", r.loss, name=f"1.0% {by}")) / (rtn - awq)
              for by in ("by activation", "by weight norm", "at random")}
    holds = shares["by activation"] >= 80 and max(shares["by weight norm"], shares["at random"]) < 80
    return holds, ("KL, " if r.loss == "kl" else "") + ", ".join(f"{by} {share:.0f}%" for by, share in shares.items())


def few_sequences(r):
    losses = {row["samples"]: row[r.loss] for row in r.rows("calibration")
              if row.get("method") == "awq" and "from" not in row}
    if 16 not in losses or max(losses) == 16:
        raise Untested("16 sequences and more")
    change = 100 * (losses[16] / losses[max(losses)] - 1)
    return abs(change) <= 2, f"{change:+.2f}%; " + ", ".join(
        f"{samples}: {r.said(loss)}" for samples, loss in sorted(losses.items()))


def mismatch(r):
    cells = {(row["method"], row["from"], row["on"]): row[r.loss] for row in r.rows("calibration") if "from" in row}
    domains = sorted({key[1] for key in cells})
    if len(domains) != 2:
        raise Untested("two kinds of text")
    holds, words = True, []
    for on in domains:
        other = next(d for d in domains if d != on)
        rise = {m: 100 * (cells[m, other, on] / cells[m, on, on] - 1) for m in ("awq", "gptq")}
        holds &= rise["awq"] < rise["gptq"]
        words.append(f"on {on}: AWQ {rise['awq']:+.2f}%, GPTQ {rise['gptq']:+.2f}%")
    return holds, ("KL, " if r.loss == "kl" else "") + "; ".join(words)


def best(bits, limit):
    def check(r):
        formats = [row["format"] for row in r.rows("perplexity")
                   if row["name"] == "quality best" and row["format"].startswith(f"INT{bits}")]
        if not formats:
            raise Untested(f"INT{bits}")
        group = f"INT{bits}-g64" if f"INT{bits}-g64" in formats else formats[0]
        awq, our = ({k: r.get("perplexity", k, name=n, format=group) for k in ("kl", "seconds")}
                    for n in ("AWQ", "quality best"))
        ratio, time = our["kl"] / awq["kl"], our["seconds"] / awq["seconds"]
        return ratio <= limit and time <= 3, f"{group}: {ratio:.3f} of its KL in {time:.2f} of its time"
    return check


def mixed(r):
    holds, words = True, []
    for row in r.rows("perplexity"):
        size = row.get("format", "").removesuffix(" size")
        if row["name"] != "AWQ, mixed" or not size.startswith("INT3"):
            continue
        plain = r.get("perplexity", "kl", name="AWQ", format=size)
        holds &= row["kl"] < plain
        words.append(f"{size}: KL {row['kl']:.4f}, one width {plain:.4f}")
    if not words:
        raise Untested("INT3")
    return holds, "; ".join(words)


def nearest(r):
    """Of what `awq quantize` can do in one width."""
    best, others = {}, {}
    for row in r.rows("perplexity"):
        if "kl" not in row or row["format"].endswith(" size"):
            continue
        (best if row["name"] == "quality best" else others).setdefault(row["format"], []).append(row["kl"])
    if not best:
        raise Untested("quality best")
    return all(best[f][0] < min(others[f]) for f in best), "; ".join(
        f"{f}: KL {best[f][0]:.4f}, the next {min(others[f]):.4f}" for f in best)


CLAIMS = [
    ("INT3: AWQ below RTN, clip below scale alone (table 3)", ablation),
    ("INT3: 1% of the channels in FP16 recovers 80% of what AWQ does if chosen by activation, else not (table 1)",
     salience),
    ("INT2-g64: AWQ+GPTQ below GPTQ below RTN (table 6), perplexity", two_bits("ppl")),
    ("the same, KL", two_bits("kl")),
    ("AWQ with 16 sequences within 2% of all of them (figure 6)", few_sequences),
    ("calibrated on another kind of text, AWQ's loss rises less than GPTQ's (figure 6)", mismatch),
    ("`--quality best` at INT3: KL at most 0.75 of AWQ's, time at most 3", best(3, 0.75)),
    ("`--quality best` at INT4: KL at most 0.85 of AWQ's, time at most 3", best(4, 0.85)),
    ("`--quality best` is nearer to the float model than RTN, GPTQ, GPTQ-R, AWQ and AWQ+GPTQ", nearest),
    ("INT3: bits by linear have a lower KL than one width in the same size", mixed),
]


def claims(documents):
    lines = ["| claim | holds | figures |", "|---|---|---|"]
    r = Rows(documents)
    for what, check in CLAIMS:
        try:
            holds, figures = check(r)
        except Untested:
            continue
        lines.append(f"| {what} | {'yes' if holds else '**no**'} | {figures} |")
    return lines if len(lines) > 2 else []


def main():
    page, paths = sys.argv[1], sys.argv[2:]
    models = {}
    for document in load(paths):
        models.setdefault(model_name(document), {})[document["study"]] = document
    lines = []
    for name, documents in sorted(models.items()):
        lines += [f"### {name}", ""] + claims(documents) + [""]
        for study in ORDER:
            if study in documents:
                lines += tables(documents[study]) + [""]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    if BEGIN not in text or END not in text:
        sys.exit(f"{page}: no marks {BEGIN} ... {END}")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    with open(page, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + "\n\n" + "\n".join(lines).rstrip() + "\n\n" + END + tail)


if __name__ == "__main__":
    main()
