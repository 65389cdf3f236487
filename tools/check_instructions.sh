#!/usr/bin/env bash
# Holds the instructions of a decode step against data/instructions.txt: times are noisy, counts are not.
#   tools/check_instructions.sh PROGRAM COMPILER [--update]
# PROGRAM is decode_instructions; COMPILER names what built it, for counts differ among compilers. Exits with 77
# (skipped) where there is nothing to compare with. --update writes the counts of this build.
set -euo pipefail
program=$1 compiler=$2 update=${3:-}
counts=$(dirname "$0")/../data/instructions.txt
skip() { echo "skipped: $1"; exit 77; }
command -v valgrind > /dev/null || skip "no valgrind on this machine"
[ -n "$update" ] || grep -q "^$compiler " "$counts" || skip "no counts of $compiler in data/instructions.txt; --update adds them"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for name in $("$program"); do
  if ! valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect=counted "$program" "$name" \
      > "$work/log" 2>&1; then
    grep -q "no CPU backend" "$work/log" && skip "no AVX2 under this valgrind"
    cat "$work/log"; exit 1
  fi
  now=$(sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p' "$work/log")
  [ -n "$now" ] && [ "$now" -gt 0 ] || { echo "$name: no count"; cat "$work/log"; exit 1; }
  echo "$compiler $name $now" >> "$work/new"
  [ -z "$update" ] || continue
  before=$(awk -v c="$compiler" -v n="$name" '$1 == c && $2 == n { print $3 }' "$counts")
  [ -n "$before" ] || { echo "$name: no count of $compiler in data/instructions.txt"; failed=1; continue; }
  awk -v name="$name" -v now="$now" -v before="$before" 'BEGIN {
    change = 100 * (now - before) / before
    printf "%-16s %12d, was %12d (%+.2f%%)\n", name, now, before, change
    exit change > 2
  }' || failed=1
done
if [ -n "$update" ]; then
  touch "$counts"
  { grep -v "^$compiler " "$counts" || true; cat "$work/new"; } > "$work/all"
  sort "$work/all" > "$counts"
  cat "$work/new"
  exit 0
fi
[ "$failed" = 0 ] || echo "More than 2% above data/instructions.txt: make it cheaper, or record it by tools/check_instructions.sh $program $compiler --update"
exit "$failed"
