#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the missing system programs by apt where root or sudo allows it; else says which line to run.
#
# Usage: tools/setup_system.sh PYTHON
# Never fails: what is missing is reported, and the targets that can do without it go on.
set -u
cd "$(dirname "$0")/.."
python=${1:-python3}
tried_file=.cache/apt-tried # the packages that apt failed to install, so that it is not asked again

have() { command -v "$1" >/dev/null 2>&1; }

newlib_is_there() { # the compiler prints a bare name for a file that it does not have
    [ "$(arm-none-eabi-gcc -print-file-name=libc.a 2>/dev/null)" != libc.a ]
}

missing_packages() {
    have cc || echo gcc libc6-dev
    have g++ || echo g++
    have arm-none-eabi-gcc || echo gcc-arm-none-eabi
    have arm-none-eabi-gcc && newlib_is_there || echo libnewlib-arm-none-eabi
    have riscv64-unknown-elf-gcc || echo gcc-riscv64-unknown-elf
    have qemu-system-arm || echo qemu-system-arm
    have qemu-system-riscv32 || echo qemu-system-misc
    have clang || echo clang
    have clang-format || echo clang-format
    [ -x .venv/bin/pip ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    have apt-get && { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
}

install_packages() {
    as_root apt-get -qq update || echo "setup: apt-get update failed; trying with the lists there are" >&2
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 install "$@"
}

packages=$(missing_packages | xargs)
[ -n "$packages" ] || exit 0
if may_install && [ "$(cat "$tried_file" 2>/dev/null)" != "$packages" ]; then
    echo "setup: installing $packages" >&2
    # shellcheck disable=SC2086 # one word per package
    install_packages $packages >&2 && packages=$(missing_packages | xargs)
    [ -n "$packages" ] || exit 0
    mkdir -p .cache && echo "$packages" >"$tried_file"
fi
{
    echo "setup: some programs are missing. On Debian or Ubuntu, run:"
    echo "    sudo apt-get install $packages"
    echo "setup: going on with what is there"
} >&2
