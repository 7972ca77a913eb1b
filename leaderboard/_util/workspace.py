"""The workspace of a process: folders of data and caches, display of progress, device and precision of training.

It is set once, by the command line or by a program, and read where it is needed, so that no function passes it on.
Folders that are not set follow the environment variables BENCH_DATA and BENCH_CACHE.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from asugnn.model import HasDevice, Model, Precision, never
from asugnn.progress import Bar, Progress, no_progress


def silent(_: str) -> Progress:
    """A `Progress` that shows nothing, for every title."""
    return no_progress


@dataclass(frozen=True)
class Workspace:
    """Folders, progress and device of a process.

    data
        The folder of data sets that are not in the package; None where none is named.
    progress
        From a title, such as that of a run, to a `Progress`.
    title
        The text above the progress bars, such as the name of a run.
    device
        `cpu` or `cuda`.
    precision
        Matrix-multiplication precision during training.
    ranks
        How many processes train one model together.
    should_stop
        Whether training is to save its state and end, asked after every step.
    """

    data: Path | None = None
    progress: Callable[[str], Progress] = silent
    title: str = ""
    device: str = "cpu"
    precision: Precision = "float32"
    ranks: int = 1
    should_stop: Callable[[], bool] = never


_workspaces: list[Workspace] = []  # the innermost last


def current_workspace() -> Workspace:
    """The workspace in force; without `data` of its own, the folder that BENCH_DATA names."""
    workspace = _workspaces[-1] if _workspaces else Workspace()
    if workspace.data is None and (folder := os.environ.get("BENCH_DATA")):
        return _with_data(workspace, folder)
    return workspace


@lru_cache(maxsize=8)
def _with_data(workspace: Workspace, folder: str) -> Workspace:
    return replace(workspace, data=Path(folder))


def set_workspace(workspace: Workspace) -> None:
    """Put a workspace in force for the rest of the process."""
    _workspaces[:] = [workspace]


@contextmanager
def use_workspace(**changes: Any) -> Iterator[Workspace]:
    """Change some fields of the workspace for a block."""
    _workspaces.append(replace(_workspaces[-1] if _workspaces else Workspace(), **changes))
    try:
        yield _workspaces[-1]
    finally:
        _workspaces.pop()


def show_progress(description: str, total: int) -> AbstractContextManager[Bar]:
    """A progress bar of `total` steps, as the workspace in force displays it."""
    workspace = current_workspace()
    return workspace.progress(workspace.title)(description, total)


def move_to_device(model: Model) -> Model:
    """Move a fitted model to the device of the workspace, where it can be moved; returns it."""
    if isinstance(model, HasDevice):
        model.to(current_workspace().device)
    return model
