#!/usr/bin/env python3
"""Renders chat templates with Jinja2, set up as transformers sets it up, for the C++ engine to match.

Reads data/golden/jinja: contexts.json (conversations, and the values of expressions.txt),
expressions.txt (one template a line) and templates/*.jinja; writes cases.json beside them. With
--templates, other templates (which need not be redistributable) are rendered to --output; the test
reads that file when AWQ_JINJA_CASES names it.

Needs: pip install "jinja2>=3.1.6"
"""

import argparse
import json
import pathlib
import sys
from datetime import datetime, timezone

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

ROOT = pathlib.Path(__file__).resolve().parent.parent / "data/golden/jinja"


class Raised(jinja2.TemplateError):
    """What raise_exception throws: its message must come out as it is."""


class Generation(Extension):
    """{% generation %}: marks the assistant's text, and prints it."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_inside"), [], [], body).set_lineno(line)

    def _inside(self, caller):
        return caller()


class SafeNamespace(Namespace):
    """A namespace that refuses names with a leading underscore."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            SafeNamespace.check(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        SafeNamespace.check(name)
        Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment(now):
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def raise_exception(message):
        raise Raised(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def strftime_now(form):
        return datetime.fromtimestamp(now, timezone.utc).replace(tzinfo=None).strftime(form)

    def make_dict(*args, **kwargs):
        return dict(*args, **kwargs)

    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=strftime_now,
                       namespace=SafeNamespace, dict=make_dict)
    return env


def render(source, context):
    """The expected result: {"text"}, {"raised"} with the template's own message, or {"error"}."""
    context = dict(context)
    env = environment(context.pop("strftime_now"))
    try:
        text = env.from_string(source).render(**context)
    except Raised as error:
        return {"raised": str(error)}
    except Exception as error:  # noqa: BLE001: whatever Python raises is an error of the template
        return {"error": f"{type(error).__name__}: {error}"}
    if " at 0x" in text:
        sys.exit(f"an address is printed by {source!r}")
    return {"text": text}


def render_chats(paths, contexts):
    for path in paths:
        source = path.read_text(encoding="utf-8")
        results = {name: render(source, {**contexts["tokens"], **context})
                   for name, context in contexts["chats"].items()}
        yield {"name": path.stem, "source": source, "results": results}


def render_expressions(contexts):
    for line in (ROOT / "expressions.txt").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("# "):
            source = line.replace("⏎", "\n").replace("⇥", "\t")
            yield {"source": source, **render(source, contexts["values"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--templates", type=pathlib.Path, help="a folder of other templates")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "cases.json")
    args = parser.parse_args()
    contexts = json.loads((ROOT / "contexts.json").read_text(encoding="utf-8"))
    folder = args.templates or ROOT / "templates"
    cases = {
        "chats": list(render_chats(sorted(folder.glob("*.jinja*")), contexts)),
        "expressions": [] if args.templates else list(render_expressions(contexts)),
    }
    args.output.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    results = [r for chat in cases["chats"] for r in chat["results"].values()]
    results += cases["expressions"]
    failed = sum("text" not in result for result in results)
    print(f"{len(cases['chats'])} templates, {len(results)} cases, {failed} of them errors")


if __name__ == "__main__":
    main()
