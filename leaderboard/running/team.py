"""Several processes that train one model together: the run's own, and helpers that do the same with other crystals."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from asugnn import Context
from asugnn.capacity import visible_gpus
from asugnn.model import Team, never
from asugnn.model_registry import find_model
from asugnn.progress import no_progress
from leaderboard._util import (
    Workspace,
    collect_warnings,
    current_workspace,
    environment,
    ignore_stop_signals,
    set_workspace,
    silent,
    start_worker,
)
from leaderboard.data import load_dataset
from leaderboard.running.plan import Job
from leaderboard.splitting import fold_sides, read_split

ENDING = 10.0  # seconds that helpers have to end after this process has trained


def trains_together(job: Job) -> bool:
    """Whether several processes can train the model of a job together."""
    return bool(getattr(find_model(job.model), "trains_together", False))


@contextmanager
def training_team(job: Job, context: Context) -> Iterator[Context]:
    """Start the helpers that the workspace asks for, if the model can have some; yields the context of this process.

    A helper that dies breaks its connections, so that training fails here, too.
    """
    workspace = current_workspace()
    if workspace.ranks == 1 or not trains_together(job):
        yield context
        return
    gpus = visible_gpus() if context.device == "cuda" else []
    spawned = multiprocessing.get_context("spawn")
    helpers = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        meeting = Path(folder) / "meeting"
        quiet = replace(workspace, progress=silent, should_stop=never)
        apart = replace(context, progress=no_progress, should_stop=never)
        for rank in range(1, workspace.ranks):
            team = Team(rank, workspace.ranks, meeting)
            helper = spawned.Process(target=_help, args=(job, replace(apart, team=team), quiet))
            with environment(CUDA_VISIBLE_DEVICES=gpus[rank] if gpus else None):
                helper.start()
            helpers.append(helper)
        try:
            yield replace(context, team=Team(0, workspace.ranks, meeting))
            for helper in helpers:
                helper.join(ENDING)
        finally:
            for helper in helpers:
                helper.kill()
                helper.join()


def _help(job: Job, context: Context, workspace: Workspace) -> None:
    start_worker()
    ignore_stop_signals()  # all stop when the process of the run does
    set_workspace(workspace)
    task = job.run.task
    data = load_dataset(task.source)
    sides = fold_sides(read_split(data, task.rule), data, task.target, job.run.fold)
    try:
        train, validate = (data.labelled(task.target, ids) for ids in (sides.train, sides.validate))
        with collect_warnings():  # the process of the run has the same
            job.configure().fit(train, validate, context)
    except Exception:  # the process of the run meets the same, or a broken connection, and tells of it
        os._exit(1)
