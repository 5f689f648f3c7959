#!/usr/bin/env bash
# From nothing to measured models: installs what is missing (or prints the command that would), builds the program,
# quantizes the model that ships with the project in four formats and compares each with the original.
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/packages.sh
need_packages "${build_packages[@]}"

build=build/release
log=build/quickstart.log
mkdir -p build/models
echo "building $build/tessera (a minute or two; output in $log)"
if ! { cmake --preset release && cmake --build --preset release --target tessera_program; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    exit 1
fi

model=examples/models/fable-3m
candidates=()
for format in Q8_0 Q6_K Q4_K Q4_0; do
    file=build/models/fable-3m-$format.gguf
    printf '\n$ tessera quantize %s -f %s -o %s\n' "$model" "$format" "$file"
    "$build/tessera" quantize "$model" -f "$format" -o "$file" --force
    candidates+=("$file")
done

text=$model/generated_heldout.txt
printf '\n$ tessera evaluate %s build/models/fable-3m-{Q8_0,Q6_K,Q4_K,Q4_0}.gguf --text %s\n' "$model" "$text"
"$build/tessera" evaluate "$model" "${candidates[@]}" --text "$text"
printf '\nThe files:\n'
printf '    %s\n' "${candidates[@]}"
