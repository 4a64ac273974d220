# SPDX-License-Identifier: Apache-2.0
"""Which of the programs and packages that edgekit can use are installed."""

from __future__ import annotations

import importlib.metadata

import msgspec

from edgekit.build.host import host_compiler
from edgekit.errors import EdgekitError
from edgekit.process import install_remedy, run_program


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A program or package; ``version`` is None when it is missing, ``remedy`` says how to get it."""

    name: str
    purpose: str
    version: str | None
    remedy: str | None


_PROGRAMS = (
    ("arm-none-eabi-gcc", "building for Cortex-M"),
    ("qemu-system-arm", "validate --on qemu, profile"),
    ("riscv64-unknown-elf-gcc", "building for 32-bit RISC-V"),
    ("qemu-system-riscv32", "the same two on 32-bit RISC-V"),
    ("clang", "the project's own checks"),
)
_PACKAGES = (
    ("torch", "PyTorch models", "torch"),
    ("onnx", "ONNX models", "onnx"),
    ("tflite-runtime", "the 'source' rung of validate", "oracle"),
    ("onnxruntime", "the 'source' rung of quantized ONNX models", "oracle"),
)


def inspect_environment() -> tuple[Tool, ...]:
    """Every tool with its version, in a fixed order."""
    programs = ((host_compiler(), "building and running on this machine"), *_PROGRAMS)
    return (
        *(_program(name, purpose) for name, purpose in programs),
        *(_package(name, purpose, extra) for name, purpose, extra in _PACKAGES),
    )


def _program(name: str, purpose: str) -> Tool:
    try:
        lines = run_program([name, "--version"], timeout_seconds=20.0).stdout.splitlines()
    except EdgekitError:
        return Tool(name=name, purpose=purpose, version=None, remedy=install_remedy(name))
    version = lines[0].strip() if lines else "unknown version"
    return Tool(name=name, purpose=purpose, version=version, remedy=None)


def _package(name: str, purpose: str, extra: str) -> Tool:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        remedy = f"pip install 'edgekit[{extra}]'"
        return Tool(name=name, purpose=purpose, version=None, remedy=remedy)
    return Tool(name=name, purpose=purpose, version=version, remedy=None)
