#!/usr/bin/env bash
# Measures peakmask on this machine's GPU, and checks that it computes what the CPU computes: one call, under 9 minutes.
#
#     benches/hardware.sh build DIR [--tested]    builds all programs and copies them, with the data they need, into DIR
#     DIR/hardware.sh run [DIR] [--small]         runs them; needs nothing but DIR and a Vulkan loader
#
# `run` writes hardware.json and hardware.md into the folder that OUT names (target/ unless set). PEAKMASK_ADAPTER names the
# adapter where there are several; PYTHON the interpreter that has CuPy. `--small` takes sizes fit for software Vulkan, and
# proves this script there; `--tested` builds the measuring program as the tests are built: slower, but there already.

set -euo pipefail

tests=(differential golden behaviour)

main() {
    case ${1:-} in
        build) shift && build "$@" ;;
        run) shift && run "$@" ;;
        *) usage ;;
    esac
}

usage() {
    sed -n 's/^#  \{4,\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

build() {
    [[ $# -ge 1 && ($# == 1 || $2 == --tested) ]] || usage
    local dir
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    rm -rf "${dir:?}"/{tests,data,hardware,cuda.py,hardware.sh,revision}
    mkdir "$dir/tests" "$dir/data"
    local name
    for name in "${tests[@]}"; do
        place "$dir/tests/$name" cargo test --locked --no-run --test "$name"
    done
    if [[ ${2:-} == --tested ]]; then
        place "$dir/hardware" cargo test --locked -p peakmask-benches --no-run --bench hardware
    else
        place "$dir/hardware" env CARGO_PROFILE_BENCH_DEBUG=false cargo bench --locked -p peakmask-benches --no-run --bench hardware
    fi
    cp tests/data/*.npz "$dir/data/"
    cp benches/peers/cuda.py benches/hardware.sh "$dir/"
    git rev-parse --short HEAD >"$dir/revision" 2>/dev/null || echo unknown >"$dir/revision"
    du -sh "$dir"
}

# place FILE COMMAND...: the one program that cargo builds, without what serves debuggers.
place() {
    local file=$1 said program
    shift
    said=$("$@" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
    program=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$said")
    [[ -f $program ]] || {
        echo "cargo did not say what it built: $said" >&2
        exit 1
    }
    strip -o "$file" "$program" 2>/dev/null || cp "$program" "$file"
}

run() {
    local dir small=()
    dir=$(dirname "${BASH_SOURCE[0]}")
    while (($#)); do
        case $1 in
            --small) small=(--small --seconds 55) ;;
            -*) usage ;;
            *) dir=$1 ;;
        esac
        shift
    done
    [[ -x $dir/hardware ]] || {
        echo "there is no $dir/hardware: benches/hardware.sh build $dir makes it" >&2
        exit 1
    }
    local out=${OUT:-target}
    mkdir -p "$out"
    # A driver that hangs is not waited for; both files are written after every part.
    local limit=()
    command -v timeout >/dev/null && limit=(timeout --kill-after=5 530)
    PEAKMASK_TEST_DATA=$(cd "$dir/data" && pwd) "${limit[@]}" "$dir/hardware" \
        --tests "$dir/tests" --peer "$dir/cuda.py" --json "$out/hardware.json" --markdown "$out/hardware.md" \
        --date "$(date -u +%Y-%m-%d)" --revision "$(cat "$dir/revision")" "${small[@]}"
    echo "$out/hardware.md, $out/hardware.json"
}

main "$@"
