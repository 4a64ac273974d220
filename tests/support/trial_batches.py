# SPDX-License-Identifier: Apache-2.0
"""Many small trials in one program: the kernels are compiled once, only the trials' data anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgekit.build.cross import ObjectFile, compile_objects, link_firmware
from edgekit.kernel import Kernel
from edgekit.process import run_program
from edgekit.target import Target
from support.blob_tables import ASSEMBLY, BlobTables
from support.kernel_trials import (
    HOST_COMPILERS,
    STRICT,
    compile_for_core,
    run_on_core,
    trial_program,
    write_program,
)
from support.trial_memory import Trial

_DATA, _BLOB, _ASSEMBLY = "kernel_trials_data.c", "trial_bytes.bin", "trial_bytes.S"
_TIMEOUT_SECONDS = 300.0


class TrialBatches:
    """Runs trials of some kernels on the host (``target`` None) or on an emulated core."""

    def __init__(self, folder: Path, kernels: Iterable[Kernel], target: Target | None) -> None:
        self._folder, self._target = folder, target
        platform = "host" if target is None else "emulated"
        sources = write_program(
            folder,
            list({kernel.symbol: kernel for kernel in kernels}.values()),
            sources=["kernel_trials.c", f"platform_{platform}.c"],
            generated={_ASSEMBLY: ASSEMBLY.format(name=_BLOB)},
        )
        self._objects: tuple[ObjectFile, ...] = ()
        self._host_objects: tuple[Path, ...] = ()
        if target is not None:
            self._objects = compile_for_core(sources, target, folder)
        else:
            flags = HOST_COMPILERS["gcc"]
            self._host_objects = tuple(self._compile_on_host(path, flags) for path in sources)

    def failing(self, trials: Sequence[Trial]) -> dict[str, str]:
        """What is wrong with which of the trials, by name; one that stops the program is found."""
        if not trials:
            return {}
        try:
            *wrong, end = self._run(trials)
            if end == "done":
                return dict.fromkeys(wrong, "it left other bytes than the reference")
            problem = end
        except Exception as error:  # from packing, the compiler, or the program that stopped
            problem = f"{type(error).__name__}: {error}"
        if len(trials) == 1:
            return {trials[0].name: problem}
        middle = len(trials) // 2
        return self.failing(trials[:middle]) | self.failing(trials[middle:])

    def _run(self, trials: Sequence[Trial]) -> list[str]:
        """The lines that the program prints."""
        tables = BlobTables()
        (self._folder / _DATA).write_text(trial_program(trials, tables), "utf-8")
        (self._folder / _BLOB).write_bytes(tables.blob)
        data = [self._folder / _DATA, self._folder / _ASSEMBLY]
        if self._target is None:
            return self._run_on_host([self._compile_on_host(path, ("-O0",)) for path in data])
        build = self._folder / "data"
        build.mkdir(exist_ok=True)
        objects = compile_objects(
            self._target,
            data,
            include_directories=[self._folder],
            build_directory=build,
            extra_flags=("-O0", f"-Wa,-I{self._folder}"),
        )
        elf = link_firmware(self._target, [*self._objects, *objects], build_directory=build)
        return run_on_core(elf, self._target)

    def _compile_on_host(self, source: Path, flags: Sequence[str]) -> Path:
        result = source.with_suffix(".o")
        command = [
            "gcc",
            *STRICT,
            *flags,
            f"-I{self._folder}",
            "-c",
            source.name,
            "-o",
            result.name,
        ]
        run_program(command, timeout_seconds=_TIMEOUT_SECONDS, cwd=self._folder)
        return result

    def _run_on_host(self, objects: Sequence[Path]) -> list[str]:
        program = self._folder / "program"
        everything = [*self._host_objects, *objects]
        command = ["gcc", *HOST_COMPILERS["gcc"], "-o", str(program), *map(str, everything)]
        run_program(command, timeout_seconds=_TIMEOUT_SECONDS)
        return run_program([program], timeout_seconds=_TIMEOUT_SECONDS).stdout.splitlines()
