#!/bin/sh
# The paper's tables on models of one's own: results.sh AWQ_PROGRAM OUT MODEL... [-- STUDY OPTIONS...]
# Writes OUT/MODEL.STUDY.json for every study of `awq study`, and all of them as OUT/results.tar; what is
# there already is not made again. tools/results.py makes the tables of docs/results.md of them. AWQ_DATA has
# the texts. JOBS: studies at a time (default 1). STUDIES: which. TIME_LIMIT: seconds after which no other
# study is begun. The study that compares times runs by itself, before the others. No word has spaces.
set -eu
if [ "${1:-}" = --one ]; then # AWQ OUT STUDY MODEL
  awq=$2 out=$3 study=$4 model=$5
  name=$(basename "$model")
  to=$out/${name%.gguf}.$study
  if [ -e "$to.json" ]; then exit 0; fi
  begin=$(date +%s)
  if [ "$begin" -ge "$RESULTS_END" ]; then
    echo "results.sh: no time left for $study of $name" >&2
    exit 0
  fi
  if [ "$study" = int2 ]; then RESULTS_OPTIONS="--group 64 $RESULTS_OPTIONS"; fi # the paper's
  # shellcheck disable=SC2086 # words
  if "$awq" -q study "$study" "$model" $RESULTS_OPTIONS -o "$to.partial" > "$to.log" 2>&1; then
    mv "$to.partial" "$to.json"
    rm "$to.log"
    echo "results.sh: $study of $name: $(($(date +%s) - begin)) s" >&2
  else
    echo "results.sh: $study of $name failed: $(tail -n 1 "$to.log")" >&2
  fi
  exit 0
fi

if [ $# -lt 3 ]; then
  sed -n '2,6s/^# //p' "$0" >&2
  exit 2
fi
awq=$1 out=$2
shift 2
mkdir -p "$out"
models=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  models="$models $1"
  shift
done
if [ $# -gt 0 ]; then shift; fi
RESULTS_OPTIONS=$*
RESULTS_END=$(($(date +%s) + ${TIME_LIMIT:-100000000}))
export RESULTS_OPTIONS RESULTS_END
studies=${STUDIES:-perplexity calibration search salience groups scaling ablation int2}
for study in $studies; do
  for model in $models; do
    if [ "$study" = perplexity ]; then
      sh "$0" --one "$awq" "$out" "$study" "$model"
    else
      echo "$study $model"
    fi
  done
done > "$out/jobs"
xargs -P "${JOBS:-1}" -n 2 sh "$0" --one "$awq" "$out" < "$out/jobs"
rm "$out/jobs"
(cd "$out" && tar -cf results.tar ./*.json)
