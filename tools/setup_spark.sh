#!/bin/sh
# Bring pyspark into .venv where there is a Java for it: 434 MB. Where either is not to be had, the tests of Spark skip
# themselves and say so.
set -eu
cd "$(dirname "$0")/.."
say() { echo "setup: $*" >&2; }

stamp=.venv/hindsight-spark-stamp
wanted=$(cksum <requirements-spark.lock)
if [ "$(cat "$stamp" 2>/dev/null || :)" = "$wanted" ] && .venv/bin/python -c 'import pyarrow, pyspark' 2>/dev/null; then
    exit 0
fi
if ! java -version >/dev/null 2>&1; then
    say "no Java: the tests of Spark will be skipped"
    exit 0
fi
say "fetching pyspark for its tests (once)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
if .venv/bin/python -m pip install --quiet --require-hashes --requirement requirements-spark.lock; then
    echo "$wanted" >"$stamp"
else
    say "pyspark is not to be had here: the tests of Spark will be skipped"
fi
