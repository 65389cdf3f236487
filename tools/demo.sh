#!/usr/bin/env bash
# The demonstration behind `make demo`: fetches a small real model, quantizes it with AWQ and by plain
# rounding, measures what each lost, and lets the 4-bit model answer. Results stay in demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
awq=${AWQ:-build/bin/awq}
out=demo
windows=${DEMO_WINDOWS:-2}   # of 2048 tokens to measure on
samples=${DEMO_SAMPLES:-16}  # of 512 tokens to calibrate on
started=$SECONDS

step() { printf '\n== %s  [%d:%02d]\n' "$*" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)) >&2; }

mkdir -p "$out"
step "the model: SmolLM2-135M-Instruct"
model=$(tools/fetch_smollm2.sh)
"$awq" inspect "$model"

# English text in two disjoint parts: to calibrate on, and to measure on.
if [ -n "${AWQ_DATA:-}" ] && [ -f "$AWQ_DATA/wikitext2/wiki.test.raw" ]; then
  step "the text: WikiText-2 to measure on, other encyclopedia articles to calibrate on"
  calibration=$AWQ_DATA/calibration/wiki.utf8
  evaluation=(--text "$AWQ_DATA/wikitext2/wiki.test.raw" --protocol wikitext2)
  text="the WikiText-2 test set (protocol wikitext2), calibrated on $samples x 512 tokens of other encyclopedia articles"
else
  step "the text: the distribution's fortunes, every other one to calibrate on, the rest to measure on"
  folder=/usr/share/games/fortunes
  files=()
  for file in "$folder"/*; do
    case $file in *.dat | *.u8 | *ascii-art) ;; *) files+=("$file") ;; esac
  done
  awk -v calibration="$out/calibration.txt" -v evaluation="$out/evaluation.txt" '
    BEGIN { printf "" > calibration; printf "" > evaluation }
    function flush() {
      if (text != "") printf "%s\n", text >> (count++ % 2 ? calibration : evaluation)
      text = ""
    }
    FNR == 1 { flush() }
    $0 == "%" { flush(); next }
    { text = text $0 "\n" }
    END { flush() }' "${files[@]}"
  calibration=$out/calibration.txt
  evaluation=(--text "$out/evaluation.txt")
  text="every other one of the distribution's fortunes, calibrated on $samples x 512 tokens of the rest"
fi

rows=()
measure() { # NAME MODEL [REPORT]
  if [ "$2" = "$model" ]; then
    "$awq" perplexity "$2" "${evaluation[@]}" --max-windows "$windows" --json > "$out/$1.eval.json"
  else
    "$awq" compare "$model" "$2" "${evaluation[@]}" --max-windows "$windows" --json > "$out/$1.eval.json"
  fi
  "$awq" bench "$2" -p 512 -n 64 -r 3 --json > "$out/$1.bench.json"
  rows+=("$1=$out/$1.eval.json,$out/$1.bench.json${3:+,$3}")
}

step "the float model"
measure float "$model"
quantize() { # NAME BITS OPTION...
  local name=$1-int$2-g64 bits=$2
  shift 2
  step "$name"
  "$awq" quantize "$model" -o "$out/$name" "$@" --bits "$bits" --group 64 --calib "$calibration" \
    --calib-samples "$samples" --overwrite
  measure "$name" "$out/$name" "$out/$name/quantization_report.json"
}
quantize rtn 4 --method rtn
quantize awq 4 --method awq
quantize best 4 --quality best
quantize rtn 3 --method rtn
quantize awq 3 --method awq

step "the table"
parameters=$("$awq" inspect "$model" --json | sed -n 's/.*"parameters": \([0-9]*\).*/\1/p')
cat > "$out/text.txt" <<EOF
SmolLM2-135M-Instruct, $windows windows of 2048 tokens of $text.
The file that "float" names holds 4-bit blocks already (GGUF Q4_1); it is computed in float, as whose 16-bit form the
same $parameters parameters take $((parameters * 2 / 1000000)) MB. Of each INT row's size $((49152 * 576 * 2 / 1000000)) MB are the embedding, which stays in 16 bits.
EOF
"$awq" report "${rows[@]}" | tee "$out/table.md"

step "the 4-bit model answers: What is the capital of France?"
"$awq" chat "$out/awq-int4-g64" --temp 0 -n 64 -p "What is the capital of France?"

step "done; talk to it yourself: $awq chat $out/awq-int4-g64"
