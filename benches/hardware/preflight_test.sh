#!/usr/bin/env bash
# The preflight of benches/hardware.sh on machines made of folders: where it finds a loader, a driver and a GPU, what it
# takes, and what it says when there is none. Prints how many cases passed.

set -euo pipefail
script=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/hardware.sh
bed=$(mktemp -d)
trap 'rm -rf "$bed"' EXIT
passed=0

main() {
    without_a_loader
    with_a_driver_in_its_usual_place
    with_drivers_that_are_given
    with_a_driver_in_a_containers_place
    with_a_library_and_no_file
    with_software_alone
    with_a_driver_that_crashes
    echo "$passed passed"
}

# A machine with nothing on it: a tree of folders, tools that find nothing, and a measuring program that lists what the file `lists/NAME`
# holds for the driver files NAME, and writes down how it was called.
machine() {
    rm -rf "${bed:?}"/*
    mkdir -p "$bed"/{tree/usr/share/vulkan/icd.d,tools,dir/data,lists,out}
    echo 1234567 >"$bed/dir/revision"
    touch "$bed/dir/data/openfield_41x63_f64.npz"
    # shellcheck disable=SC2016  # it knows where it is
    tool ldconfig 'cat "$BED/loader" 2>/dev/null || true'
    cat >"$bed/dir/hardware" <<'END'
#!/usr/bin/env bash
name=$(basename "${VK_DRIVER_FILES:-usual}")
if [[ $1 == --list ]]; then
    [[ ! -e $BED/lists/$name.crash ]] || kill -SEGV $$
    cat "$BED/lists/$name" 2>/dev/null || echo "there is no adapter" >&2
    exit
fi
printf '%s\n' "$@" >"$BED/called"
echo "VK_DRIVER_FILES=${VK_DRIVER_FILES:-} PEAKMASK_ADAPTER=${PEAKMASK_ADAPTER:-}" >>"$BED/called"
[[ " $* " != *" --failed "* ]]
END
    chmod +x "$bed/dir/hardware"
}

tool() {
    printf '#!/usr/bin/env bash\n%s\n' "$2" >"$bed/tools/$1"
    chmod +x "$bed/tools/$1"
}

loader() {
    printf '\tlibvulkan.so.1 (libc6,x86-64) => /lib/libvulkan.so.1\n' >"$bed/loader"
}

driver_file() {
    mkdir -p "$bed/tree$(dirname "$1")"
    echo '{"ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}' >"$bed/tree$1"
}

# list NAME KIND [PCI]: with these driver files there is a GPU.
list() {
    local chosen='*'
    [[ $2 != software ]] || chosen=-
    printf '%s\t3\t%s\t%s\tdriver 1\tA name\n' "$chosen" "$2" "${3:--}" >"$bed/lists/$1"
}

# attempt CODE [VARIABLE=VALUE...] -- WORDS...: runs the script, which must end so.
attempt() {
    local expected=$1 code=0 variables=()
    shift
    while [[ $1 != -- ]]; do
        variables+=("$1")
        shift
    done
    shift
    rm -f "$bed/called"
    env -u VK_DRIVER_FILES -u VK_ICD_FILENAMES -u LD_LIBRARY_PATH -u PEAKMASK_ADAPTER "${variables[@]}" BED="$bed" OUT="$bed/out" \
        HARDWARE_ROOT="$bed/tree" PATH="$bed/tools:$PATH" "$script" "$1" "$bed/dir" "${@:2}" >"$bed/said" 2>&1 || code=$?
    [[ $code == "$expected" ]] || fail "exit code $code instead of $expected"
}

# holds FILE TEXT: and so it says.
holds() {
    grep -qF -- "$2" "$bed/$1" || fail "'$2' is not in $1"
}

lacks() {
    ! grep -qF -- "$2" "$bed/$1" || fail "'$2' is in $1"
}

fail() {
    echo "FAILED: ${FUNCNAME[2]}: $1" >&2
    tail -n 30 "$bed"/{said,called,out/*} >&2 || true
    exit 1
}

done_with() {
    passed=$((passed + 1))
}

without_a_loader() {
    machine
    list usual 'discrete GPU'
    attempt 1 -- run
    # The diagnosis is in the result, and the program writes it down as well.
    holds called '--failed'
    holds called 'there is no Vulkan loader (libvulkan.so.1)'
    holds out/hardware.md 'Vulkan loader: nothing'
    attempt 1 -- preflight
    holds said 'install libvulkan1'
    # Where LD_LIBRARY_PATH says.
    mkdir "$bed/lib"
    touch "$bed/lib/libvulkan.so.1"
    attempt 0 LD_LIBRARY_PATH="$bed/lib" -- run
    holds out/preflight.txt "Vulkan loader: $bed/lib/libvulkan.so.1"
    done_with
}

with_a_driver_in_its_usual_place() {
    machine
    loader
    driver_file /usr/share/vulkan/icd.d/nvidia_icd.json
    list usual 'discrete GPU' 0000:C3:00.0
    local folder=$bed/tree/sys/bus/pci/devices/0000:c3:00.0
    mkdir -p "$folder"
    echo '32.0 GT/s PCIe' >"$folder/max_link_speed"
    echo 16 >"$folder/max_link_width"
    printf '%s\n' '0x00000000a0000000 0x00000000a0ffffff 0x0' '0x0000004000000000 0x0000005fffffffff 0x0' \
        '0x0000000000000000 0x0000000000000000 0x0' >"$folder/resource"
    tool nvidia-smi 'echo "smi $*"'
    attempt 0 -- run --bins 5000
    holds called 'VK_DRIVER_FILES= PEAKMASK_ADAPTER=3'
    holds called 5000
    lacks called --failed
    for line in "nvidia_icd.json (libGLX_nvidia.so.0, not found)" 'max_link_speed: 32.0 GT/s PCIe' 'max_link_width: 16' \
        'largest BAR: 131072 MiB' 'clocks.max.sm' 'nvidia-smi, BAR1: ' 'nvidia-smi: smi -L' \
        'result: A name (discrete GPU), adapter 3, PCI 0000:C3:00.0'; do
        holds out/preflight.txt "$line"
        holds out/hardware.md "$line"
    done
    # Without data nothing is begun.
    rm "$bed/dir/data/openfield_41x63_f64.npz"
    (cd "$bed" && attempt 1 -- run)
    holds said 'there are no data'
    touch "$bed/dir/data/openfield_41x63_f64.npz"
    # Nonsense is refused.
    attempt 2 -- run --bins none
    attempt 2 -- run --bins
    done_with
}

with_drivers_that_are_given() {
    machine
    loader
    driver_file /usr/share/vulkan/icd.d/nvidia_icd.json
    driver_file /given.json
    list usual 'discrete GPU'
    list given.json 'integrated GPU'
    attempt 0 VK_DRIVER_FILES="$bed/tree/given.json" -- run
    holds called "VK_DRIVER_FILES=$bed/tree/given.json PEAKMASK_ADAPTER=3"
    holds out/preflight.txt 'VK_DRIVER_FILES, as it stands: '
    # As it stands, whatever else there is.
    attempt 1 VK_DRIVER_FILES=/nowhere.json -- run
    holds called 'no driver yields a GPU'
    holds out/preflight.txt '/nowhere.json (not there)'
    done_with
}

with_a_driver_in_a_containers_place() {
    machine
    loader
    driver_file /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
    list usual software
    list nvidia_icd.json 'discrete GPU'
    attempt 0 -- run
    holds called "VK_DRIVER_FILES=$bed/tree/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json"
    done_with
}

with_a_library_and_no_file() {
    machine
    loader
    mkdir -p "$bed/tree/usr/local/nvidia/lib64"
    touch "$bed"/tree/usr/local/nvidia/lib64/lib{GLX,EGL}_nvidia.so.0
    # What a display is needed for does not load without one; the other library does.
    list libEGL_nvidia_icd.json 'discrete GPU'
    attempt 0 -- run
    holds called "VK_DRIVER_FILES=$bed/out/libEGL_nvidia_icd.json"
    holds out/libEGL_nvidia_icd.json "\"library_path\": \"$bed/tree/usr/local/nvidia/lib64/libEGL_nvidia.so.0\""
    holds out/preflight.txt "adapters by $bed/out/libGLX_nvidia_icd.json: there is no adapter"
    # The first one that yields a GPU serves.
    list libGLX_nvidia_icd.json 'discrete GPU'
    attempt 0 -- run
    holds called "VK_DRIVER_FILES=$bed/out/libGLX_nvidia_icd.json"
    done_with
}

with_software_alone() {
    machine
    loader
    list usual software
    for words in run preflight; do
        attempt 1 -- "$words"
        holds out/preflight.txt 'there is only software'
    done
    attempt 0 -- run --small
    holds called --small
    holds called PEAKMASK_ADAPTER=3
    # Named, it is software still; another one's name is no leave for it.
    sed -i 's/^-/*/' "$bed/lists/usual"
    attempt 1 PEAKMASK_ADAPTER='A name' -- run
    attempt 0 PEAKMASK_ADAPTER='A name' -- run --small
    list usual software
    attempt 1 PEAKMASK_ADAPTER=other -- run --small
    holds called 'no driver yields a GPU'
    done_with
}

with_a_driver_that_crashes() {
    machine
    loader
    driver_file /usr/share/vulkan/icd.d/nvidia_icd.json
    touch "$bed/lists/usual.crash"
    attempt 1 -- run
    holds out/preflight.txt 'adapters by what is in the usual places: '
    holds out/preflight.txt '(exit code 139)'
    done_with
}

main
