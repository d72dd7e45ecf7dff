#!/usr/bin/env bash
# Runs a program with a PostgreSQL server of its own.
# Usage: with_postgres.sh PROGRAM [ARGUMENT...]. Exit 77: the server can't be had.
#
# In the program's environment:
#   TIDEMILL_TEST_POSTGRES          the server's URL
#   TIDEMILL_TEST_POSTGRES_CONTROL  postgres.sh, and its directory for this server: the program may run
#   TIDEMILL_TEST_POSTGRES_DIR      "$TIDEMILL_TEST_POSTGRES_CONTROL" kill|stop|start "$TIDEMILL_TEST_POSTGRES_DIR"
# TIDEMILL_TEST_POSTGRES_OPTIONS: options of the server instead of `-c fsync=off`; a measurement sets it to another.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap '"$here/postgres.sh" remove "$dir"; rm -rf "$dir"' EXIT
read -r -a options <<< "${TIDEMILL_TEST_POSTGRES_OPTIONS--c fsync=off}"
"$here/postgres.sh" start "$dir" "${options[@]}" > /dev/null || exit
TIDEMILL_TEST_POSTGRES=$(cat "$dir/url")
TIDEMILL_TEST_POSTGRES_CONTROL=$here/postgres.sh
TIDEMILL_TEST_POSTGRES_DIR=$dir
export TIDEMILL_TEST_POSTGRES TIDEMILL_TEST_POSTGRES_CONTROL TIDEMILL_TEST_POSTGRES_DIR
"$@"
