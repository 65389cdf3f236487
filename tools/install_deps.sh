#!/usr/bin/env bash
# Installs what the build and the tests need from the distribution's packages; does nothing, fast,
# when all of it is there.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config git ca-certificates unzip python3-pip ccache
          libcli11-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libsentencepiece-dev
          libopenblas-dev libgtest-dev libbenchmark-dev fortunes-min fortunes)

if ! command -v dpkg-query > /dev/null; then
  echo "make deps: this is no Debian or Ubuntu; install the equivalents of: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2> /dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || {
    echo "make deps: not root and no sudo; ask an administrator for: ${missing[*]}" >&2
    exit 1
  }
  sudo=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
