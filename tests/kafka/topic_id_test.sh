#!/usr/bin/env bash
# Topics that are deleted and made again, with a librdkafka that knows topic ids.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(dirname "$TIDEMILL")
python=$("$here/../support/current_librdkafka.sh" "$build" "$TIDEMILL")
export LD_LIBRARY_PATH=$build/current-librdkafka
exec "$python" "$here/topic_id.py"
