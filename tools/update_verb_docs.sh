#!/usr/bin/env bash
# Puts the present --help of each verb into docs/verbs/<verb>.md (a test compares the two).
set -euo pipefail
cd "$(dirname "$0")/.."
awq=${1:-build/bin/awq}
for page in docs/verbs/*.md; do
  verb=$(basename "$page" .md)
  { sed '/^```help$/q' "$page"; "$awq" "$verb" --help; sed -n '/^```help$/,$p' "$page" | sed '1d' | sed -n '/^```$/,$p'; } \
    > "$page.tmp"
  mv "$page.tmp" "$page"
done
