"""What `bench run` says of its plan and while it works: what is to be done, what runs, and how long that takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from asugnn.progress import PREPARATION
from leaderboard._util import printable, wrap_lines

if TYPE_CHECKING:
    from rich.console import Console

    from leaderboard.records import Run
    from leaderboard.running import Job, Report, RunCost, Running

LONG = 600.0  # seconds of work that are announced
EVERY = 30.0  # seconds between lines where there is no terminal
PIPE = 1000  # columns of a table where output is no terminal: a line for each run


def duration_text(seconds: float) -> str:
    """A duration as people say it: 40 s, 4 min, 2 h 10 min, 3 d 4 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def run_reporter(count: int) -> tuple[Report, Console]:
    """What prints a line for each of `count` runs that has ended, and the console that it prints on."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    width, reported = len(str(count)), 0

    def report(run: Run, outcome: str, note: str) -> None:
        nonlocal reported
        reported += 1
        words = {"done": note, "kept": "finished before", "failed": f"failed: {note}"}[outcome]
        number = f"[{reported:{width}}/{count}]"
        line = wrap_lines(printable(f"{number} {run.title:60} {words}"), sys.stderr)
        if "\n" in line:
            line = wrap_lines(printable(f"{number} {run.title}\n  {words}"), sys.stderr)
        console.print(line, style="red" if outcome == "failed" else None, markup=False, soft_wrap=True)

    return report, console


def plan_sentence(left: Sequence[int], estimates: Sequence[RunCost], processes: int, threads: int) -> str:
    """How many runs there are to do, and how long they take."""
    from leaderboard.running import total_seconds

    seconds = [s for i in left if (s := estimates[i].seconds) is not None]
    words = [f"{len(left)} {'run' if len(left) == 1 else 'runs'} to do, {processes} at a time"]
    words.append(f"{threads} {'thread' if threads == 1 else 'threads'} each")
    if seconds:
        words.append(
            f"about {duration_text(total_seconds(seconds, processes))}, estimated from stored runs of similar size"
        )
    if unknown := len(left) - len(seconds):
        words.append(f"{unknown} of {'them' if seconds else 'which'} of unknown length")
    return ", ".join(words)


def plan_table(
    jobs: Sequence[Job], estimates: Sequence[RunCost], left: Sequence[int], faults: Mapping[int, str]
) -> Iterator[str]:
    """A line for each run: what it is, and the time and memory that it is expected to take.

    `left` are the numbers of those to be done; `faults` say why others cannot be.
    """
    titles = [printable(job.run.title) for job in jobs]
    width = max(map(len, titles), default=0)
    narrow = width + 24 > get_terminal_size((PIPE, 24)).columns
    if not narrow:
        yield f"{'run':{width}} {'time':>12} {'memory':>10}"
    to_do = set(left)
    for i, estimate in enumerate(estimates):
        cells = ["cannot run" if i in faults else "finished"]
        if i in to_do:
            memory = "unknown" if estimate.memory is None else f"{estimate.memory:,} MB"
            cells = ["unknown" if estimate.seconds is None else duration_text(estimate.seconds), memory]
        if narrow:
            yield from (titles[i], f"    {', '.join(cells)}")
        else:
            yield f"{titles[i]:{width}} {cells[0]:>12} {' '.join(f'{cell:>10}' for cell in cells[1:])}".rstrip()
    for i, fault in faults.items():
        yield printable(f"{jobs[i].run.title}: {fault}")


class LiveLine:
    """A line about what is under way: always there on a terminal, elsewhere printed now and then."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._printed = time.monotonic()

    def __enter__(self) -> LiveLine:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, text: str) -> None:
        """Take the words of the line."""
        from rich.text import Text

        if self._console.is_terminal:
            self._live.update(Text(printable(text), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif text and time.monotonic() - self._printed > EVERY:
            self._printed = time.monotonic()
            self._console.print(printable(text), markup=False, soft_wrap=True)


class RunsText:
    """The words about the runs of a command: how many have ended, the time left, what runs and how far that is."""

    def __init__(self, jobs: Sequence[Job], estimates: Sequence[RunCost], processes: int) -> None:
        self._jobs, self._estimates, self._processes = jobs, estimates, processes

    def text(self, running: Sequence[Running], ended: Mapping[int, float | None]) -> str:
        """The words, from what `run_jobs` tells."""
        from leaderboard.running import seconds_left

        left = seconds_left(self._estimates, ended, running, self._processes)
        width = len(str(len(self._jobs)))
        time_left = "" if left is None else f" about {duration_text(left)} left:"
        return f"[{len(ended):{width}}/{len(self._jobs)}]{time_left} " + "; ".join(map(self._step, running))

    def _step(self, running: Running) -> str:
        run, (done, steps) = self._jobs[running.job].run, running.steps
        name = f"{run.model} on {run.task.name} {run.fold_seed}"
        stage = f"{PREPARATION} " if running.prepares else ""
        return f"{name}, {stage}{done}/{steps}" if steps else f"{name}, {duration_text(running.seconds)}"
