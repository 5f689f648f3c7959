# Sourced by the scripts: makes sure that what they need is there, on Debian, Ubuntu and their kin.

# What every build needs, as Debian names it.
build_packages=(g++ cmake ninja-build libeigen3-dev libxsimd-dev nlohmann-json3-dev libutf8proc-dev libcli11-dev
    libre2-dev)

has_header() {
    local folder
    for folder in /usr/include /usr/include/eigen3 /usr/local/include /usr/local/include/eigen3; do
        [[ -e $folder/$1 ]] && return
    done
    return 1
}

# Looks for the thing, not for the package: what was installed in another way counts, too.
has_package() {
    case $1 in
        g++) command -v c++ || command -v g++ ;;
        cmake) command -v cmake ;;
        ninja-build) command -v ninja ;;
        libeigen3-dev) has_header Eigen/Core ;;
        libxsimd-dev) has_header xsimd/xsimd.hpp ;;
        nlohmann-json3-dev) has_header nlohmann/json.hpp ;;
        libutf8proc-dev) has_header utf8proc.h ;;
        libpcre2-dev) has_header pcre2.h ;;
        libcli11-dev) has_header CLI/CLI.hpp ;;
        libre2-dev) has_header re2/re2.h ;;
        g++-aarch64-linux-gnu) command -v aarch64-linux-gnu-g++ ;;
        doctest-dev) has_header doctest/doctest.h ;;
        clang-format-19 | doxygen) command -v "$1" ;;
        *) false ;;
    esac >/dev/null
}

# need_packages NAME...: installs those that are missing. Where it may not, prints the command that would; exits with 2.
need_packages() {
    local package missing=()
    for package in "$@"; do
        has_package "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    local install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        echo "missing: ${missing[*]} (Debian's names), and no apt-get to install them with" >&2
        exit 2
    elif ((EUID != 0)); then
        if ! sudo -n true 2>/dev/null; then
            printf 'missing: %s\nTo install them, run:\n    sudo sh -c "%s"\n' "${missing[*]}" "$install" >&2
            exit 2
        fi
        as_root=(sudo -n)
    fi
    echo "installing ${missing[*]}"
    local output
    if ! output=$("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c "$install" 2>&1); then
        printf '%s\ncould not install %s\n' "$output" "${missing[*]}" >&2
        exit 2
    fi
}
