"""Tasks, `dataset/target[@split]`, and suites, the tasks that are run together."""

from __future__ import annotations

from dataclasses import dataclass

from asugnn.errors import InputError, did_you_mean
from leaderboard.data.registry import find_source, list_sources
from leaderboard.data.targets import Source, Target

DEFAULT_RULE = "random"
SUITES = {"paper": ("mp-2024-1", "hm")}  # of several data sets; every data set is a suite of its own


@dataclass(frozen=True)
class Task:
    """One label of one data set under one split."""

    source: Source
    target: Target
    rule: str = DEFAULT_RULE

    @property
    def name(self) -> str:
        """As it is typed: `open-dft/band-gap`, `open-dft/band-gap@formula`."""
        return f"{self.source.name}/{self.target.name}" + ("" if self.rule == DEFAULT_RULE else f"@{self.rule}")

    @property
    def trained(self) -> Task:
        """The task whose models predict this one: itself, unless it is zero-shot."""
        if not self.target.model_of:
            return self
        dataset, _, name = self.target.model_of.rpartition("/")
        of = find_source(dataset) if dataset else self.source
        return Task(of, next(t for t in of.targets if t.name == name), self.rule)


def parse_task(text: str) -> Task:
    """The task of that name; raises `InputError` with the nearest right one."""
    name, _, rule = text.partition("@")
    tasks = {task.name: task for s in list_sources() for task in suite_tasks(s.name)}
    if name not in tasks:
        raise InputError(f"there is no task '{name}'{did_you_mean(name, tasks)}")
    return Task(tasks[name].source, tasks[name].target, rule or DEFAULT_RULE)


def suite_tasks(name: str) -> tuple[Task, ...]:
    """The tasks of a suite: a named one, or those of the data set of that name."""
    if "/" in name:
        raise InputError(f"'{name}' is a task, not a suite: write --task {name}")
    known = {s.name: s for s in list_sources()}
    if name not in SUITES and name not in known:
        raise InputError(f"there is no suite '{name}'{did_you_mean(name, [*SUITES, *known])}")
    return tuple(Task(known[of], target) for of in SUITES.get(name, (name,)) for target in known[of].targets)
