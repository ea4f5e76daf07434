"""The entry point: commands, exit codes, and errors as one paragraph.

Exit status is 0 on success, 2 on bad usage or bad input, 1 on a defect of accelsim itself, 130
after Ctrl-C and 141 when the reader of a pipe went away.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from accelsim import __version__
from accelsim.cli import (
    calibrate,
    demo,
    dram,
    listing,
    numerics,
    predict,
    run,
    schema,
    show,
    sweep,
    systolic,
    validate,
)
from accelsim.cli.console import ReaderGoneError, note
from accelsim.documents import printable
from accelsim.errors import AccelsimError
from accelsim.kernels.compiling import on_first_compile

DEBUG_VARIABLE = "ACCELSIM_DEBUG"
# typer's own usage errors; the class moved between versions, its descendants did not.
_UsageError = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="accelsim",
    help="How fast, how much energy and why: models on accelerators that may not exist yet.",
    epilog="Start with: accelsim demo  |  accelsim run llama3.1-8b --on h100_sxm",
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("predict")(predict.predict)
app.command("numerics")(numerics.numerics)
app.command("systolic")(systolic.systolic)
app.command("dram")(dram.dram)
app.command("sweep")(sweep.sweep)
app.command("validate")(validate.validate)
app.command("calibrate")(calibrate.calibrate)
app.command("list")(listing.list_names)
app.command("show")(show.show)
app.command("schema")(schema.schema)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"accelsim {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """How fast, how much energy and why: models on accelerators that may not exist yet."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def run_cli(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; no exception leaves this function.

    Parameters
    ----------
    arguments : sequence of str
        The command line without the program's name.
    """
    if sys.stderr.isatty():
        on_first_compile(lambda: note("compiling kernels, once per installation: up to a minute"))
    try:
        command = typer.main.get_command(app)
        status = command.main(list(arguments), prog_name="accelsim", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGoneError):
        _silence_stdout()
        return 141
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except SystemExit as end:  # shell completion ends so
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:  # the one place where every error becomes words
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _explain(error)
    if status == 130:
        return _interrupted()
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    """Print an error as one paragraph and return the exit status it stands for."""
    if isinstance(error, _UsageError):
        message = _usage_message(error)
    elif isinstance(error, AccelsimError):
        message = str(error)
    elif isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        message = f"{name}{error.strerror or error}"
    else:
        kind = type(error).__name__
        _print_error(
            f"a defect in accelsim: {kind}: {error}. Please report it with this command line; "
            f"{DEBUG_VARIABLE}=1 shows the traceback"
        )
        return 1
    _print_error(message)
    return 2


def _usage_message(error: Exception) -> str:
    """Join what typer says of a wrong command line with where to look it up."""
    text = str(error.format_message()).replace("Value error, ", "")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if context is None:
        return text
    ended = text.rstrip(".")
    stop = "" if ended.endswith("?") else "."
    return f"{ended}{stop} Try '{context.command_path} --help'"


def _print_error(message: str) -> None:
    with contextlib.suppress(OSError):
        print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return 130


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())


def main() -> None:
    """Run the command line of this process (the ``accelsim`` script)."""
    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
