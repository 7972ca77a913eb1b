"""Progress bars on a terminal, silence elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from asugnn.model import Bar, Progress, silent


def shown(console: Console, title: str) -> Progress:
    """A progress whose bars appear on `console` under a title, and vanish when done."""
    if not console.is_terminal:
        return silent

    @contextmanager
    def progress(description: str, total: int) -> Iterator[Bar]:
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
