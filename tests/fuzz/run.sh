#!/usr/bin/env bash
# Builds every fuzzer with clang and runs each for some seconds. Usage: run.sh SECONDS [name...]
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=$1
shift
command -v clang > /dev/null || { echo "SKIP: the fuzzers need clang"; exit 77; }
build=${BUILD:-build}-fuzz
[ -f "$build/build.ninja" ] || cmake -S . -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DSANITIZE=address;undefined" -DTIDEMILL_FUZZ=ON > /dev/null || exit 1
fuzzers=${*:-$(cd tests/fuzz && ls fuzz_*.c | sed 's/\.c$//')}
cmake --build "$build" --parallel "${JOBS:-$(nproc)}" --target $fuzzers || exit 1
failed=0
for fuzzer in $fuzzers; do
    corpus=$build/corpus/$fuzzer
    mkdir -p "$corpus"
    seeds=tests/fuzz/seeds/$fuzzer
    if "$build/tests/$fuzzer" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$corpus-" "$corpus" \
        $([ -d "$seeds" ] && echo "$seeds") > "$build/$fuzzer.log" 2>&1; then
        echo "$fuzzer: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$fuzzer.log") inputs, none bad"
    else
        echo "FAILED $fuzzer"
        tail -n 40 "$build/$fuzzer.log" | sed 's/^/    /'
        failed=1
    fi
done
exit $failed
