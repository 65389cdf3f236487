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


class Rows:
    """The rows of a model's studies by name."""

    def __init__(self, documents):
        self.documents = documents

    def rows(self, study):
        return [row for s in self.documents[study]["sections"] for row in s["rows"]]

    def get(self, study, key, **where):
        for row in self.rows(study):
            if all(row.get(k) == v for k, v in where.items()):
                return row[key]
        raise KeyError((study, key, where))


def order(r, study, key, *selections):
    values = [r.get(study, key, **s) for s in selections]
    return values == sorted(values) and len(set(values)) == len(values), " < ".join(f"{v:.3f}" for v in values)


def recovered(r, name):
    rtn = r.get("ablation", "ppl", name="RTN")
    awq = r.get("ablation", "ppl", name="AWQ scale + clip")
    return 100 * (rtn - r.get("salience", "ppl", name=name)) / (rtn - awq)


def salience(r):
    shares = {by: recovered(r, f"1.0% {by}") for by in ("by activation", "by weight norm", "at random")}
    holds = shares["by activation"] >= 80 and max(shares["by weight norm"], shares["at random"]) < 80
    return holds, ", ".join(f"{by} {share:.0f}%" for by, share in shares.items())


def few_sequences(r):
    rows = [row for row in r.rows("calibration") if row.get("method") == "awq" and "from" not in row]
    few = next(row for row in rows if row["samples"] == 16)
    most = max(rows, key=lambda row: row["samples"])
    change = 100 * (few["ppl"] / most["ppl"] - 1)
    return abs(change) <= 2, f"{few['ppl']:.3f} with 16, {most['ppl']:.3f} with {most['samples']}: {change:+.2f}%"


def mismatch(r):
    cells = {(row["method"], row["from"], row["on"]): row["ppl"] for row in r.rows("calibration") if "from" in row}
    domains = sorted({key[1] for key in cells})
    holds, words = True, []
    for on in domains:
        other = next(d for d in domains if d != on)
        rise = {m: 100 * (cells[m, other, on] / cells[m, on, on] - 1) for m in ("awq", "gptq")}
        holds &= rise["awq"] < rise["gptq"]
        words.append(f"on {on}: AWQ {rise['awq']:+.2f}%, GPTQ {rise['gptq']:+.2f}%")
    return holds, "; ".join(words)


def best(bits, limit):
    def check(r):
        formats = [row["format"] for row in r.rows("perplexity")
                   if row["name"] == "quality best" and row["format"].startswith(f"INT{bits}")]
        group = f"INT{bits}-g64" if f"INT{bits}-g64" in formats else formats[0]
        awq, our = ({k: r.get("perplexity", k, name=n, format=group) for k in ("kl", "seconds")}
                    for n in ("AWQ", "quality best"))
        ratio, time = our["kl"] / awq["kl"], our["seconds"] / awq["seconds"]
        return ratio <= limit and time <= 3, f"{group}: {ratio:.3f} of its KL in {time:.2f} of its time"
    return check


def mixed(r):
    holds, words = True, []
    for row in r.rows("perplexity"):
        if row["name"] != "AWQ, mixed":
            continue
        size = row["format"].removesuffix(" size")
        plain = r.get("perplexity", "kl", name="AWQ", format=size)
        holds &= row["kl"] < plain or not size.startswith("INT3")
        words.append(f"{size}: KL {row['kl']:.4f}, one width {plain:.4f}")
    return holds, "; ".join(words)


CLAIMS = [
    ("INT3: AWQ below RTN, clip below scale alone (table 3)",
     lambda r: order(r, "ablation", "ppl", *({"name": n} for n in ("AWQ scale + clip", "AWQ scale", "RTN")))),
    ("INT3: 1% of the channels in FP16 recovers 80% of what AWQ does if chosen by activation, else not (table 1)",
     salience),
    ("INT2-g64: AWQ+GPTQ below GPTQ below RTN (table 6), perplexity",
     lambda r: order(r, "int2", "ppl", *({"name": n} for n in ("AWQ+GPTQ", "GPTQ", "RTN")))),
    ("the same, KL", lambda r: order(r, "int2", "kl", *({"name": n} for n in ("AWQ+GPTQ", "GPTQ", "RTN")))),
    ("AWQ with 16 sequences within 2% of its perplexity with all (figure 6)", few_sequences),
    ("calibrated on another kind of text, AWQ's perplexity rises less than GPTQ's (figure 6)", mismatch),
    ("`--quality best` at INT3: KL at most 0.75 of AWQ's, time at most 3", best(3, 0.75)),
    ("`--quality best` at INT4: KL at most 0.85 of AWQ's, time at most 3", best(4, 0.85)),
    ("INT3: bits by linear have a lower KL than one width in the same size", mixed),
]


def claims(documents):
    lines = ["| claim | holds | figures |", "|---|---|---|"]
    r = Rows(documents)
    for what, check in CLAIMS:
        try:
            holds, figures = check(r)
        except (KeyError, StopIteration, IndexError):
            continue  # its study was not run
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
