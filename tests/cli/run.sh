#!/usr/bin/env bash
# The program from outside: each file of this folder is a group of tests, run in a directory of its own.
# Usage: run.sh PROGRAM [file...]; 0 when nothing failed.
set -uo pipefail
if [ $# -lt 1 ] || [ ! -x "$1" ]; then
    echo "usage: run.sh PROGRAM [file...]" >&2
    exit 2
fi
program=$(realpath "$1")
shift
here=$(cd "$(dirname "$0")" && pwd)
files=${*:-$(cd "$here" && ls -- *.sh)}
results=$(mktemp)
trap 'rm -f "$results"' EXIT
for file in $files; do
    case $file in run.sh | lib.sh) continue ;; esac
    PROGRAM=$program bash "$here/$file" < /dev/null 2>&1 | tee -a "$results"
    [ "${PIPESTATUS[0]}" -le 1 ] || echo "FAILED $file: did not run to its end" | tee -a "$results"
done
passed=$(grep -c '^ok ' "$results")
failed=$(grep -c '^FAILED ' "$results")
skipped=$(grep -c '^SKIP' "$results")
echo "cli: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
