#!/usr/bin/env bash
# Builds and runs every test. Installs what is missing from Debian's packages, or prints the command that would.
#
#   bash tests/run.sh                     format and comments, g++ with strict warnings, then clang++ where there is one,
#                                         then the sanitizers
#   TESSERA_QUICK=1 bash tests/run.sh     g++ only
set -euo pipefail
cd "$(dirname "$0")/.."
source examples/packages.sh
need_packages "${build_packages[@]}" doctest-dev libpcre2-dev
[[ -n ${TESSERA_QUICK:-} ]] || need_packages clang-format-19 doxygen

passed=0
skipped=0
failed=0

# count_results FILE: adds the closing line of ctest's output to the totals.
count_results() {
    local bad all missing
    if ! read -r bad all < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$1"); then
        bad=1 all=1  # ctest did not come to its end
    fi
    missing=$(grep -cE '^[[:space:]]*[0-9]+ - .* \(Skipped\)$' "$1") || true
    passed=$((passed + all - bad - missing))
    skipped=$((skipped + missing))
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
    ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure --timeout 600 -R "$tests" 2>&1 | tee "$folder.tests.log" || true
    count_results "$folder.tests.log"
}

# Every header brings what it needs: all of them compile together, in alphabetical order and in the reverse, so that each
# comes before most of the others. (The target all_verify_interface_header_sets compiles every one alone, which takes longer
# than all tests.)
check_headers() {
    printf '\n=== headers, in both orders (build/headers)\n'
    mkdir -p build/headers
    find include -name '*.hpp' -printf '#include "%P"\n' | LC_ALL=C sort >build/headers/forward.cpp
    tac build/headers/forward.cpp >build/headers/reverse.cpp
    if printf '%s\n' build/headers/{forward,reverse}.cpp | xargs -P "$(nproc)" -I{} g++ -std=c++20 -Wall -Wextra -Wconversion \
        -Werror -Iinclude -isystem /usr/include/eigen3 -fsyntax-only {} >build/headers/log 2>&1; then
        passed=$((passed + 1))
    else
        grep -A 5 error: build/headers/log | head -n 40
        failed=$((failed + 1))
    fi
}

# check_syntax COMPILER FILE: everything but the machine code.
check_syntax() {
    printf '\n=== %s on %s\n' "$1" "$2"
    # $1 is a list of words
    if $1 -std=c++20 -Wall -Wextra -Wconversion -Werror -Iinclude -isystem /usr/include/eigen3 -fsyntax-only "$2"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

# NEON, by Debian's cross compiler: everything but the machine code of the light umbrellas. Of this machine's headers it gets
# xsimd's alone.
check_arm64() {
    need_packages g++-aarch64-linux-gnu
    mkdir -p build/arm64
    local folder
    for folder in /usr/include /usr/local/include; do
        [[ -e $folder/xsimd/xsimd.hpp ]] && ln -sfn "$folder/xsimd" build/arm64/xsimd && break
    done
    check_syntax "aarch64-linux-gnu-g++ -Wno-psabi -isystem build/arm64" tests/arm64.cpp
}

# The whole tree looks as .clang-format says. One version of the tool, because others break lines elsewhere.
check_format() {
    printf '\n=== format\n'
    if git ls-files -z '*.hpp' '*.cpp' | xargs -0 clang-format-19 --dry-run -Werror; then
        passed=$((passed + 1))
    else
        echo "to format what you changed: git ls-files -z '*.hpp' '*.cpp' | xargs -0 clang-format-19 -i"
        failed=$((failed + 1))
    fi
}

# Doxygen understands every comment.
check_reference() {
    printf '\n=== reference (build/reference/html/index.html)\n'
    if doxygen docs/Doxyfile; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

mkdir -p build
if [[ -z ${TESSERA_QUICK:-} ]]; then
    check_format
    check_reference
fi
check "g++, strict" build/dev all . --preset dev
check_headers
if [[ -z ${TESSERA_QUICK:-} ]]; then
    check_arm64
    watching=g++
    if command -v clang++ >/dev/null; then
        watching=clang++  # which makes watched programs in little more than half the time
        # The encoders go through every format. The example goes through the whole library, which is only checked.
        check_syntax clang++ examples/quantize_and_measure.cpp
        check_syntax clang++ tests/consumers/include_only/main.cpp
        check "clang++, strict" build/clang "test_kernels test_encode" '^(kernels|encode|refused\..*)$' --preset dev -DCMAKE_CXX_COMPILER=clang++ -DTESSERA_COMPILED=OFF
    fi
    # Where bytes and lengths from outside come in, and where they are computed with.
    check "address and undefined-behaviour sanitizers" build/asan-ubsan \
        "test_core test_gguf test_safetensors test_json test_text test_calibrate" \
        '^(core|gguf|safetensors|json|text|calibrate)$' --preset asan-ubsan -DCMAKE_CXX_COMPILER=$watching
    # Former findings and a second for each target, the same inputs every time: no run fails by chance. Those that
    # take long to build are left to tests/fuzz/run.sh itself.
    printf '\n=== fuzz targets (build/fuzz)\n'
    if FUZZ_PROGRAMS="files text" FUZZ_SEED=1 FUZZ_TIMEOUT=300 bash tests/fuzz/run.sh 1; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

((skipped == 0)) || printf '\nskipped for want of shared test data (TESSERA_SHARED names their folder): ctest -V says which'
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
