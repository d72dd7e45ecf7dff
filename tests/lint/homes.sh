#!/usr/bin/env bash
# Every outside library has one home.
set -uo pipefail

failed=0
home() { # header pattern, allowed path pattern
    local found
    found=$(git ls-files '*.c' '*.h' | grep -vE "$2" | xargs -r grep -nE "^#include <($1)>" /dev/null)
    if [ -n "$found" ]; then
        echo "$found"
        echo "  <$1> belongs in $2"
        failed=1
    fi
}
home '(librdkafka/)?rdkafka(_mock)?\.h' '^(runtime/kafka|tests/unit/kafka|tests/kafka|tests/bench/bench_kafka)'
home 'sqlite3\.h' '^(runtime/store|runtime/local|connectors/sqlite|tests/unit/(store|local|connectors)|tests/crash/disk|tests/bench/bench_connectors|tests/support/sqlite_)'
home 'lua\.h|lauxlib\.h|lualib\.h' '^(scripts|operators|tests/)'
home 'microhttpd\.h' '^runtime/http'
home 'libpq-fe\.h' '^connectors/postgres'
home 'mysql\.h|mariadb/.*' '^connectors/mariadb'
home 'zlib\.h' '^(runtime/base/gunzip|tests/)'
home 'check\.h' '^tests/'
home 'ck_[a-z]+\.h' '^runtime/|^tests/'
exit $failed
