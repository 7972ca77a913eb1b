"""Progress bars on a terminal; nothing is shown elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asugnn.progress import Bar, Progress, no_progress
from leaderboard._util.workspace import show_progress

if TYPE_CHECKING:
    from rich.console import Console


def console_progress(console: Console, title: str) -> Progress:
    """A `Progress` whose bars appear on a console with a title, and vanish when they are complete."""
    if not console.is_terminal:
        return no_progress

    @contextmanager
    def progress(description: str, total: int) -> Iterator[Bar]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("  {task.fields[title]}", style="bold"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=18),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with RichProgress(*columns, console=console, transient=True, refresh_per_second=5) as bars:
            task = bars.add_task(description, total=total, title=title, note="")

            class _ConsoleBar:
                def advance(self, steps: int = 1, note: str = "") -> None:
                    bars.advance(task, steps)
                    if note:
                        bars.update(task, note=note)

            yield _ConsoleBar()

    return progress


@contextmanager
def byte_progress(size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar in kilobytes: yields a function that takes the number of new bytes.

    `size` is the total in bytes, 0 where it is not known.
    """
    received = 0
    with show_progress("kB", size // 1000) as bar:

        def advance(n: int) -> None:
            nonlocal received
            bar.advance((received + n) // 1000 - received // 1000)
            received += n

        yield advance
