#!/bin/sh
# Install ptycho from the wheels beside this script, without internet: install.sh /opt/ptycho [python3.11]
set -eu
[ $# -ge 1 ] || { echo "usage: install.sh FOLDER [PYTHON]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
"${2:-python3}" -m venv "$1"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" \
    --constraint "$here/constraints.txt" ptycho
echo "Installed. Start $1/bin/ptycho-gui for the window, or $1/bin/ptycho in a terminal."
