#!/usr/bin/env bash
# Builds and runs every test. Installs what is missing from Debian's packages, or prints the command that would.
#
#   bash tests/run.sh                     g++ with strict warnings, then the sanitizers, then clang++ where there is one
#   TESSERA_QUICK=1 bash tests/run.sh     the first of these only
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/packages.sh
need_packages "${build_packages[@]}" doctest-dev

passed=0
failed=0

# count_results FILE: adds the closing line of ctest's output to the totals.
count_results() {
    local bad all
    if ! read -r bad all < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$1"); then
        bad=1 all=1  # ctest did not come to its end
    fi
    passed=$((passed + all - bad))
    failed=$((failed + bad))
}

# check TITLE FOLDER TARGETS TESTS CMAKE_ARGUMENTS...: configures, builds the targets, runs the tests that match TESTS.
check() {
    local title=$1 folder=$2 targets=$3 tests=$4
    shift 4
    printf '\n=== %s (%s)\n' "$title" "$folder"
    # $targets is a list of words
    if ! { cmake "$@" -B "$folder" >"$folder.log" 2>&1 && cmake --build "$folder" --target $targets >>"$folder.log" 2>&1; }; then
        grep -E -A 12 'error:|^FAILED|CMake Error' "$folder.log" | head -n 80 || tail -n 40 "$folder.log"
        echo "the build failed; all of its output is in $folder.log"
        failed=$((failed + 1))
        return
    fi
    ctest --test-dir "$folder" --output-on-failure --timeout 600 -R "$tests" 2>&1 | tee "$folder.tests.log" || true
    count_results "$folder.tests.log"
}

mkdir -p build
check "g++, strict, every header alone" build/dev "all all_verify_interface_header_sets" . --preset dev
if [[ -z ${TESSERA_QUICK:-} ]]; then
    # Where bytes and lengths from outside come in, and where they are computed with.
    check "address and undefined-behaviour sanitizers" build/asan-ubsan \
        "test_core test_format test_encode test_tensor test_gguf test_safetensors test_text test_calibrate" \
        '^(core|format|encode|tensor|gguf|safetensors|text|calibrate)$' --preset asan-ubsan
    # The example goes through the whole library, the tests through every format.
    if command -v clang++ >/dev/null; then
        check "clang++, strict" build/clang "example_quantize_and_measure test_kernels test_format test_encode" \
            '^(kernels|format|encode)$' --preset dev -DCMAKE_CXX_COMPILER=clang++
    fi
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
