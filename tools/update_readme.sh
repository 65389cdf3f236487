#!/usr/bin/env bash
# tools/update_readme.sh [COMMAND]: puts the table of the last `make demo` (COMMAND, when it was called
# in another way) and the machine it ran on into README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f demo/table.md ] || { echo "run make demo first" >&2; exit 1; }
processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | sort -u | head -n 1)
{
  sed '/^<!-- demo -->$/q' README.md
  echo
  cat demo/table.md
  echo
  cat demo/text.txt
  echo "Machine: $(nproc) cores of $processor, $(build/bin/awq bench demo/awq-int4-g64 -p 0 -n 1 -r 1 2> /dev/null | head -n 1)."
  echo "Command: \`${1:-make demo}\`."
  echo
  sed -n '/^<!-- \/demo -->$/,$p' README.md
} > README.md.tmp
mv README.md.tmp README.md
