"""Which runs a command asks for: tasks, models, folds and seeds, checked before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asugnn import InputError, Model
from asugnn.errors import BrokenModelError, did_you_mean
from asugnn.model_registry import (
    ablation_variants,
    configure_model,
    find_model,
    is_file_model,
    list_models,
    model_frozen,
    model_presets,
)
from leaderboard._util import ProcessEndedError, lacks_package, yield_from_process
from leaderboard.data import OFFICIAL, Task, load_dataset
from leaderboard.records import (
    PRETRAINED,
    Run,
    base_name,
    row_name,
)
from leaderboard.running.pretrained import models_with_weights, published_weights, weights_owner
from leaderboard.splitting import SIDE_NAMES, find_empty_sides, fold_leakage, fold_sides, read_split


@dataclass(frozen=True)
class Job:
    """A run and what it takes to make it: the model's full name and the fields set by hand, as text."""

    run: Run
    model: str
    overrides: Mapping[str, str]
    weights: str = ""  # published weights, by name or path, instead of training
    again: bool = False  # whether a finished run is repeated

    def configure(self) -> Model:
        """Make the unfitted model; raises `InputError` for a field that it does not have."""
        return configure_model(self.model, self.run.preset, self.overrides)

    def for_task(self, task: Task) -> Job:
        """The same job on another task."""
        return dataclasses.replace(self, run=dataclasses.replace(self.run, task=task))


def plan_runs(
    tasks: Sequence[Task],
    models: Sequence[str],
    preset: str,
    folds: Sequence[int] | None,
    seeds: Sequence[int],
    overrides: Mapping[str, Mapping[str, str]],
    allow_leaks: bool = False,
    ablation: bool = False,
    again: bool = False,
) -> list[Job]:
    """All jobs, model by model; everything that can be wrong with the request raises `InputError` here.

    A zero-shot task brings the task whose model it needs, ahead of it. Without `folds`, all of each split; empty ones
    are the first, or all of an official split. A split that tests structures which also train is wrong, unless
    `allow_leaks`. With `ablation`, the variants that a model's paper compares take the place of the model.
    """
    needed = dict.fromkeys(t for task in tasks for t in (task.training_task, task))
    planned = _list_folds(needed, folds)
    _refuse_leaks(planned, allow_leaks)
    jobs = []
    for model in models:
        for chosen in _variants(model, preset, overrides.get(model, {}), ablation):
            name = row_name(model, chosen)
            jobs += [Job(Run(t, preset, name, f, s), model, chosen, again=again) for f, t in planned for s in seeds]
    return jobs


def _variants(model: str, preset: str, fields: Mapping[str, str], ablation: bool) -> list[Mapping[str, str]]:
    """The fields to set for each row of a model; raises `InputError` where the request does not fit the model.

    A model in a file is looked at in a process of its own. One whose code is at fault has a row like any other, so that
    its runs tell the reason.
    """
    try:
        if is_file_model(model):
            return list(yield_from_process(_checked_variants, model, preset, dict(fields), ablation))
        return list(_checked_variants(model, preset, fields, ablation))
    except (BrokenModelError, ProcessEndedError):
        return [fields]


def _checked_variants(
    model: str, preset: str, fields: Mapping[str, str], ablation: bool
) -> Iterator[Mapping[str, str]]:
    for variant in ablation_variants(model, preset) if ablation else [{}]:
        chosen = {**variant, **fields}
        configure_model(model, preset, chosen)
        yield chosen


def _list_folds(
    tasks: Iterable[Task], folds: Sequence[int] | None, sides: Sequence[str] = SIDE_NAMES
) -> list[tuple[int, Task]]:
    """The folds of some tasks, fold by fold.

    Raises `InputError` for one that the split does not have, or in which one of the needed `sides` is empty.
    """
    out = []
    for task in tasks:
        data = load_dataset(task.source)
        data.require_crystals()
        split = read_split(data, task.rule)
        empty = find_empty_sides(split, data, task.target, sides)
        usual = split.folds if task.rule == OFFICIAL else [0]
        chosen = list(split.folds if folds is None else folds or usual)
        for fold in chosen:
            fold_sides(split, data, task.target, fold)
        if named := [empty[fold] for fold in chosen if fold in empty]:
            others = ",".join(str(fold) for fold in split.folds if fold not in empty)
            hint = f"choose --fold {others}" if others else "import more crystals"
            raise InputError(f"{task.name} cannot be run: {', '.join(named)}; {hint}")
        out += [(fold, task) for fold in chosen]
    return sorted(out, key=lambda pair: pair[0])


def _refuse_leaks(folds: Iterable[tuple[int, Task]], allow_leaks: bool) -> None:
    """Raise `InputError` where a test structure also occurs in training or validation."""
    for fold, task in folds:
        data = load_dataset(task.source)
        leakage = fold_leakage(task, fold, data)
        if leakage.shared and not allow_leaks:
            tested, learned = next(iter(leakage.shared.items()))
            raise InputError(
                f"the split leaks: {leakage}, such as '{tested}', which is '{learned}'; take another split, or run it "
                f"all the same with --allow-leaks, and the board shows the count: `bench data audit {task.source.name}`"
            )


def plan_pretrained(
    tasks: Sequence[Task], models: Sequence[str], weights: str, folds: Sequence[int] | None, again: bool = False
) -> list[Job]:
    """The jobs of published weights, for the tasks whose target they predict; raises `InputError`.

    `weights` is a name, `all`, or a path; `models` are all models that may have weights of that name, or the one
    that a path belongs to.
    """
    known = [(m, n, w) for m in models for n, w in published_weights(m).items()]
    chosen = known if weights == "all" else [k for k in known if k[1] == weights]
    if chosen:
        wanted = [(m, m, n, [t for t in tasks if t.training_task.target.name == w.target]) for m, n, w in chosen]
        if not any(mine for *_, mine in wanted):
            targets = ", ".join(sorted({w.target for _, _, w in chosen}))
            raise InputError(f"--pretrained {weights} predicts {targets}: choose a task of that target")
    else:
        model = weights_owner(models, weights)
        row = row_name(model, {"weights": Path(weights).resolve().name})
        wanted = [(model, row, weights, list(tasks))]
    return [
        Job(Run(t, PRETRAINED, row, fold, 0), model, {}, name, again)
        for model, row, name, mine in wanted
        for fold, t in _list_folds(mine, folds, ("test",))
    ]


def chosen_models(names: Sequence[str], preset: str, weights: str = "") -> tuple[list[str], list[str]]:
    """The models that `names` asks for, and a sentence for each that is skipped; raises `InputError`.

    `all` are those that can be loaded and have the preset or, where `weights` are named, take published ones. Models on
    frozen weights, which are not ranked, run when they are named; so do, of all published weights, those whose model
    needs a package that is not installed.
    """
    if not names:
        raise InputError("--model names no model: `bench models` lists them")
    if "all" in names and len(names) > 1:
        raise InputError("--model all stands for all models: leave the other names out, or name each model")
    if list(names) != ["all"]:
        return list(names), []
    models, skipped = [], []
    if weights:
        for name in models_with_weights():
            lacking = lacks_package(find_model(name)) if weights == "all" else None
            skipped += [f"model '{name}': {lacking}"] if lacking else []
            models += [] if lacking else [name]
        if not models:
            raise InputError("; ".join(skipped))
        return models, skipped
    for entry in list_models():
        if entry.model is None:
            skipped.append(f"model '{entry.name}' ({entry.source}) cannot be loaded: {entry.reason}")
        elif not model_presets(entry.model) or model_frozen(entry.model):
            continue  # it comes with published weights
        elif preset not in model_presets(entry.model):
            skipped.append(f"model '{entry.name}' has no preset '{preset}'")
        else:
            models.append(entry.name)
    if not models:
        known = {name for entry in list_models() if entry.model for name in model_presets(entry.model)}
        raise InputError(f"no model has a preset '{preset}'{did_you_mean(preset, known)}")
    return models, skipped


def parse_overrides(texts: Sequence[str], models: Sequence[str]) -> dict[str, dict[str, str]]:
    """Fields to set by model, from MODEL.FIELD=VALUE; raises `InputError`.

    MODEL is the name of a model; of one in a file also its name on the board or, where that is clear, its class.
    """
    out: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        name, dot, field = left.rpartition(".")
        if not equals or not dot or not field:
            example = f"such as {models[0]}.{text}, " if equals and not dot and len(models) == 1 else ""
            raise InputError(f"--set takes MODEL.FIELD=VALUE, {example}not '{text}'")
        meant = [m for m in models if name == m] or [
            m for m in models if is_file_model(m) and name in {base_name(m), m.rpartition(":")[2]}
        ]
        if not meant:
            raise InputError(f"--set {text}: model '{name}' is not among those to run{did_you_mean(name, models)}")
        if len(meant) > 1:
            raise InputError(f"--set {text}: '{name}' could be {' or '.join(map(base_name, meant))}: say which")
        fields = out.setdefault(meant[0], {})
        if field in fields:
            raise InputError(f"--set {text}: {name}.{field} is set twice: leave one of the two out")
        fields[field] = value
    return out
