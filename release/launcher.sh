#!/bin/sh
# The entrance of @NAME@ in the tarball: it finds a Python, and gives over to it.
# AHM_PYTHON names another one.
home=$(readlink -f "$0")
home=${home%/bin/*}

# run_if TEST PYTHON ARGUMENT...: give over to this Python, where TEST holds for its version.
run_if() {
    wanted=$1 python=$2
    shift 2
    if "$python" -ISc "import sys; sys.exit(not $wanted)" 2>/dev/null; then
        exec "$python" "$home/libexec/@NAME@" "$@"
    fi
}

if [ -n "${AHM_PYTHON:-}" ]; then
    run_if '(3, 6) <= sys.version_info' "$AHM_PYTHON" "$@"
    echo "@NAME@: AHM_PYTHON is $AHM_PYTHON, expected a Python 3.6 or later that runs" >&2
    exit 1
fi
# Those first for which AHM brings compiled modules.
for each in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7 \
        python3.6 /usr/libexec/platform-python; do
    run_if '(3, 6) <= sys.version_info[:2] <= (3, 13)' "$each" "$@"
done
run_if '(3, 6) <= sys.version_info' python3 "$@"
echo "@NAME@: no Python 3.6 to 3.13 found on PATH; install one (the package python3), or name one" \
    "in AHM_PYTHON" >&2
exit 1
