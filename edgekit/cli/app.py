# SPDX-License-Identifier: Apache-2.0
"""The typer application: one file per command, one line per error, the exit codes of the contract."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from edgekit.cli import (
    analyze,
    convert,
    doctor,
    ops,
    profile,
    quantize,
    run_model,
    targets,
    validate,
)
from edgekit.errors import EdgekitError
from edgekit.version import VERSION

EXIT_CODES = (
    "Exit codes: 0 ok, 1 a bug of edgekit, 2 bad input or arguments, 3 unsupported operator or "
    "model, 4 does not fit, 5 validation failed, 6 a needed program is missing."
)

app = typer.Typer(
    name="edgekit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
app.command("analyze")(analyze.analyze)
app.command("quantize")(quantize.quantize)
app.command("convert")(convert.convert)
app.command("validate")(validate.validate)
app.command("profile")(profile.profile)
app.command("run")(run_model.run)
app.command("targets")(targets.targets)
app.command("ops")(ops.ops)
app.command("doctor")(doctor.doctor)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"edgekit {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log the programs that are run, on stderr.")
    ] = False,
) -> None:
    """Put a convolutional network on a microcontroller, bit-exact from Python to the board.

    A first session: edgekit convert MODEL -t cortex-m4 -o out && edgekit validate out
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the exit code."""
    try:
        result = app(args=arguments, standalone_mode=False)
    except EdgekitError as error:
        for line in error.lines:
            print(f"error: {' '.join(line.split())}", file=sys.stderr)
        return error.exit_code
    except (typer.Exit, SystemExit) as stop:
        code = stop.exit_code if isinstance(stop, typer.Exit) else stop.code
        return code if isinstance(code, int) else 2
    except (KeyboardInterrupt, typer.Abort):
        print("error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        return _unexpected(error)
    return result if isinstance(result, int) else 0


def _unexpected(error: Exception) -> int:
    """A wrong argument of click's, in one line, or a bug of ours with its traceback."""
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        message = " ".join(format_message().split())
        if message:  # none where the help was printed because no command was given
            command = getattr(getattr(error, "ctx", None), "command_path", "edgekit")
            print(f"error: {message} See `{command} --help`.", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    traceback.print_exc()
    print(
        f"error: a bug of edgekit {VERSION} ({type(error).__name__}); please report the text above",
        file=sys.stderr,
    )
    return 1
