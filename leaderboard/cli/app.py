"""The command `bench`: its groups of commands, and its exit status and messages for errors."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from asugnn import __version__
from asugnn.atomic_write import UnwritableError, disk_full_sentence
from asugnn.cache import cache_folder
from asugnn.errors import InputError
from leaderboard._util import end_on_stop_signals, missing_extra, raise_on_stop_signals, stop_signal
from leaderboard.cli import competition, data, models, published, report, run
from leaderboard.cli.options import print_words
from leaderboard.cli.usage import output_option, refuse_empty_options, usage_message

app = typer.Typer(name="bench", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # of the click that typer uses, its own or the installed one
PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "Compete": {
        "run": run.run,
        "export": competition.export,
        "score": competition.score,
        "submit": competition.submit,
        "published": published.published,
    },
    "Read": {
        "leaderboard": report.leaderboard,
        "errors": report.errors,
        "site": report.site,
        "paper": report.paper,
        "verify": report.verify,
    },
    "Models": {"models": models.models, "check": models.check, "predict": models.predict, "embed": models.embed},
}
for panel, commands in PANELS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(data.app, name="data", rich_help_panel="Data")


@app.callback(invoke_without_command=True)
def bench(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; also after a command.")
    ] = False,
) -> None:
    """Compare crystal-property models on identical fixed splits, with honest error bars."""
    if version:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line: exit status 0 for success, 1 for a fault of the input, 2 for wrong usage."""
    # Threads that wait shall sleep: spinning beside another busy process, small networks train ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    raise_on_stop_signals()
    try:
        _run_command()
    except KeyboardInterrupt:  # a second one, while the first was dealt with
        sys.exit(128 + stop_signal())
    finally:
        end_on_stop_signals()  # an exception would not end what Python does now, and be shown with a traceback


def _run_command() -> None:
    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv) - 1  # at any place on the command line
    try:
        refuse_empty_options(app, words)
        status = app(words, prog_name="bench", standalone_mode=False) or 0
        if status == 130:  # typer's word for an interrupt
            raise typer.Abort
        sys.exit(status)
    except USAGE_ERROR as error:
        if message := usage_message(error, app, words):
            print_words(message, err=True)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        number = stop_signal()
        how = "Interrupted" if number == signal.SIGINT else f"Stopped by {number.name}"
        with suppress(OSError):  # the terminal has gone
            first, second = [*words, "", ""][:2]  # the commands that keep what they have done:
            resumes = first in {"run", "published"} or (first == "data" and second in {"build", "fetch", "import"})
            typer.echo(f"\n{how}.{' Repeat the command to resume.' if resumes else ''}", err=True)
        sys.exit(128 + number)
    except (InputError, ImportError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        if (sentence := _sentence(error, words)) is None:
            raise
        if debug:
            traceback.print_exc()
        print_words(f"Error: {sentence}", err=True)
        sys.exit(1)


def _sentence(error: Exception, words: Sequence[str]) -> str | None:
    """The sentence for a user about an error; None for an error that is a bug."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, ImportError):
        return missing_extra(error)
    if full := disk_full_sentence(error):
        return full
    if isinstance(error, UnwritableError):
        return _unwritable_sentence(error, words)
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return None


def _unwritable_sentence(error: UnwritableError, words: Sequence[str]) -> str:
    """What cannot be written and why, and the option or variable by which to choose another folder."""
    cached = Path(error.filename).is_relative_to(cache_folder())
    named = "BENCH_CACHE" if cached else output_option(app, words)
    if file := _file_instead_of_folder(error):
        return f"'{file}' is a file: name a folder{f' with {named}' if named else ''}"
    hint = f"; choose another folder with {named}" if named else ""
    return f"{error.filename} cannot be written: {error.strerror}{hint}"


def _file_instead_of_folder(error: UnwritableError) -> Path | None:
    """The file that stands where a folder is needed to write into; None where the reason is another one."""
    path = Path(error.filename)
    tried = [path, *path.parents] if error.errno in {errno.ENOTDIR, errno.EEXIST} else []
    return next((p for p in tried if p.is_file()), None)
