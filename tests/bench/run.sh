#!/usr/bin/env bash
# Every benchmark, or those whose name begins with one of the arguments ("store"), one after the other. Each prints its
# costs beside a bare reference loop of the same run. Those of connectors are run by connectors.sh.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
[ -f "$build/build.ninja" ] || cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release > /dev/null
wanted() { # NAME
    [ ${#parts[@]} -gt 0 ] || return 0
    local part
    for part in "${parts[@]}"; do
        case $1 in bench_"$part"*) return 0 ;; esac
    done
    return 1
}

parts=("$@")
cmake --build "$build" --parallel "${JOBS:-$(nproc)}" > /dev/null || exit 1
for bench in tests/bench/bench_*.c; do
    name=$(basename "$bench" .c)
    case $name in
    *_kafka_*) continue ;; # needs a broker: tests/bench/kafka.sh starts one
    *_end_to_end) continue ;; # bench_embedded.sh calls it
    *_connectors_*) continue ;; # connectors.sh: `make bench-connectors`
    esac
    [ -x "$build/tests/$name" ] && wanted "$name" || continue
    echo "== $name"
    "$build/tests/$name" || exit 1
done
for script in tests/bench/bench_*.sh tests/bench/kafka.sh tests/bench/kafka_restore.sh; do
    [ -x "$script" ] && wanted "$(basename "$script")" || continue
    echo "== $(basename "$script" .sh)"
    BUILD=$build "$script" "$build/tidemill" || [ $? = 77 ] || exit 1
done
