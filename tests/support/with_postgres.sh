#!/usr/bin/env bash
# Runs a program with a PostgreSQL server of its own: its URL is in the environment as TIDEMILL_TEST_POSTGRES.
# Usage: with_postgres.sh PROGRAM [ARGUMENT...]. Exit 77: the server can't be had.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap '"$here/postgres.sh" remove "$dir"; rm -rf "$dir"' EXIT
"$here/postgres.sh" start "$dir" -c fsync=off > /dev/null || exit
TIDEMILL_TEST_POSTGRES=$(cat "$dir/url")
export TIDEMILL_TEST_POSTGRES
"$@"
