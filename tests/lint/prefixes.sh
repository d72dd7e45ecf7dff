#!/usr/bin/env bash
# Functions that a header declares begin with the header's name (for x_y.h: with x_; bytes.h also has slices, restore.h the
# restorer).
set -uo pipefail

failed=0
for header in $(git ls-files 'runtime/*.h' 'operators/*.h' 'scripts/*.h' 'connectors/*.h'); do
    name=$(basename "$header" .h)
    prefix=${name%%_*}
    bad=$(grep -nE '^[a-z][a-z0-9_ *]*[ *][a-z][a-z0-9_]*\(' "$header" | grep -vE '^[0-9]+:(typedef|return|#)' |
        sed -E 's/^([0-9]+):[a-z][a-z0-9_ *]*[ *]([a-z][a-z0-9_]*)\(.*/\1 \2/' | grep -vE " (${prefix%s}s?|slice|restorer)(_|$)")
    if [ -n "$bad" ]; then
        echo "$bad" | sed "s|^|$header:|; s|\$| does not begin with ${prefix}_|"
        failed=1
    fi
done
exit $failed
