#!/usr/bin/env bash
# The reference pages are what the tables say. Usage: docs.sh PROGRAM
set -uo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
"$1" docs --output "$directory" > /dev/null || exit 1
diff -ru docs/reference "$directory" > "$directory.diff" || {
    head -n 40 "$directory.diff"
    echo "docs/reference is stale: run make docs"
    rm -f "$directory.diff"
    exit 1
}
rm -f "$directory.diff"
