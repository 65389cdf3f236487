#!/bin/sh
# The tables of docs/performance-gpu.md, on the first GPU: gpu_tables.sh AWQ_PROGRAM > docs/performance-gpu.md
# Random weights throughout, so that sizes whose weights cannot be had are measured too. QUICK=1: fewer rows.
set -eu
awq=$1
runs=${RUNS:-3}

rows() { "$awq" bench "$@" -r "$runs" --device cuda 2> /dev/null | sed '1,2d'; }
section() {
  printf '\n## %s\n\n`awq bench %s -r %s --device cuda`\n\n' "$1" "$2" "$runs"
}

printf '# Speed on NVIDIA GPUs\n\nWritten by `tools/gpu_tables.sh`. Random weights; sums in f32; f16 KV cache; the bytes of a token are codes, '
printf 'scales, zeros and head, with `--depth` also keys and values; the read roof is measured after each run.\n\n'
"$awq" doctor 2> /dev/null | sed "s/^/    /"
for shape in llama-2-7b llama-3-8b llama-2-13b llama-2-70b tinyllama-1.1b; do
  section "$shape, INT4-g128" "--synthetic $shape -p 512 -n 200"
  rows --synthetic $shape -p 512 -n 200
done
for bits in 16 8 3 2; do
  section "llama-2-7b, $bits bits" "--synthetic llama-2-7b --bits $bits -p 512 -n 200"
  rows --synthetic llama-2-7b --bits $bits -p 512 -n 200
done
section "Figure 5 of the paper" "--synthetic llama-2-7b [--bits 16] --protocol tinychat"
rows --synthetic llama-2-7b --protocol tinychat
rows --synthetic llama-2-7b --bits 16 --protocol tinychat | sed 1,2d
section "Long prompts" "--synthetic llama-2-7b -p N -n 0"
rows --synthetic llama-2-7b -p 128 -n 0
for tokens in 1024 2048 4096; do rows --synthetic llama-2-7b -p $tokens -n 0 | sed 1,2d; done
section "Behind a context" "--synthetic llama-2-7b -p 0 -n 200 --depth N"
rows --synthetic llama-2-7b -p 0 -n 200 --depth 2048
rows --synthetic llama-3-8b -p 0 -n 200 --depth 2048 | sed 1,2d
rows --synthetic llama-3-8b -p 0 -n 200 --depth 7900 | sed 1,2d
section "Several sequences" "--synthetic llama-2-7b -p 0 -n 100 --batch N"
rows --synthetic llama-2-7b -p 0 -n 100 --batch 8
for batch in 32 64; do rows --synthetic llama-2-7b -p 0 -n 100 --batch $batch | sed 1,2d; done
section "Keys and values of 8 bits" "--synthetic llama-2-7b -p 512 -n 100 --depth N [--batch N] --kv-cache-dtype int8"
rows --synthetic llama-2-7b -p 512 -n 100 --depth 2048 --kv-cache-dtype int8
rows --synthetic llama-2-7b -p 0 -n 100 --depth 1024 --batch 32 | sed 1,2d
rows --synthetic llama-2-7b -p 0 -n 100 --depth 1024 --batch 32 --kv-cache-dtype int8 | sed 1,2d
# In halves they do not fit.
section "Memory: 2048 positions of 13B" "--synthetic llama-2-13b --max-vram 8GiB -p 0 -n 100 --depth 1940 --kv-cache-dtype int8"
rows --synthetic llama-2-13b --max-vram 8GiB -p 0 -n 100 --depth 1940 --kv-cache-dtype int8
