"""The interface of a model, and how models are found, named and configured."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self, get_args, get_origin, get_type_hints, runtime_checkable

import numpy as np

from asugnn.crystal import Crystal, Floats
from asugnn.errors import InputError

Kind = Literal["regression", "binary"]
Precision = Literal["float32", "bfloat16"]
GROUP = "bench.models"  # the entry-point group in which models are found


@dataclass(frozen=True)
class Labelled:
    """Crystals with their labels: `y` is (n,), a value or, for `binary`, 0 or 1."""

    ids: tuple[str, ...]
    crystals: Sequence[Crystal]
    y: Floats
    kind: Kind

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.crystals) == len(self.y):
            raise ValueError(f"{len(self.ids)} ids, {len(self.crystals)} crystals, {len(self.y)} labels")
        if not np.isfinite(self.y).all():
            raise ValueError("a label is not a finite number")
        if self.kind == "binary" and not np.isin(self.y, (0, 1)).all():
            raise ValueError("a binary label is neither 0 nor 1")

    def __len__(self) -> int:
        return len(self.ids)


class Bar(Protocol):
    """A progress bar: `advance` by some steps, with a note such as the loss."""

    def advance(self, steps: int = 1, note: str = "") -> None: ...


Progress = Callable[[str, int], AbstractContextManager[Bar]]


class _Silent:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


@contextmanager
def silent(description: str, total: int) -> Any:
    """The progress that shows nothing."""
    yield _Silent()


@dataclass(frozen=True)
class Context:
    """What a run hands to a model beside the data."""

    seed: int = 0
    device: str = "cpu"  # "cpu" or "cuda"
    precision: Precision = "float32"  # of the matrix products in training; weights stay float32
    folder: Path | None = None  # where checkpoints and the training history go; None: nowhere
    progress: Progress = field(default=silent, repr=False)


@runtime_checkable
class Model(Protocol):
    """What `fit`s and `predict`s. A model is a dataclass: its fields are its hyper-parameters.

    Optional class attributes: `presets`, name to overrides of the fields (without it, every preset is the
    defaults); `invariances`, the names in `leaderboard.check.INVARIANCES` under which predictions do not change;
    `ablation(preset)`, the variants that its paper compares, each as fields to set from text.
    """

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        """Learn from `train`; only `val` may influence early stopping."""

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        """(n,) values in the unit of the labels, or probabilities of class 1."""

    def save(self, folder: Path) -> None:
        """Write what `load` needs into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote, ready to predict."""


@dataclass(frozen=True)
class Found:
    """An entry of `bench.models`: the class, or the reason why it cannot be had."""

    name: str
    source: str  # module:Class
    distribution: str
    model: type[Model] | None
    reason: str = ""


def found(names: Iterable[str] | None = None) -> list[Found]:
    """The installed models, ours first, or those with the given names; a broken one hurts nobody."""
    points = importlib.metadata.entry_points(group=GROUP)
    if names is not None:
        points = importlib.metadata.EntryPoints(p for p in points if p.name in set(names))
    # One of each name: ours is not replaced by a stranger's, and an editable install can list an entry twice.
    chosen = {p.name: p for p in sorted(points, key=lambda p: p.dist is not None and p.dist.name == "asugnn-bench")}
    models = [_load(p) for p in chosen.values()]
    order = ("mean", "forest", "cgcnn", "megnet", "m3gnet", "m3gnet-potential", "alignn", "asugnn")
    return sorted(models, key=lambda m: (order.index(m.name) if m.name in order else len(order), m.name))


def model_class(name: str) -> type[Model]:
    """The class of an installed model, or of `path/to/file.py:Class`; raises `InputError`."""
    if ".py:" in name:
        return _from_file(name)
    if not (hits := found([name])):
        known = [p.name for p in importlib.metadata.entry_points(group=GROUP)]
        raise InputError(f"there is no model '{name}'{suggestion(name, known)}")
    if hits[0].model is None:
        raise InputError(f"model '{name}' ({hits[0].source}) cannot be loaded: {hits[0].reason}")
    return hits[0].model


def presets(model: type[Model]) -> Mapping[str, Mapping[str, Any]]:
    """Preset name to the fields it sets."""
    declared: Mapping[str, Mapping[str, Any]] | None = getattr(model, "presets", None)
    return declared if declared is not None else {"quick": {}, "paper": {}}


def variants(name: str, preset: str) -> list[Mapping[str, str]]:
    """What is varied in the ablation of a model, by a preset's fields; raises `InputError` for a model without one."""
    cls = model_class(name)
    if not hasattr(cls, "ablation"):
        raise InputError(f"model '{name}' has no ablation: choose one that has, such as asugnn")
    if preset not in presets(cls):
        raise InputError(f"model '{name}' has no preset '{preset}'{suggestion(preset, presets(cls))}")
    chosen: list[Mapping[str, str]] = cls.ablation(preset)
    return chosen


def configured(name: str, preset: str, overrides: Mapping[str, str]) -> Model:
    """An unfitted model of a preset with some fields set from text; raises `InputError`."""
    cls = model_class(name)
    if not presets(cls):
        raise InputError(f"model '{name}' is not trained here: it comes with published weights, --pretrained")
    if preset not in presets(cls):
        raise InputError(f"model '{name}' has no preset '{preset}'{suggestion(preset, presets(cls))}")
    values = dict(presets(cls)[preset])
    if overrides and not dataclasses.is_dataclass(cls):
        raise InputError(f"model '{name}' has no fields to set: it is not a dataclass")
    for key, text in overrides.items():
        values[key] = _value(cls, name, key, text)
    return cls(**values)


def settings(model: Model) -> dict[str, Any]:
    """The hyper-parameters of a model, by name."""
    return dataclasses.asdict(model) if dataclasses.is_dataclass(model) and not isinstance(model, type) else {}


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest right one, and all there are."""
    names = sorted(known)
    hits = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{hits[0]}'?" if hits else ""
    return f"{hint} There is: {', '.join(names) if names else 'nothing'}" if hint else f"; there is: {', '.join(names)}"


def _load(point: importlib.metadata.EntryPoint) -> Found:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises, the others must go on
        return Found(point.name, point.value, package, None, f"{type(error).__name__}: {error}")
    if missing := _missing(loaded):
        return Found(point.name, point.value, package, None, f"it is no model: it lacks {missing}")
    return Found(point.name, point.value, package, loaded)


def _missing(loaded: object) -> str:
    lacks = [m for m in ("fit", "predict", "save", "load") if not callable(getattr(loaded, m, None))]
    return ", ".join(lacks)


def _from_file(name: str) -> type[Model]:
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"file:{Path(path).resolve()}", path)
    assert spec is not None and spec.loader is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up the names in their annotations
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    loaded = getattr(module, attribute, None)
    if loaded is None:
        raise InputError(f"{path} has no '{attribute}'{suggestion(attribute, vars(module))}")
    if missing := _missing(loaded):
        raise InputError(f"{name} is no model: it lacks {missing}")
    return loaded  # type: ignore[no-any-return]


def _value(cls: Any, name: str, key: str, text: str) -> Any:
    fields = {f.name for f in dataclasses.fields(cls) if f.init}
    if key not in fields:
        raise InputError(f"model '{name}' has no field '{key}'{suggestion(key, fields)}")
    kind = get_type_hints(cls)[key]
    if get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if text not in choices:
            raise InputError(f"{name}.{key} cannot be '{text}'{suggestion(text, choices)}")
        return choices[text]
    if kind not in {int, float, bool, str}:
        raise InputError(f"{name}.{key} cannot be set from text: it is a {kind}")
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        value = kind(text)
    except (KeyError, ValueError) as error:
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise InputError(f"{name}.{key} must be {wanted}, not '{text}'") from error
    if kind is float and not np.isfinite(value):
        raise InputError(f"{name}.{key} must be a finite number, not '{text}'")
    return value
