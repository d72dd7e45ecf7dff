# The frame of the tests: a file defines functions test_*, and ends with run_tests. Each runs in an empty directory, in a
# shell of its own, and fails with its first command that does; $out and $err are the last output of `status`.
set -uo pipefail
export NO_COLOR=1 TIDEMILL_BROKERS='' TIDEMILL_CONFIG='' LC_ALL=C.UTF-8
unset TIDEMILL_DATA
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

tm() { "$PROGRAM" "$@"; }

# status N COMMAND...: the command must end with N; its output is in $out and $err.
status() {
    local expected=$1 got=0
    shift
    "$@" > .out 2> .err || got=$?
    out=$(tr -d '\0' < .out) err=$(tr -d '\0' < .err)
    [ "$got" -eq "$expected" ] || {
        echo "status $got instead of $expected: $*"
        echo "$out$err"
        return 1
    }
}

# says TEXT: the last output has the text.
says() {
    case "$out
$err" in *"$1"*) return 0 ;; esac
    echo "\"$1\" is not in: $out"
    echo "$err"
    return 1
}

# contains PATTERN: the input has a line with it. Reads all of it: who writes must not fail because nobody reads on.
contains() {
    local input
    input=$(cat)
    grep -q -- "$1" <<< "$input"
}

same() { # expected, got
    [ "$1" = "$2" ] || {
        echo "expected: $1"
        echo "got:      $2"
        return 1
    }
}

skip() {
    echo "SKIP_TEST $*"
    exit 77
}

# Waits, without limit of time but for the machine's sake, until the command succeeds.
await() {
    local rounds=0
    until "$@" > /dev/null 2>&1; do
        sleep 0.05
        rounds=$((rounds + 1))
        [ $rounds -lt 1200 ] || { echo "never came true: $*"; return 1; }
    done
}

run_tests() {
    local failed=0 name directory log status
    for name in $(declare -F | awk '{ print $3 }' | grep '^test_'); do
        directory=$(mktemp -d)
        log=$(mktemp)
        # What a test that failed left running ends with it.
        (trap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT; cd "$directory" && set -e && "$name") > "$log" 2>&1
        status=$?
        case $status in
        0) echo "ok $(basename "$0" .sh): ${name#test_}" ;;
        77) echo "SKIP $(basename "$0" .sh): ${name#test_}: $(sed -n 's/^SKIP_TEST //p' "$log")" ;;
        *)
            echo "FAILED $(basename "$0" .sh): ${name#test_}"
            sed 's/^/    /' "$log" | tail -n 30
            failed=1
            ;;
        esac
        chmod -R u+rwx "$directory" 2> /dev/null
        rm -rf "$directory" "$log"
    done
    exit $failed
}
