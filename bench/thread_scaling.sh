#!/bin/sh
# How much faster each stage is on two threads than on one, and what a simulation says of more:
#   thread_scaling.sh BUILD MODEL TEXT [TOKENS]
# BUILD has the programs `tessera` and bench/thread_scaling. One and two threads run in turn, three times; the least
# time of each counts.
set -eu
build=$1 model=$2 text=$3 tokens=${4:-8192}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$build/tessera
quiet="--progress none"

# Seconds of a command, which overwrites what it wrote before.
seconds() {
    begin=$(date +%s.%N)
    "$@" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
    end=$(date +%s.%N)
    echo "$end $begin" | awk '{ print $1 - $2 }'
}

compare() {
    stage=$1; shift
    for round in 1 2 3; do
        echo "$(seconds "$program" "$@" $quiet --threads 1) $(seconds "$program" "$@" $quiet --threads 2)"
    done | awk -v stage="$stage" '
        NR == 1 { one = $1; two = $2 }
        { if ($1 < one) one = $1; if ($2 < two) two = $2 }
        END { printf "%-24s %8.2f s %8.2f s   %.2f times as fast\n", stage, one, two, one / two }'
    "$build/bench/thread_scaling" "$@" $quiet 2> /dev/null | sed -n 's/^ *\([0-9]* threads:.*\)/    simulated, \1/p; s/^between loops */    between loops: /p'
}

"$program" calibrate "$model" --text "$text" --tokens "$tokens" -o "$folder/imatrix.gguf" $quiet > /dev/null
"$program" quantize "$model" -f Q4_K --imatrix "$folder/imatrix.gguf" --encoder weighted -o "$folder/q4.gguf" $quiet > /dev/null
echo "                         1 thread   2 threads"
compare calibrate calibrate "$model" --text "$text" --tokens "$tokens" -o "$folder/x.gguf" --force
rm -f "$folder/x.gguf"
compare damage plan "$model" --imatrix "$folder/imatrix.gguf" --target-bpw 5 --measure noise --measure-tokens 1024 -o "$folder/plan.json" --force
compare "encode, weighted" quantize "$model" -f Q4_K --imatrix "$folder/imatrix.gguf" --encoder weighted -o "$folder/x.gguf" --force
compare "encode, with feedback" quantize "$model" -f Q4_K --imatrix "$folder/imatrix.gguf" -o "$folder/x.gguf" --force
compare evaluate evaluate "$model" "$folder/q4.gguf" --text "$text" --windows 8
