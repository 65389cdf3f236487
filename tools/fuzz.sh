#!/usr/bin/env bash
# Builds every fuzz target with clang's libFuzzer and runs each for SECONDS from its corpus. New
# inputs stay outside the repository; a crash is kept in build/fuzz-clang/ and named.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

if ! command -v clang++ > /dev/null || ! ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-* \
     > /dev/null 2>&1; then
  sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends clang > /dev/null
  version=$(clang++ -dumpversion | cut -d. -f1)
  $sudo apt-get install -y -qq --no-install-recommends "libclang-rt-$version-dev" > /dev/null || true
fi
cmake --preset fuzz > /dev/null
cmake --build --preset fuzz -j "$(nproc)" --target fuzz_targets
for target in build/fuzz-clang/fuzz/*_fuzz; do
  name=$(basename "$target" _fuzz)
  mkdir -p "build/fuzz-clang/corpus/$name"
  echo "== $name, $seconds s"
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -artifact_prefix="build/fuzz-clang/$name-" -print_final_stats=1 \
    "build/fuzz-clang/corpus/$name" "fuzz/corpus/$name" 2>&1 | tail -n 8
done
