#!/usr/bin/env bash
# The exactly-once test once more, shorter, with a current librdkafka under the same program: the one that the Python client
# brings along.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(dirname "$TIDEMILL")
python=$("$here/../support/python.sh" "$build" 2.12.1)
library=$(ls "$(dirname "$python")"/../lib/python3*/site-packages/confluent_kafka.libs/librdkafka*.so*)
mkdir -p "$build/current-librdkafka"
ln -sf "$(realpath "$library")" "$build/current-librdkafka/librdkafka.so.1"
export LD_LIBRARY_PATH=$build/current-librdkafka
libraries=$(ldd "$TIDEMILL") # as a whole: ldd fails when its reader has seen enough
[[ $libraries == *current-librdkafka* ]] || { echo "the program does not load $library"; exit 1; }
RECORDS=200000 exec "$python" "$here/exactly_once_test.py"
