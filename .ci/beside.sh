# shellcheck shell=bash
# Sourced by ./test and python/check: what runs beside the steps that follow it.

: "${target:?names the folder for what it says}"
declare -A going=()

# beside NAME COMMAND...: begins it, as a job: a group of processes that is interrupted as others are, and ends with this
# script at the latest.
beside() {
    local name=$1
    shift
    set -m
    { echo "+ $*"; "$@"; } >"$target/beside-$name.log" 2>&1 </dev/null &
    set +m
    going[$name]=$!
}

# joined NAME: waits for it, and says what it has said; the exit code is the command's.
joined() {
    local code=0
    wait "${going[$1]}" || code=$?
    unset "going[$1]"
    cat "$target/beside-$1.log"
    return "$code"
}

left_over() {
    local group
    for group in "${going[@]}"; do
        kill -- "-$group" 2>/dev/null
    done
}
trap left_over EXIT
