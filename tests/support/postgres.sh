#!/usr/bin/env bash
# The server of the example shop-cdc, which stands on its own, serves the tests as well: its usage stands there.
exec "$(dirname "$0")/../../examples/shop-cdc/postgres.sh" "$@"
