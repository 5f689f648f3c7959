#!/bin/sh
# What plans lose when damage is measured in few passes of the model:
#   damage_cost.sh BUILD MODELS TEXTS FOLDER [PASSES]
# BUILD has the programs `tessera` and bench/stacked_model, MODELS the directories quill-5m and fable-3m, TEXTS
# calibration_ and heldout_ texts of stories and an encyclopedia. Of each model and of a stack of 24 layers made of
# quill-5m: two damage tables, in all passes and in PASSES (40), plans from both at three sizes, both encoded alike, and
# their divergences on text held out. What is in FOLDER is not made again.
set -eu
build=$1 models=$2 texts=$3 folder=$4 passes=${5:-40}
program=$build/tessera
quiet="--progress none"
mkdir -p "$folder"

measure() { # NAME TABLE TOKENS PASSES
    [ -f "$folder/$1.$2.json" ] || "$program" plan "$folder/$1.gguf" --imatrix "$folder/$1.imatrix.gguf" --encoder weighted \
        --damage "$folder/$1.$2.json" --measure-tokens "$3" --measure-passes "$4" --target-bpw 3.5 $quiet > /dev/null
}

compare() { # NAME CALIBRATION HELD_OUT TOKENS
    [ -f "$folder/$1.imatrix.gguf" ] || "$program" calibrate "$folder/$1.gguf" --text "$texts/$2" --tokens 147456 \
        -o "$folder/$1.imatrix.gguf" $quiet > /dev/null
    measure "$1" all "$4" all
    measure "$1" "$passes" "$4" "$passes"
    for bits in 2.8 3.5 4.5; do
        for table in all "$passes"; do
            [ -f "$folder/$1.$table.$bits.gguf" ] || "$program" quantize "$folder/$1.gguf" --imatrix "$folder/$1.imatrix.gguf" \
                --encoder weighted --damage "$folder/$1.$table.json" --target-bpw $bits \
                -o "$folder/$1.$table.$bits.gguf" $quiet > /dev/null
        done
        echo "$1, $bits bits per weight, all passes and $passes:"
        "$program" evaluate "$folder/$1.gguf" "$folder/$1.all.$bits.gguf" "$folder/$1.$passes.$bits.gguf" --pairs \
            --text "$texts/$3" --windows 200 $quiet | grep -v "^ *$" | tail -n 8
    done
}

for name in quill-5m fable-3m; do
    [ -f "$folder/$name.gguf" ] || "$program" convert "$models/$name" -o "$folder/$name.gguf" --type BF16 $quiet > /dev/null
done
[ -f "$folder/stack-24.gguf" ] || "$build/bench/stacked_model" "$folder/quill-5m.gguf" "$folder/stack-24.gguf" 4
compare quill-5m calibration_wiki.txt heldout_wiki.txt 14336
compare fable-3m calibration_stories.txt heldout_stories.txt 14336
compare stack-24 calibration_wiki.txt heldout_wiki.txt 4096
