#!/usr/bin/env bash
# Runs the test suites and prints a table. Usage: run.sh [suite...]; BUILD and JOBS come from the Makefile.
#
# A suite is a function below. It ends with 0 (passed), 77 (skipped: something it needs can't be had) or anything else
# (failed). With TIDEMILL_NO_SKIP=1, as in CI, a skipped suite counts as failed. What failed is shown once more at the
# end, the last lines of each failure, because often only the end of the output is kept.
set -uo pipefail
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
JOBS=${JOBS:-$(nproc)}
all_suites="build lint unit vectors examples cli tutorial flights shop kafka crash address thread fuzz"
suites=${*:-$all_suites}

configure() { # directory, cmake options
    local directory=$1
    shift
    [ -f "$directory/build.ninja" ] || cmake -S . -B "$directory" -G Ninja "$@" > /dev/null
}

failures() { awk -v lines="$1" -f tests/support/failures.awk "$2"; } # lines of each failure, log

ctest_in() { # directory, further ctest options
    local directory=$1 status
    shift
    ctest --test-dir "$directory" --output-on-failure --no-tests=error -j "$JOBS" "$@" > "$directory/ctest.log" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        grep -E 'tests passed|passed,' "$directory/ctest.log"
    else
        failures 100 "$directory/ctest.log"
        sed -n '/% tests passed/,$p' "$directory/ctest.log"
    fi
    return $status
}

examples_with() { # program
    local output
    output=$("$1" test examples 2>&1) && echo "$output" && return
    echo "FAILED examples"
    sed 's/^/    /' <<< "$output"
    return 1
}

build() {
    configure "$BUILD" -DCMAKE_BUILD_TYPE=Release && cmake --build "$BUILD" --parallel "$JOBS"
}
lint() { tests/lint/run.sh "$BUILD/tidemill"; }
unit() { ctest_in "$BUILD" -R '^unit/'; }
vectors() { ctest_in "$BUILD" -R '^vectors' && grep 'passed,' "$BUILD/Testing/Temporary/LastTest.log"; }
examples() { examples_with "$BUILD/tidemill" && tests/examples/pictures.sh "$BUILD/tidemill"; }
cli() { tests/cli/run.sh "$BUILD/tidemill"; }
tutorial() { tests/examples/docs.sh "$BUILD/tidemill" && tests/examples/tutorial.sh "$BUILD/tidemill"; }
flights() { tests/examples/flights.sh "$BUILD/tidemill" && tests/examples/folds.sh "$BUILD/tidemill"; }
shop() { tests/examples/shop.sh "$BUILD/tidemill"; }
kafka() { tests/kafka/run.sh "$BUILD"; }
crash() {
    configure "$BUILD-crash" -DCMAKE_BUILD_TYPE=Release -DTIDEMILL_FAILPOINTS=ON &&
        cmake --build "$BUILD-crash" --parallel "$JOBS" --target tidemill crash_simulation protocol_simulation &&
        SEED=${SEED:-1} VENV=$BUILD JOBS=$JOBS tests/crash/run.sh "$BUILD-crash"
}
address() {
    configure "$BUILD-address" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DSANITIZE=address;undefined" &&
        cmake --build "$BUILD-address" --parallel "$JOBS" || return 1
    local -x UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    local result=0
    examples_with "$BUILD-address/tidemill" || result=1
    ctest_in "$BUILD-address" && return "$result"
}
thread() {
    configure "$BUILD-thread" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSANITIZE=thread &&
        cmake --build "$BUILD-thread" --parallel "$JOBS" &&
        TSAN_OPTIONS=suppressions=$PWD/tests/support/tsan.supp:halt_on_error=1 ctest_in "$BUILD-thread"
}
fuzz() { tests/fuzz/run.sh "${FUZZ_SECONDS:-5}"; }

show_failures() { # suite, its log
    local text
    text=$(failures 12 "$2")
    echo
    echo "-- $1 failed:"
    if [ -n "$text" ]; then
        echo "$text"
    else
        tail -n 20 "$2"
    fi
}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
names=() results=() seconds=() failed=0 skipped=0
for suite in $suites; do
    case " $all_suites " in
    *" $suite "*) ;;
    *) echo "There is no suite $suite. The suites are: $all_suites" >&2; exit 2 ;;
    esac
    echo "== $suite"
    began=$SECONDS
    "$suite" 2>&1 | tee "$logs/$suite"
    status=${PIPESTATUS[0]}
    case $status in
    0) result=passed ;;
    77)
        result=SKIPPED
        skipped=$((skipped + 1))
        echo "SKIP: suite $suite"
        ;;
    *) result=FAILED; failed=$((failed + 1)) ;;
    esac
    names+=("$suite") results+=("$result") seconds+=($((SECONDS - began)))
    [ "$suite" = build ] && [ "$status" -ne 0 ] && break
done

for i in "${!names[@]}"; do
    [ "${results[$i]}" = FAILED ] && show_failures "${names[$i]}" "$logs/${names[$i]}"
done
echo
for i in "${!names[@]}"; do
    printf '%-10s %-8s %5d s\n' "${names[$i]}" "${results[$i]}" "${seconds[$i]}"
done
echo "suites: $((${#names[@]} - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$skipped" -eq 0 ] || [ -z "${TIDEMILL_NO_SKIP:-}" ] || exit 1
