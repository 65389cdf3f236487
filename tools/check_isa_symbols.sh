#!/bin/sh
# Usage: check_isa_symbols.sh NM ARCHIVE
# Fails unless ARCHIVE holds the files of kernels/cpu/isa/ and none of them defines a symbol that the
# linker may merge with one of another file (weak, or unique across the program): the wider
# instructions of the merged copy would run on every processor.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 NM ARCHIVE" >&2; exit 2; }

listing=$("$1" -C "$2") || { echo "$1 failed on $2" >&2; exit 1; }
members=$(printf '%s\n' "$listing" | sed -nE 's/^((avx|neon)[0-9a-z]*)\.[^ ]*:$/\1/p' | sort | tr '\n' ' ')
case $members in
  neon*) expected="neon neondot " ;;
  *) expected="avx2 avx512 avx512vnni avxvnni " ;;
esac
if [ "$members" != "$expected" ]; then
  echo "$2: members \"$members\", expected \"$expected\"" >&2
  exit 1
fi
for member in $expected; do
  symbols=$(printf '%s\n' "$listing" | sed -n "/^$member\.[^ ]*:\$/,/^\$/p")
  if ! printf '%s\n' "$symbols" | grep -q ' t '; then
    echo "$2: $member holds no function" >&2
    exit 1
  fi
  if printf '%s\n' "$symbols" | grep -E ' [WVu] ' >&2; then
    echo "$2: $member defines the symbols above, which the linker may merge" >&2
    exit 1
  fi
done
