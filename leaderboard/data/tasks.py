"""Tasks, `dataset/target[@split]`, and suites, the tasks that are run together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asugnn.errors import InputError, did_you_mean, nearest_name
from asugnn.model_registry import is_installed_model
from leaderboard.data.public_boards import BOARDS
from leaderboard.data.registry import damaged_sources, find_source, sources_by_name, unknown_dataset_hint
from leaderboard.data.targets import Source, Target

SUITES = {"paper": ("mp-2024-1", "hm"), **BOARDS}  # of several data sets; every data set is a suite of its own

LISTING = "`bench data list` lists them"
CLEAR = 0.7  # likeness of two words that are meant to be one, of 1


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
        similar = _similar_tasks(name)
        if name in SUITES or name in sources_by_name():
            raise InputError(
                f"'{name}' is a suite, not a task: `bench run {name}` and `bench leaderboard {name}` take all of its "
                f"tasks; one of them is {suite_tasks(name)[0].name}"
            )
        listed = f"did you mean '{similar[0]}'? There is: {', '.join(similar)}" if similar else LISTING
        raise InputError(f"there is no task '{name}': write DATASET/TARGET; {listed}")
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
        raise InputError(f"there is no suite '{name}'{_suite_hint(name, [*SUITES, *others, *sources])}")
    return tuple(Task(sources[dataset], t) for dataset in SUITES.get(name, (name,)) for t in sources[dataset].targets)


def _similar_tasks(word: str) -> list[str]:
    """The tasks whose data set or target has the name `word`, or nearly; those in the package first."""
    ready_first = sorted(sources_by_name().values(), key=lambda source: not source.embedded)
    names = [f"{source.name}/{target.name}" for source in ready_first for target in source.targets]
    parts = [part for name in names for part in name.split("/")]
    inside = (part for part in parts if len(word) >= 3 and word.casefold() in part.split("-"))
    similar = nearest_name(word, parts, cutoff=CLEAR) or next(inside, None)
    return [name for name in names if similar in name.split("/")]


def _suite_hint(word: str, suites: Sequence[str]) -> str:
    """The end of the sentence about a word that is no suite, and may name something else."""
    if is_installed_model(word):
        return f": it is a model; `bench run --model {word}` trains it, and boards show all models"
    if nearest_name(word, suites, cutoff=CLEAR) is None and (similar := _similar_tasks(word)):
        return f"; for a task write --task {similar[0]}"
    return unknown_dataset_hint(word, suites)


def _find_target(source: Source, name: str) -> Target:
    for target in source.targets:
        if target.name == name:
            return target
    names = [target.name for target in source.targets]
    raise InputError(f"there is no task '{source.name}/{name}'{did_you_mean(name, names, prefix=f'{source.name}/')}")
