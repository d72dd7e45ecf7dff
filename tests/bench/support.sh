# Helpers of the benches that run whole programs; sourced by them.

# Prints the number in the middle.
median() {
    printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"
}

# Evaluates an arithmetic expression and prints it with so many decimals.
calculate() {
    awk "BEGIN { printf \"%.$1f\", $2 }"
}

# cpu_seconds FILE COMMAND...: runs it, its output into FILE; user and system time of all its threads.
cpu_seconds() {
    local out=$1 times
    shift
    local TIMEFORMAT='%U %S'
    times=$({ time "$@" > "$out" 2> "$out.err" || { cat "$out.err" > /dev/tty; false; }; } 2>&1) || return 1
    awk '{ printf "%.3f", $1 + $2 }' <<< "$times"
}

# Resident and proportional memory of a process in MB.
memory_of() {
    awk '/^Rss:/ { rss = $2 } /^Pss:/ { pss = $2 } END { printf "%.1f MB (Pss %.1f MB)", rss / 1024, pss / 1024 }' \
        "/proc/$1/smaps_rollup"
}

# row WHAT VALUE REFERENCE GOAL
row() {
    printf '%-34s %-26s reference %-34s goal %s\n' "$1" "$2" "$3" "$4"
}
