#!/usr/bin/env bash
# The exactly-once test once more, shorter, with a current librdkafka under the same program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(dirname "$TIDEMILL")
python=$("$here/../support/current_librdkafka.sh" "$build" "$TIDEMILL")
export LD_LIBRARY_PATH=$build/current-librdkafka
RECORDS=200000 exec "$python" "$here/exactly_once_test.py"
