#!/usr/bin/env bash
# From nothing to a measured model: installs what is missing (or prints the command that would), builds the program, and
# does the main job with the model that ships with the project: let it read a text, measure what errors cost, make files
# of the sizes of llama.cpp's mixes, and compare them with these mixes on a text that nothing was chosen by.
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/packages.sh
need_packages "${build_packages[@]}"

log=build/quickstart.log
mkdir -p build
echo "building build/release/tessera (a few minutes; output in $log)"
if ! { cmake --preset release && cmake --build --preset release --target tessera_program; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    exit 1
fi

# Prints a command as one would type it here, and runs it.
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

model=examples/models/fable-3m
out=build/quickstart
rm -rf "$out"
mkdir "$out"

printf '\n1. Calibration on a text of the kind the model is for: the importance of each column of its matrices\n'
run build/release/tessera calibrate $model --text $model/generated_calibration.txt -o $out/imatrix.gguf

printf "\n2. llama.cpp's mixes, encoded by Tessera with these importances:\n"
mixes=(Q2_K Q3_K_M Q4_K_M)
for mix in "${mixes[@]}"; do
    run build/release/tessera quantize $model --mix "$mix" --encoder weighted --imatrix $out/imatrix.gguf -o "$out/$mix.gguf"
done

printf '\n3. Files of the same sizes, in which every tensor has the format that is best for the whole, with error feedback.\n'
printf '   The damage of each tensor is measured once and kept:\n'
candidates=()
for mix in "${mixes[@]}"; do
    size=$(stat -c %s "$out/$mix.gguf")
    run build/release/tessera quantize $model --target-size "$size" --imatrix $out/imatrix.gguf --damage $out/damage.json \
        -o "$out/ours-$size.gguf"
    candidates+=("$out/$mix.gguf" "$out/ours-$size.gguf")
done

printf '\n4. The divergence of each from the original, on held-out text. The KLD ratio is that of ours to the mix:\n'
run build/release/tessera evaluate $model "${candidates[@]}" --pairs --text $model/generated_heldout.txt
printf '\nThe files are in %s.\n' "$out"
