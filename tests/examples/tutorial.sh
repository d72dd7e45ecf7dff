#!/usr/bin/env bash
# The tutorial, tried step by step. Usage: tutorial.sh PROGRAM
cd "$(dirname "$0")/../.." && exec python3 tests/examples/tutorial.py "$1" docs/tutorial.md
