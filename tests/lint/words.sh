#!/usr/bin/env bash
# The project speaks of itself alone: no hosts of package registries, no absolute paths of a machine.
set -uo pipefail
found=$(git grep -nIE 'deb\.debian\.org|repo1?\.maven\.(org|apache)|pypi\.org|registry\.npmjs|crates\.io|(^|[^A-Za-z0-9_.])/(home|root)/' \
    -- . ':!tests/lint/words.sh')
[ -z "$found" ] || { echo "$found"; exit 1; }
