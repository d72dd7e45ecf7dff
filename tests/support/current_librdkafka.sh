#!/usr/bin/env bash
# Puts a current librdkafka for a program that was built with an older one into current-librdkafka below the build
# directory, for LD_LIBRARY_PATH: the one that the Python client brings along. Prints the path of that Python. Status 77: it
# can't be had.
# Usage: current_librdkafka.sh BUILD_DIRECTORY PROGRAM
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1/current-librdkafka
python=$("$here/python.sh" "$1" 2.12.1)
library=$(ls "$(dirname "$python")"/../lib/python3*/site-packages/confluent_kafka.libs/librdkafka*.so*)
mkdir -p "$directory"
ln -sf "$(realpath "$library")" "$directory/librdkafka.so.1"
libraries=$(LD_LIBRARY_PATH=$directory ldd "$2") # as a whole: ldd fails when its reader has seen enough
[[ $libraries == *current-librdkafka* ]] || {
    echo "the program does not load $library" >&2
    exit 1
}
echo "$python"
