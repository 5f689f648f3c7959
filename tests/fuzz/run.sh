#!/usr/bin/env bash
# Builds the fuzz targets and runs them one after another.
#
#   bash tests/fuzz/run.sh [SECONDS] [TARGET...]     each for so many seconds (default 60), all where none is named
#   bash tests/fuzz/run.sh 0                         only replays the inputs of former findings
#
# What went wrong once lies in tests/fuzz/regressions/TARGET and is replayed first. Inputs that reach something new are kept
# in build/fuzz/corpus/TARGET, and those that something is wrong with in build/fuzz/findings. There are more inputs to begin
# with where the folder of shared test data is. With a compiler that has no libFuzzer, inputs are only replayed.
#
#   FUZZ_PROGRAMS    the programs to build and run, each with several targets: files, text, config, encoders (default: all)
#   FUZZ_JOBS        jobs of the build (default: as many as there are processors)
#   FUZZ_SEED        a number that decides what is tried (default: something else each time)
#   FUZZ_TIMEOUT     seconds that one input may take (default 20); more where other work keeps the machine busy
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi
read -ra programs <<<"${FUZZ_PROGRAMS:-files text config encoders}"

build=build/fuzz
mkdir -p $build/findings
compiler=clang++
command -v $compiler >/dev/null || compiler=g++
targets=("${programs[@]/#/fuzz_}")
[[ " ${programs[*]} " == *" config "* ]] && targets+=(seed_families)
cmake --preset fuzz -DCMAKE_CXX_COMPILER=$compiler >$build.log 2>&1 &&
    cmake --build $build --parallel "${FUZZ_JOBS:-$(nproc)}" --target "${targets[@]}" >>$build.log 2>&1 ||
    { tail -n 40 $build.log; exit 2; }
if ! grep -q '^TESSERA_HAS_LIBFUZZER:INTERNAL=1' $build/CMakeCache.txt; then
    seconds=0
    echo "$compiler has no libFuzzer: former findings are replayed, nothing else (Debian: clang, libclang-rt-dev)"
fi

# Scratch files in memory where that is possible.
if [[ -d /dev/shm && -w /dev/shm ]]; then scratch=$(mktemp -d /dev/shm/tessera-fuzz-XXXXXX); else scratch=$(mktemp -d); fi
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

failed=0
# report TARGET LOG WHAT: shows what a run that failed says.
report() {
    grep -E -m 3 'broken:|ERROR:|what\(\):|runtime error:' "$2" || tail -n 5 "$2"
    printf '%-20s %s: %s\n' "$1" "$3" "$2"
    failed=1
}

for name in "${programs[@]}"; do
    program=$build/tests/fuzz/fuzz_$name
    for target in $("$program" --list); do
        if (($# > 0)) && [[ " $* " != *" $target "* ]]; then continue; fi
        corpus=$build/corpus/$target
        log=$build/$target.log
        options=(--target="$target" -timeout="${FUZZ_TIMEOUT:-20}" -seed="${FUZZ_SEED:-0}" -rss_limit_mb=2048
            -malloc_limit_mb=512 -print_final_stats=1 -artifact_prefix="$build/findings/$target-")
        regressions=(tests/fuzz/regressions/"$target"/*)
        if [[ -e ${regressions[0]} ]]; then
            if ! "$program" "${options[@]}" "${regressions[@]}" >"$log" 2>&1; then
                report "$target" "$log" "a former finding is back"
                continue
            fi
            printf '%-20s %9s former findings\n' "$target" ${#regressions[@]}
        fi
        ((seconds > 0)) || continue
        mkdir -p "$corpus"
        "$program" --target="$target" --seeds="$corpus"
        [[ $target != config ]] || $build/tests/fuzz/seed_families "$corpus"
        if "$program" "${options[@]}" -max_total_time="$seconds" "$corpus" >"$log" 2>&1; then
            read -r cov ft corp < <(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1 | awk '{print $2, $4, $6}')
            printf '%-20s %9s runs, %5s edges, %6s features, %5s inputs kept\n' "$target" \
                "$(sed -nE 's/^stat::number_of_executed_units: *//p' "$log")" "$cov" "$ft" "$corp"
        else
            report "$target" "$log" "found something"
        fi
    done
done
((failed == 0)) || { echo "inputs of the findings: $build/findings"; exit 1; }
