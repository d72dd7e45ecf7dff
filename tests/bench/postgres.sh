#!/usr/bin/env bash
# What the PostgreSQL source and sink do in a second, on a server of this run that flushes its log to the disk, beside a
# bare client of the same run: every bench_connectors_postgres_*.
#   postgres.sh [PROGRAM]     the benchmarks lie beside it, in tests/
# Exit 77: the server can't be had here.
set -uo pipefail
cd "$(dirname "$0")/../.."
tools=$(realpath "$(dirname "${1:-build/tidemill}")/tests")
export TIDEMILL_TEST_POSTGRES_OPTIONS=${TIDEMILL_TEST_POSTGRES_OPTIONS:-}
for bench in "$tools"/bench_connectors_postgres_*; do
    [ -x "$bench" ] || continue
    tests/support/with_postgres.sh "$bench" || exit
done
