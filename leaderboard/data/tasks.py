"""Tasks, `dataset/target[@split]`, and suites, the tasks that are run together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asugnn.errors import InputError, did_you_mean
from leaderboard.data.public_boards import BOARDS
from leaderboard.data.registry import HINT, damaged_sources, find_source, sources_by_name
from leaderboard.data.targets import Source, Target

SUITES = {"paper": ("mp-2024-1", "hm"), **BOARDS}  # of several data sets; every data set is a suite of its own


@dataclass(frozen=True)
class Task:
    """One label of one data set under one split; `rule` is the name of the split, that of the data set if empty."""

    source: Source
    target: Target
    rule: str = ""

    def __post_init__(self) -> None:
        if not self.rule:
            object.__setattr__(self, "rule", self.source.default_rule)

    def __reduce__(self) -> tuple[Callable[[str], Task], tuple[str]]:
        """A task is sent to another process by its name: its target holds functions."""
        return parse_task, (self.name,)

    @property
    def name(self) -> str:
        """As it is typed: `open-dft/band-gap`, `open-dft/band-gap@formula`."""
        return f"{self.source.name}/{self.target.name}" + (
            "" if self.rule == self.source.default_rule else f"@{self.rule}"
        )

    @property
    def training_task(self) -> Task:
        """The task whose models predict this one: itself, unless it is zero-shot. Raises `InputError`."""
        if not self.target.model_of:
            return self
        dataset, _, name = self.target.model_of.rpartition("/")
        source = find_source(dataset) if dataset else self.source
        return Task(source, _find_target(source, name), self.rule)


def parse_task(text: str) -> Task:
    """The task of a name; raises `InputError` that says which part of it is not known, with the nearest right one."""
    name, _, rule = text.partition("@")
    dataset, slash, target = name.partition("/")
    if not slash:
        ready_first = sorted(sources_by_name().values(), key=lambda source: not source.embedded)
        names = [f"{source.name}/{t.name}" for source in ready_first for t in source.targets]
        chosen = [full for full in names if name and name in full.split("/")]
        hint = f"; did you mean '{chosen[0]}'? There is: {', '.join(chosen)}" if chosen else ""
        raise InputError(f"there is no task '{name}': write DATASET/TARGET{hint}")
    source = find_source(dataset)
    return Task(source, _find_target(source, target), rule)


def suite_tasks(name: str, others: Sequence[str] = ()) -> tuple[Task, ...]:
    """The tasks of a suite, which is a named one or a data set; raises `InputError` where there is none.

    `others` are names that the caller knows besides, for the message.
    """
    if "/" in name:
        raise InputError(f"'{name}' is a task, not a suite: write --task {name}")
    sources = sources_by_name()
    if name in damaged_sources():
        raise damaged_sources()[name]
    if name not in SUITES and name not in sources:
        raise InputError(
            f"there is no suite '{name}'{did_you_mean(name, [*SUITES, *others, *sources])}. "
            f"If it is an imported data set, {HINT.format('data sets')}"
        )
    return tuple(Task(sources[dataset], t) for dataset in SUITES.get(name, (name,)) for t in sources[dataset].targets)


def _find_target(source: Source, name: str) -> Target:
    for target in source.targets:
        if target.name == name:
            return target
    names = [target.name for target in source.targets]
    raise InputError(f"there is no task '{source.name}/{name}'{did_you_mean(name, names, prefix=f'{source.name}/')}")
