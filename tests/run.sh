#!/usr/bin/env bash
# Runs the test suites and prints a table. Usage: run.sh [suite...]; BUILD and JOBS come from the Makefile.
#
# A suite is a function below. It ends with 0 (passed), 77 (skipped: something it needs can't be had) or anything else
# (failed). With TIDEMILL_NO_SKIP=1, as in CI, a skipped suite counts as failed.
set -uo pipefail
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
JOBS=${JOBS:-$(nproc)}
all_suites="build lint unit vectors examples cli tutorial flights kafka address thread fuzz"
suites=${*:-$all_suites}

configure() { # directory, cmake options
    local directory=$1
    shift
    [ -f "$directory/build.ninja" ] || cmake -S . -B "$directory" -G Ninja "$@" > /dev/null
}

ctest_in() { # directory, further ctest options; what failed is shown whole
    local directory=$1 status
    shift
    ctest --test-dir "$directory" --output-on-failure --no-tests=error -j "$JOBS" "$@" > "$directory/ctest.log" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        grep -E 'tests passed|passed,' "$directory/ctest.log"
    else
        grep -vE '^ *Start |Passed +[0-9.]+ sec' "$directory/ctest.log" | tail -n 300
    fi
    return $status
}

build() {
    configure "$BUILD" -DCMAKE_BUILD_TYPE=Release && cmake --build "$BUILD" --parallel "$JOBS"
}
lint() { tests/lint/run.sh "$BUILD/tidemill"; }
unit() { ctest_in "$BUILD" -R '^unit/'; }
vectors() { ctest_in "$BUILD" -R '^vectors' -V; }
examples() { "$BUILD/tidemill" test examples; }
cli() { tests/cli/run.sh "$BUILD/tidemill"; }
tutorial() { tests/examples/docs.sh "$BUILD/tidemill" && tests/examples/tutorial.sh "$BUILD/tidemill"; }
flights() { tests/examples/flights.sh "$BUILD/tidemill"; }
kafka() { tests/kafka/run.sh "$BUILD"; }
address() {
    configure "$BUILD-address" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DSANITIZE=address;undefined" &&
        cmake --build "$BUILD-address" --parallel "$JOBS" &&
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ctest_in "$BUILD-address" &&
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$BUILD-address/tidemill" test examples
}
thread() {
    configure "$BUILD-thread" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSANITIZE=thread &&
        cmake --build "$BUILD-thread" --parallel "$JOBS" &&
        TSAN_OPTIONS=suppressions=$PWD/tests/support/tsan.supp:halt_on_error=1 ctest_in "$BUILD-thread"
}
fuzz() { tests/fuzz/run.sh "${FUZZ_SECONDS:-5}"; }

names=() results=() seconds=() failed=0 skipped=0
for suite in $suites; do
    case " $all_suites " in
    *" $suite "*) ;;
    *) echo "There is no suite $suite. The suites are: $all_suites" >&2; exit 2 ;;
    esac
    echo "== $suite"
    began=$SECONDS
    "$suite"
    status=$?
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

echo
for i in "${!names[@]}"; do
    printf '%-10s %-8s %5d s\n' "${names[$i]}" "${results[$i]}" "${seconds[$i]}"
done
echo "suites: $((${#names[@]} - failed - skipped)) passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$skipped" -eq 0 ] || [ -z "${TIDEMILL_NO_SKIP:-}" ] || exit 1
