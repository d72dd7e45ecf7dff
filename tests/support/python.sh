#!/usr/bin/env bash
# Prints the path of a Python with the independent Kafka client of the tests (confluent-kafka), in a virtual environment
# under the build directory; made when it is missing. Status 77: it can't be had.
# Usage: python.sh BUILD_DIRECTORY [VERSION]
set -uo pipefail
version=${2:-2.6.1}
venv=$1/venv-$version
if ! "$venv/bin/python" -c 'import confluent_kafka' 2> /dev/null; then
    {
        python3 -m venv --clear "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "confluent-kafka==$version"
    } > "$1/venv.log" 2>&1 || {
        echo "SKIP: the Python package confluent-kafka $version can't be had: $(tail -n 1 "$1/venv.log")" >&2
        exit 77
    }
fi
echo "$venv/bin/python"
