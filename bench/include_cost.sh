#!/usr/bin/env bash
# What including a module costs whoever compiles with g++: an empty unit that includes its umbrella, against the heaviest
# package that the module cannot do without (the standard headers it includes, where it needs none). Such a unit must
# come out as an object without symbols: nothing is compiled that is not called.
#
#   bash bench/include_cost.sh [MODULE...]          a table; all modules and tessera.hpp unless some are named
#   bash bench/include_cost.sh --check MODULE...    for tests: ends with 1 where a bound is broken
#
# "memory" is what the compiler has allocated in all. It does not depend on the machine or on what else runs there, and
# time goes with it, so bounds are on its ratio. $CXX, $CXXFLAGS and $CPPFLAGS are used as usual.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=2           # times the heaviest dependency
limit_of_all=5.5  # for tessera.hpp, which has all of them

cxx=${CXX:-g++}
if [[ $("$cxx" --version) == *clang* ]]; then
    echo "only g++ says what memory it allocates; \$CXX is clang" >&2
    exit 2
fi
read -ra flags <<<"-std=c++20 ${CXXFLAGS:--O2 -march=native} -Iinclude ${CPPFLAGS:--isystem /usr/include/eigen3}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Row of include/modules.cmake: "name | modules | packages"
row() { grep -E "^    \"$1 +\\|" include/modules.cmake | tr -d '"'; }
modules_of() { row "$1" | cut -d'|' -f2; }
all_modules() { grep -oE '^    "[a-z_]+ ' include/modules.cmake | tr -d '" '; }

# A module and all it uses, each once.
closure() {
    local used
    echo "$1"
    for used in $(modules_of "$1"); do closure "$used"; done
}
packages_of() { for m in $(closure "$1" | sort -u); do row "$m" | cut -d'|' -f3; done | xargs -n1 | sort -u; }

umbrella() {
    if [[ $1 == error_feedback ]]; then echo tessera/encode/error_feedback.hpp; else echo "tessera/$1.hpp"; fi
}

# measure NAME HEADERS...: sets memory (MB), seconds and rss (MB) of a unit that includes them; remembered by name.
declare -A remembered
measure() {
    local name=$1 header
    shift
    if [[ -z ${remembered[$name]:-} ]]; then
        for header in "$@"; do echo "#include <$header>"; done >"$work/unit.cpp"
        "$cxx" "${flags[@]}" -ftime-report -c "$work/unit.cpp" -o "$work/unit.o" 2>"$work/report"
        echo - 0 >"$work/time"  # once more for these, since the report takes time itself
        [[ -n $is_check ]] || /usr/bin/time -o "$work/time" -f '%U %M' "$cxx" "${flags[@]}" -c "$work/unit.cpp" -o "$work/unit.o"
        remembered[$name]="$(sed -nE 's/^ TOTAL .* ([0-9.]+)M.*/\1/p' "$work/report") $(tr '\n' ' ' <"$work/time")"
        symbols=$(nm --defined-only "$work/unit.o" | wc -l)
        if [[ $name == tessera/* && $symbols -gt 0 ]]; then
            echo "$name: the object of a unit that only includes it has $symbols symbols:" >&2
            nm -C --defined-only "$work/unit.o" | head -n 5 >&2
            status=1
        fi
    fi
    read -r memory seconds rss <<<"${remembered[$name]}"
}

# The standard headers of a module and those it uses.
standard_headers() {
    local m folders=()
    for m in $(closure "$1" | sort -u); do [[ $m == error_feedback ]] || folders+=("include/tessera/$m"); done
    grep -rhoE '^#include <[a-z_]+>' "${folders[@]}" | sed -E 's/.*<(.*)>/\1/' | sort -u
}

# heaviest MODULE: sets heaviest_name and heaviest_memory.
heaviest() {
    heaviest_name="" heaviest_memory=0
    local package header
    for package in $(packages_of "$1"); do
        case $package in
        xsimd) header=xsimd/xsimd.hpp ;;
        Eigen3) header=Eigen/Cholesky ;;
        nlohmann_json) header=nlohmann/json.hpp ;;
        *) continue ;;
        esac
        measure "$header" "$header"
        if awk "BEGIN { exit !($memory > $heaviest_memory) }"; then heaviest_name=$package heaviest_memory=$memory; fi
    done
    if [[ -z $heaviest_name ]]; then
        # shellcheck disable=SC2046  # a list of words
        measure "standard headers of $1" $(standard_headers "$1")
        heaviest_name="standard headers" heaviest_memory=$memory
    fi
}

status=0
is_check=
if [[ ${1:-} == --check ]]; then is_check=yes && shift; fi
modules=("$@")
if ((${#modules[@]} == 0)); then mapfile -t modules < <(all_modules) && modules+=(tessera); fi

printf '%-16s %8s %8s %8s   %s\n' module seconds "RSS MB" memory "times its heaviest dependency"
for module in "${modules[@]}"; do
    header=$(umbrella "$module")
    [[ -f include/$header ]] || continue  # core and kernels have no umbrella
    bound=$limit
    if [[ $module == tessera ]]; then
        bound=$limit_of_all
        heaviest app
    else
        heaviest "$module"
    fi
    measure "$header" "$header"
    ratio=$(awk "BEGIN { printf \"%.2f\", $memory / $heaviest_memory }")
    note=
    if awk "BEGIN { exit !($ratio > $bound) }"; then
        note=" above $bound"
        if [[ -n $is_check ]]; then status=1; fi
    fi
    printf '%-16s %8s %8d %6d M   %s (%s, %d M)%s\n' "$module" "$seconds" $((rss / 1024)) "${memory%.*}" "$ratio" \
        "$heaviest_name" "${heaviest_memory%.*}" "$note"
done

# A whole program in one unit, with a list of four formats: model directory, text, three encoders, evaluation.
if (($# == 0)); then
    program=examples/own_encoder.cpp
    /usr/bin/time -o "$work/time" -f '%U %M' "$cxx" "${flags[@]}" -c $program -o "$work/program.o"
    read -r seconds rss <"$work/time"
    printf '%-16s %8s %8d   %s\n' "one unit" "$seconds" $((rss / 1024)) "($program)"
fi
exit $status
