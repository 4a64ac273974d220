#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes .venv: everything pinned in constraints.txt and an editable install of edgekit.
#
# Usage: tools/setup_python.sh PYTHON [TORCH_INDEX]
# pip's own configuration (PIP_* variables, pip.conf) applies; TORCH_INDEX is an index URL for torch only.
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}
torch_index=${2:-}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "setup: edgekit needs Python 3.10 or later; run: make setup PYTHON=python3.11" >&2
    exit 1
fi
if [ ! -x .venv/bin/pip ]; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "setup: $python cannot make virtual environments; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
    "$python" -m venv --clear .venv
fi

pip_install() {
    .venv/bin/pip install --quiet --constraint constraints.txt "$@"
}

echo "setup: installing the pinned Python packages into .venv" >&2
pip_install setuptools # the editable install below builds with the pinned one, not with a fetched one
if [ -n "$torch_index" ]; then
    # Without its dependencies: that index need not have the pinned ones. The next line adds them.
    pip_install --no-deps --index-url "$torch_index" torch
fi
pip_install --no-build-isolation --editable '.[dev]'
# The tests read its network definitions (tests/support/timm_models.py); what it depends on besides
# torch, torchvision first, is for images and downloads.
pip_install --no-deps timm
touch .venv/edgekit-setup
