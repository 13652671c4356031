#!/bin/sh
# Prints the newest Python that Onsite runs on, from the PATH or among pyenv's versions; or says what is missing.
#
#   pick_python.sh [PYTHON]     PYTHON: use this one, and refuse it when it does not fit
#
# A name on the PATH may be a pyenv shim that fails when it is run, so every candidate is tried.
set -u

newest_minor=13
oldest_minor=11

# The minor version of a Python 3 that runs, or nothing.
minor_of() {
    "$1" -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else "")' 2>/dev/null
}

makes_environments() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

fits() {
    minor=$(minor_of "$1")
    [ "${minor:-0}" -ge "$oldest_minor" ] && [ "$minor" -le "$newest_minor" ]
}

refuse() {
    echo "onsite: $1; it needs Python 3.$oldest_minor to 3.$newest_minor (name one with PYTHON=/path/to/python3)" >&2
    exit 1
}

if [ $# -gt 0 ] && [ -n "$1" ]; then
    fits "$1" || refuse "PYTHON=$1 does not run or is another version"
    makes_environments "$1" || refuse "PYTHON=$1 has no venv module (on Debian: apt install python3-venv)"
    command -v "$1"
    exit 0
fi

without_venv=
minor=$newest_minor
while [ "$minor" -ge "$oldest_minor" ]; do
    wanted=$minor
    for candidate in "python3.$wanted" python3 "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/3.$wanted".*[0-9]"/bin/python3.$wanted"; do
        [ "$(minor_of "$candidate")" = "$wanted" ] || continue
        if makes_environments "$candidate"; then
            command -v "$candidate"
            exit 0
        fi
        without_venv=$candidate
    done
    minor=$((wanted - 1))
done

[ -z "$without_venv" ] || refuse "$without_venv has no venv module (on Debian: apt install python3-venv)"
refuse "no fitting Python on the PATH or in pyenv"
