#!/usr/bin/env bash
# Measures peakmask on this machine's GPU, and checks that it computes what the CPU computes: one call, under 9 minutes.
#
#     benches/hardware.sh build DIR [--tested]                builds all programs, and copies them into DIR: 40 MiB at most
#     DIR/hardware.sh run [DIR] [--bins N] [--small]          runs them; needs DIR, the tree's tests/data and a Vulkan loader
#     DIR/hardware.sh preflight [DIR] [--small]               only says which GPU it would take, and why
#
# `run` writes hardware.json and hardware.md into the folder that OUT names (target/ unless set), also when it finds no GPU.
# PEAKMASK_ADAPTER chooses the adapter where there are several; PYTHON the interpreter that has CuPy. `--bins` are the time
# bins of most measurements (100,000). Software is refused, but for `--small`, which takes sizes fit for it, and proves this
# script there. Data are looked for in DIR/data, in tests/data where it is started, and in a tree that DIR is two folders
# below. `--tested` builds the measuring program as the tests are built: slower, but there already.

set -euo pipefail

tests=(differential golden behaviour)
# What DIR may take, beside the tree.
most_kilobytes=40960
# Where everything is looked for; tests have another root.
root=${HARDWARE_ROOT:-}

main() {
    case ${1:-} in
        build) shift && build "$@" ;;
        run) shift && run "$@" ;;
        preflight) shift && only_preflight "$@" ;;
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
    rm -rf "${dir:?}"/{tests,peers,hardware,hardware.sh,revision}
    mkdir "$dir/tests" "$dir/peers"
    local name
    # Of the whole workspace, whose parts have then been built with the features that its tests are built with.
    for name in "${tests[@]}"; do
        place "$dir/tests/$name" cargo test --locked --workspace --no-run --test "$name"
    done
    # They are large, and alike within.
    gzip "$dir"/tests/*
    if [[ ${2:-} == --tested ]]; then
        place "$dir/hardware" cargo test --locked --workspace --no-run --bench hardware
    else
        place "$dir/hardware" env CARGO_PROFILE_BENCH_DEBUG=false cargo bench --locked -p peakmask-benches --no-run --bench hardware
    fi
    cp benches/peers/{cuda,pinned}.py "$dir/peers/"
    cp benches/hardware.sh "$dir/"
    git rev-parse --short HEAD >"$dir/revision" 2>/dev/null || echo unknown >"$dir/revision"
    local kilobytes
    kilobytes=$(cd "$dir" && du -ck tests peers hardware hardware.sh revision | tail -n 1 | cut -f 1)
    echo "$((kilobytes / 1024)) MiB in $dir"
    ((kilobytes <= most_kilobytes)) || {
        echo "that is more than $((most_kilobytes / 1024)) MiB: is there no strip (binutils)?" >&2
        exit 1
    }
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

# Reads the words after the command: sets dir, data, out, small, bins.
given() {
    dir=$(dirname "${BASH_SOURCE[0]}") small='' bins=''
    while (($#)); do
        case $1 in
            --small) small=yes ;;
            --bins) bins=${2:-} && shift ;;
            -*) usage ;;
            *) dir=$1 ;;
        esac
        shift || usage
    done
    [[ -z $bins || $bins =~ ^[1-9][0-9]*$ ]] || usage
    [[ -x $dir/hardware ]] || {
        echo "there is no $dir/hardware: benches/hardware.sh build $dir makes it" >&2
        exit 1
    }
    for data in "$dir/data" tests/data "$dir/../../tests/data" ''; do
        [[ ! -e $data/openfield_41x63_f64.npz ]] || break
    done
    [[ -n $data ]] || {
        echo "there are no data: copy the tree's tests/data to $dir/data, or start this where that is" >&2
        exit 1
    }
    out=${OUT:-target}
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
}

run() {
    local dir data out small bins why='' words=()
    given "$@"
    preflight || words+=(--failed "$why")
    # Whatever becomes of the rest.
    { echo "# peakmask: what was found" && sed 's/^/- /' "$out/preflight.txt"; } >"$out/hardware.md"
    [[ -z $small ]] || words+=(--small --seconds 75)
    [[ -z $bins ]] || words+=(--bins "$bins")
    rm -rf "$out/unpacked" && mkdir "$out/unpacked"
    local name
    for name in "${tests[@]}"; do
        gzip -dc "$dir/tests/$name.gz" >"$out/unpacked/$name" && chmod +x "$out/unpacked/$name"
    done
    # A driver that hangs is not waited for; both files are written after every part.
    local limit=() code=0
    command -v timeout >/dev/null && limit=(timeout --kill-after=5 530)
    PEAKMASK_TEST_DATA=$(cd "$data" && pwd) "${limit[@]}" "$dir/hardware" \
        --tests "$out/unpacked" --peers "$dir/peers" --json "$out/hardware.json" --markdown "$out/hardware.md" \
        --preflight "$out/preflight.txt" --date "$(date -u +%Y-%m-%d)" --revision "$(cat "$dir/revision")" "${words[@]}" ||
        code=$?
    rm -rf "$out/unpacked"
    echo "$out/hardware.md, $out/hardware.json"
    return "$code"
}

only_preflight() {
    local dir data out small bins why=''
    given "$@"
    if preflight; then
        cat "$out/preflight.txt"
    else
        cat "$out/preflight.txt"
        echo "$why" >&2
        exit 1
    fi
}

# Looks for a loader, a driver and a GPU: says what it found in $out/preflight.txt, a line for each thing, and leaves
# VK_DRIVER_FILES as the GPU needs it. Fails, with the reason in `why`, if there is none to measure.
preflight() {
    found=$out/preflight.txt
    : >"$found"
    note machine "$(uname -srm)"
    # Elsewhere a driver is a part of the system.
    [[ $(uname -s) == Linux ]] || {
        attempts=(-)
        choose
        return
    }
    loader || {
        why="there is no Vulkan loader (libvulkan.so.1): install libvulkan1 (Debian, Ubuntu), vulkan-loader (Fedora) or vulkan-icd-loader (Arch)"
        return 1
    }
    drivers
    nvidia
    choose
}

# Takes the first of `attempts` that yields a GPU.
choose() {
    local attempt software='' chosen=''
    for attempt in "${attempts[@]}"; do
        adapters "$attempt"
        if [[ -n $chosen && $chosen != *$'\t'software$'\t'* ]]; then
            take "$attempt"
            return
        fi
        [[ -z $chosen ]] || software=${software:-$attempt}
    done
    if [[ -n $software ]]; then
        [[ -z $small ]] || {
            # The last one tried may be another one.
            adapters "$software"
            take "$software"
            return
        }
        why="there is only software, whose figures count for nothing; --small proves this script on it"
    else
        why="no driver yields a GPU; what was tried, and what each said, is listed"
    fi
    note result "$why"
    return 1
}

note() {
    echo "$1: ${2:-nothing}" >>"$found"
}

# The loader: what programs load by this name.
loader() {
    local paths
    paths=$( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null | sed -n 's/.*libvulkan\.so\.1 .*=> //p')
    paths+=" $(files libvulkan.so.1)"
    note "Vulkan loader" "$(words "$paths")"
    [[ -n ${paths// /} ]]
}

# Puts into `attempts` the values of VK_DRIVER_FILES that are to be tried; `-` leaves it unset.
drivers() {
    local set=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}} file there=() usual=() folder
    if [[ -n $set ]]; then
        for file in ${set//:/ }; do
            there+=("$file ($(library "$file"))")
        done
        note "VK_DRIVER_FILES, as it stands" "${there[*]}"
        attempts=("$set")
        return
    fi
    # Where loaders look by themselves, and where containers and other systems have NVIDIA's file.
    for folder in {/etc,/usr/local/etc,/usr/local/share,/usr/share}/vulkan/icd.d "${HOME:-/root}/.local/share/vulkan/icd.d"; do
        for file in "$root$folder"/*.json; do
            [[ ! -e $file ]] || usual+=("$file ($(library "$file"))")
        done
    done
    note "driver files in the usual places" "${usual[*]:-none}"
    attempts=(-)
    for folder in /usr/local/nvidia /usr/local/nvidia/share /run/opengl-driver/share /opt/nvidia/share \
        /usr/lib/x86_64-linux-gnu/nvidia/current /usr/lib/x86_64-linux-gnu/GL /usr/lib/wsl/lib; do
        for file in "$root$folder"/{vulkan/icd.d/,}nvidia_icd*.json; do
            [[ ! -e $file ]] || attempts+=("$file")
        done
    done
    note "NVIDIA's driver files elsewhere" "${attempts[*]:1}"
    local name path
    for name in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
        path=$(library_path "$name")
        note "$name" "$path"
        [[ -n $path ]] || continue
        file=$out/${name%%.*}_icd.json
        printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' "$path" >"$file"
        attempts+=("$file")
    done
}

# The library that a driver's file names, and whether it is there.
library() {
    [[ -e $1 ]] || {
        echo "not there"
        return
    }
    local name
    name=$(sed -n 's/.*"library_path"[^"]*"\([^"]*\)".*/\1/p' "$1" | head -n 1)
    case $name in
        '') echo "names no library" ;;
        /*) if [[ -e $name ]]; then echo "$name"; else echo "$name, not there"; fi ;;
        */*) echo "$name beside it" ;;
        *) library_path "$name" | sed "s/^$/$name, not found/" ;;
    esac
}

# Where a library lies that the loader would find, or that a container has put beside its other ones.
library_path() {
    local path
    path=$( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null | sed -n "s/.*$1 .*=> //p" | head -n 1)
    if [[ -z $path ]]; then
        path=$(files "$1" "$root"/usr/local/nvidia/{lib64,lib} "$root"/usr/lib64 "$root"/usr/lib/*-linux-gnu "$root"/usr/lib/wsl/lib)
        path=${path%% *}
    fi
    echo "$path"
}

# files NAME FOLDER...: the files of this name in these folders, and where LD_LIBRARY_PATH says.
files() {
    local name=$1 folder more
    shift
    IFS=: read -r -a more <<<"${LD_LIBRARY_PATH:-}"
    for folder in "$@" "${more[@]}"; do
        [[ ! -e $folder/$name ]] || printf '%s ' "$folder/$name"
    done
}

# One line of words.
words() {
    local all
    read -r -d '' -a all <<<"$1" || true
    echo "${all[*]:-}"
}

# The kernel's part of NVIDIA's driver, and the devices that this machine, or this container, has of it.
nvidia() {
    local version=$root/proc/driver/nvidia/version devices=("$root"/dev/nvidia[0-9]*)
    [[ -e $version ]] && version=$(words "$(head -n 1 "$version")") || version=''
    note "NVIDIA's kernel module" "$version"
    [[ -e ${devices[0]} ]] || devices=()
    note "NVIDIA's devices" "${devices[*]}"
    if command -v nvidia-smi >/dev/null; then
        note nvidia-smi "$(words "$(limited nvidia-smi -L 2>&1 || true)")"
    else
        note nvidia-smi "not there"
    fi
}

limited() {
    if command -v timeout >/dev/null; then timeout --kill-after=1 30 "$@"; else "$@"; fi
}

# Sets `chosen` to the line of the adapter that would serve with these driver files, if any.
adapters() {
    local list code=0
    chosen=''
    list=$(with "$1" limited "$dir/hardware" --list 2>&1) || code=$?
    note "adapters by ${1/#-/what is in the usual places}" "$(tr '\t\n' ' ;' <<<"$list")$( ((code)) && echo " (exit code $code)")"
    ((code)) || chosen=$(grep -m 1 $'^\\*\t' <<<"$list" || true)
    # Software serves only when it is named.
    if ((code == 0)) && [[ -z $chosen && -z ${PEAKMASK_ADAPTER:-} ]]; then
        chosen=$(grep -m 1 $'\tsoftware\t' <<<"$list" || true)
    fi
}

# with DRIVERS COMMAND...
with() {
    local drivers=$1
    shift
    # Older loaders know the other name.
    if [[ $drivers == - ]]; then "$@"; else VK_DRIVER_FILES=$drivers VK_ICD_FILENAMES=$drivers "$@"; fi
}

# Leaves the environment as the chosen adapter needs it, and says what there is to say of its card.
take() {
    [[ $1 == - ]] || export VK_DRIVER_FILES=$1 VK_ICD_FILENAMES=$1
    local number kind pci name
    IFS=$'\t' read -r _ number kind pci _ name <<<"$chosen"
    export PEAKMASK_ADAPTER=$number
    note result "$name ($kind), adapter $number, PCI $pci, by VK_DRIVER_FILES=${VK_DRIVER_FILES:-}"
    [[ $pci == - ]] || card "$pci"
}

# What the operating system and NVIDIA's tool say of a card: its link, the part of its memory that the host can write to
# directly, its clocks. An idle card's link and clocks are low; the measuring program asks again while they are used.
card() {
    local folder=$root/sys/bus/pci/devices/${1,,} name
    for name in current_link_speed current_link_width max_link_speed max_link_width; do
        [[ ! -r $folder/$name ]] || note "$name" "$(words "$(cat "$folder/$name" 2>&1 || true)")"
    done
    local first last _ bytes bar=0
    if [[ -r $folder/resource ]]; then
        while read -r first last _; do
            bytes=$((last > first ? last - first + 1 : 0))
            ((bytes <= bar)) || bar=$bytes
        done <"$folder/resource"
        note "largest BAR" "$((bar >> 20)) MiB"
    fi
    command -v nvidia-smi >/dev/null || return 0
    local query=name,driver_version,vbios_version,memory.total,pcie.link.gen.max,pcie.link.width.max
    query+=,pcie.link.gen.current,pcie.link.width.current,clocks.max.sm,clocks.max.mem,clocks.sm,clocks.mem,power.limit
    note "nvidia-smi, $query" "$(words "$(limited nvidia-smi -i "$1" --format=csv,noheader "--query-gpu=$query" 2>&1 || true)")"
    note "nvidia-smi, BAR1" "$(words "$(limited nvidia-smi -i "$1" -q -d MEMORY 2>&1 | sed -n '/BAR1/,/Free/p' || true)")"
}

main "$@"
