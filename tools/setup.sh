#!/bin/sh
# Make .venv from requirements.lock; nothing to do when the stamp says it was made from the same files, here.
set -eu
cd "$(dirname "$0")/.."
say() { echo "setup: $*" >&2; }

stamp=.venv/hindsight-stamp
wanted="$(cat requirements.lock pyproject.toml tools/setup.sh | cksum) $(pwd -P)"
if [ -x .venv/bin/hindsight ] && [ "$(cat "$stamp" 2>/dev/null || :)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null
then
    exit 0
fi

fits='import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 13))'
# Being on the PATH is not enough: version managers put commands there that only say "not installed".
find_python() {
    for candidate in ${PYTHON:-python3.12 python3.11 python3 python}; do
        if "$candidate" -c "$fits" >/dev/null 2>&1; then
            if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
                echo "$candidate"
                return
            fi
            say "$(command -v "$candidate") fits, but has no venv module (Debian, Ubuntu: install python3-venv)"
        fi
    done
    say "found no Python 3.11 or 3.12${PYTHON:+ at PYTHON=$PYTHON}; install one, or name it: make setup PYTHON=/path/to/python3.12"
    exit 1
}

# A folder that was moved or whose Python is gone is made anew: its scripts hold absolute paths.
if ! .venv/bin/python -c "$fits" 2>/dev/null || ! grep -qsF "$(pwd -P)/.venv/" .venv/bin/pip; then
    python=$(find_python)
    say "making .venv with $("$python" --version) (once, about a minute)"
    rm -rf .venv
    "$python" -m venv .venv
else
    say "bringing .venv up to date"
fi
rm -f "$stamp"

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
echo "$wanted" >"$stamp"
