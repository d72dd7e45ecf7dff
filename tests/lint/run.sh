#!/usr/bin/env bash
# The house rules that a script can check. Usage: run.sh [path of the built program]
set -uo pipefail
cd "$(dirname "$0")/../.."
program=${1:-}
failed=0
for check in arrows homes sizes prefixes words; do
    tests/lint/$check.sh || { echo "lint: $check FAILED"; failed=1; }
done
python3 tests/crash/mutants.py --check || { echo "lint: mutants FAILED"; failed=1; }
if command -v clang-format > /dev/null; then
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror || { echo "lint: format FAILED (make format)"; failed=1; }
else
    echo "SKIP: lint format needs clang-format"
    [ -z "${TIDEMILL_NO_SKIP:-}" ] || failed=1
fi
if [ -x "$program" ]; then
    tests/lint/docs.sh "$program" || { echo "lint: docs FAILED"; failed=1; }
fi
[ $failed -eq 0 ] && echo "lint: clean"
exit $failed
