#!/usr/bin/env bash
# Builds the fuzz targets and runs them one after another.
#
#   bash tests/fuzz/run.sh [SECONDS] [TARGET...]     each for so many seconds (default 60), all where none is named
#   bash tests/fuzz/run.sh 0                         builds them and replays the inputs of former findings
#
# What went wrong once lies in tests/fuzz/regressions/TARGET and is replayed first. Inputs that reach something new are kept
# in build/fuzz/corpus/TARGET, and what is found in build/fuzz/findings, where nothing lies if all is well. The seeds are
# more where the folder of shared test data is there. FUZZ_JOBS limits the jobs of the build.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi

command -v clang++ >/dev/null || { echo "tests/fuzz/run.sh: libFuzzer comes with clang++, which is not here (Debian: clang, libclang-rt-dev)" >&2; exit 2; }
build=build/fuzz
mkdir -p $build/findings
cmake --preset fuzz >$build.log 2>&1 && cmake --build $build --target fuzzers --parallel "${FUZZ_JOBS:-$(nproc)}" >>$build.log 2>&1 ||
    { tail -n 40 $build.log; exit 2; }

# Scratch files in memory where that is possible.
if [[ -d /dev/shm && -w /dev/shm ]]; then scratch=$(mktemp -d /dev/shm/tessera-fuzz-XXXXXX); else scratch=$(mktemp -d); fi
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

failed=0
for program in $build/tests/fuzz/fuzz_*; do
    for target in $("$program" --list); do
        if (($# > 0)) && [[ " $* " != *" $target "* ]]; then continue; fi
        corpus=$build/corpus/$target
        log=$build/$target.log
        mkdir -p "$corpus"
        "$program" --target="$target" --seeds="$corpus"
        options=(--target="$target" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512 -print_final_stats=1
            -artifact_prefix="$build/findings/$target-")
        regressions=(tests/fuzz/regressions/"$target"/*)
        if [[ -e ${regressions[0]} ]] && ! "$program" "${options[@]}" "${regressions[@]}" >"$log" 2>&1; then
            grep -E -m 3 'broken:|ERROR:|SUMMARY:|runtime error:' "$log" || tail -n 5 "$log"
            printf '%-20s a former finding is back: %s\n' "$target" "$log"
            failed=1
            continue
        fi
        ((seconds == 0)) && continue
        if "$program" "${options[@]}" -max_total_time="$seconds" "$corpus" >"$log" 2>&1; then
            read -r cov ft corp < <(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1 | awk '{print $2, $4, $6}')
            printf '%-20s %9s runs, %5s edges, %6s features, %5s inputs kept\n' "$target" \
                "$(sed -nE 's/^stat::number_of_executed_units: *//p' "$log")" "$cov" "$ft" "$corp"
        else
            grep -E -m 3 'broken:|ERROR:|SUMMARY:|runtime error:' "$log" || tail -n 5 "$log"
            printf '%-20s found something: %s\n' "$target" "$log"
            failed=1
        fi
    done
done
((failed == 0)) || { echo "inputs of the findings: $build/findings"; exit 1; }
