# shellcheck shell=bash
# For commands whose test files each need a virtual machine, which has one processor: as many files at a time as there
# are processors here. To be sourced; who sources it defines `run_file FILE ARGUMENT…`, whose last line counts.

# Runs one file, or all of a folder, those first that take longest; the output of each comes in one piece when it has
# ended. The last line counts all; the status is that of the tests.
run_files() { # logs folder first-file… -- [file argument…]
    local logs=$1 folder=$2 files=() file log counts passed=0 failed=0 skipped=0
    shift 2
    while [ "$1" != -- ]; do files+=("$folder/$1"); shift; done
    shift
    if [ $# -gt 0 ]; then
        run_file "$@"
        return
    fi
    for file in "$folder"/test_*.py; do
        [[ " ${files[*]} " = *" $file "* ]] || files+=("$file")
    done
    for file in "${files[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
        {
            log=$logs/$(basename "$file" .py).log
            run_file "$file" > "$log" 2>&1
            # shellcheck disable=SC2016 # the inner shell's arguments
            flock "$logs/output" sh -c 'echo "$1"; cat "$2"' - "$file" "$log"
        } &
    done
    wait
    for file in "${files[@]}"; do
        counts=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
            "$logs/$(basename "$file" .py).log")
        read -r p f s <<< "${counts:-0 1 0}"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    done
    printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
    [ $failed = 0 ]
}
