#!/usr/bin/env bash
# The op tests of 64-bit ARM on another machine: built by the cross compiler, run under qemu-user.
# Usage: tools/test_neon.sh [BUILD_DIR] [JOBS]
# Skips, and says why, on ARM itself (make test runs them there) and where the tools cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/neon} jobs=${2:-$(nproc)}
compiler=aarch64-linux-gnu-g++

if [ "$(uname -m)" = aarch64 ]; then
  echo "test_neon: skipped, this machine runs them itself"
  exit 0
fi
if ! command -v $compiler > /dev/null || ! command -v qemu-aarch64 > /dev/null; then
  sudo=(); [ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
  export DEBIAN_FRONTEND=noninteractive
  { "${sudo[@]}" apt-get update -qq &&
    "${sudo[@]}" apt-get install -y -qq --no-install-recommends g++-aarch64-linux-gnu qemu-user \
      googletest > /dev/null; } ||
    { echo "test_neon: skipped, needs the packages g++-aarch64-linux-gnu, qemu-user, googletest"; exit 0; }
fi

mkdir -p "$build"
sources= objects=
gtest=/usr/src/googletest/googletest
blas=$(pkg-config --variable=includedir openblas)
# One unit a folder, as CMake makes them: most of a small file is reading headers. Those of isa/ have options of
# their own; tests, which define the same names, stay apart.
unit() {
  printf '#include "%s"\n' "${@:2}" > "$build/$1.new"
  cmp -s "$build/$1.new" "$build/$1" || mv "$build/$1.new" "$build/$1"
}
for folder in base tensor kernels kernels/cpu; do
  name=$(echo "$folder" | tr / _).cc
  unit "$name" $(ls src/$folder/*.cc | grep -vE '_test\.cc$|/json\.cc$' | sed "s,^,$PWD/,")
  sources+=" $build/$name"
done
tests=$(ls src/kernels/*_op_test.cc | grep -v cuda)
{
  for source in $sources src/kernels/cpu/isa/neon*.cc $tests $gtest/src/gtest-all.cc $gtest/src/gtest_main.cc; do
    object=$build/$(echo "${source#/}" | tr / _).o
    flags="-O2 -Isrc -isystem $gtest/include -isystem $gtest -isystem $blas"
    case $source in
      */neondot.cc) flags="$flags -march=armv8.2-a+dotprod" ;;
      *_test.cc | $gtest/*) flags="$flags -O1" ;;
    esac
    case $source in */sampling*.cc) flags="$flags -ffp-contract=off" ;; esac # as src/kernels/CMakeLists.txt
    objects+=" $object"
    printf '%s: %s\n\t%s -std=c++20 -Wall -Wextra %s -MMD -c $< -o $@\n' \
      "$object" "$source" "$compiler" "$flags"
  done
  printf '%s: %s\n\t%s -static-libstdc++ -pthread $^ -ldl -o $@\n' \
    "$build/op_tests" "$objects" "$compiler"
  printf -- '-include %s/*.d\n' "$build"
} > "$build/rules.mk"
make -s -f "$build/rules.mk" -j "$jobs" "$build/op_tests"
echo "test_neon: op tests under $(qemu-aarch64 --version | head -1)"
# Without those that multiply by OpenBLAS, which is not here for ARM.
qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/op_tests" --gtest_brief=1 \
  --gtest_filter='-RowsOp.Gram:RowsOp.SumsAndQuadraticForm:RowsOp.SameBitsForAnyThreads'
