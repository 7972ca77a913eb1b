"""Progress bars on a terminal, silence elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asugnn.model import Bar, Progress, no_progress
from leaderboard._util.workspace import show_progress

if TYPE_CHECKING:
    from rich.console import Console


def console_progress(console: Console, title: str) -> Progress:
    """A progress whose bars appear on `console` under a title, and vanish when done."""
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

            class _Shown:
                def advance(self, steps: int = 1, note: str = "") -> None:
                    bars.advance(task, steps)
                    if note:
                        bars.update(task, note=note)

            yield _Shown()

    return progress


@contextmanager
def byte_progress(size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that is told bytes and counts kilobytes; `size` is in bytes, 0 where it is not known."""
    came = 0
    with show_progress("kB", size // 1000) as bar:

        def advance(n: int) -> None:
            nonlocal came
            bar.advance((came + n) // 1000 - came // 1000)
            came += n

        yield advance
