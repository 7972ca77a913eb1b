"""How models are found, named and configured."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from asugnn.errors import BrokenModelError, InputError, did_you_mean
from asugnn.model import HasAblation, HasWeights, Model, Publication
from asugnn.published_weights import FrozenWeights, PublishedWeights

GROUP = "bench.models"  # the entry-point group in which models are found


@dataclass(frozen=True)
class ModelEntry:
    """An entry point of the group `bench.models`: the model's class, or the reason why it cannot be loaded."""

    name: str
    source: str  # module:Class
    distribution: str
    model: type[Model] | None
    reason: str = ""


def list_models(names: Iterable[str] | None = None) -> list[ModelEntry]:
    """List the installed models, ours first, or those with the given names; a broken one is listed with its reason."""
    points = importlib.metadata.entry_points(group=GROUP)
    if names is not None:
        points = importlib.metadata.EntryPoints(p for p in points if p.name in set(names))
    # One of each name: ours is not replaced by a stranger's, and an editable install can list an entry twice.
    chosen = {p.name: p for p in sorted(points, key=lambda p: p.dist is not None and p.dist.name == "asugnn-bench")}
    models = [_load_entry(p) for p in chosen.values()]
    order = ("mean", "forest", "boosted", "cgcnn", "megnet", "m3gnet", "m3gnet-potential", "alignn", "cogn", "asugnn",
             "chgnet-svr", "chgnet-potential")  # fmt: skip
    return sorted(models, key=lambda m: (order.index(m.name) if m.name in order else len(order), m.name))


def is_installed_model(name: str) -> bool:
    """Whether an entry point has that name; nothing is loaded."""
    return any(point.name == name for point in importlib.metadata.entry_points(group=GROUP))


def is_file_model(name: str) -> bool:
    """Whether a model is named as `path/to/file.py:Class`, not by an entry point."""
    return ".py:" in name


def find_model(name: str) -> type[Model]:
    """Return the class of an installed model, or of `path/to/file.py:Class`.

    A file is executed: give only a name that the user typed. Raises `InputError` where there is no such model, or it
    cannot be loaded.
    """
    if is_file_model(name):
        return _model_from_file(name.replace(".py::", ".py:"))  # as pytest writes it
    if name.endswith(".py") and Path(name).is_file():
        raise InputError(f"'{name}' is a file: write {name}:CLASS, with the name of a class in it")
    if not (entries := list_models([name])):
        installed = [p.name for p in importlib.metadata.entry_points(group=GROUP)]
        file, colon, cls = name.partition(":")
        if not colon and Path(f"{name.rpartition('.')[0]}.py").is_file():  # as Python and the board write it
            file, colon, cls = name.rpartition(".")
        in_file = colon or name.endswith(".py")
        hint = f"; for a class in a file write {file.removesuffix('.py')}.py:{cls or 'CLASS'}"
        several = "; separate models by commas" if len(name.split()) > 1 else ""
        owners = [m.name for m in list_models() if m.model and name in model_weights(m.model)]
        several = several or (f": it names published weights, `bench run --pretrained {name}`" if owners else "")
        raise InputError(f"there is no model '{name}'{hint if in_file else several or did_you_mean(name, installed)}")
    (entry,) = entries
    if entry.model is None:
        raise InputError(f"model '{name}' ({entry.source}) cannot be loaded: {entry.reason}")
    return entry.model


def model_presets(model: type[Model]) -> Mapping[str, Mapping[str, Any]]:
    """Map the name of each preset to the fields that it sets."""
    declared: Mapping[str, Mapping[str, Any]] | None = getattr(model, "presets", None)
    return declared if declared is not None else {"quick": {}, "paper": {}}


def model_weights(model: type[Model]) -> Mapping[str, PublishedWeights]:
    """Map the names of a model's published weights to where they are; empty for a model without."""
    return model.weights if isinstance(model, HasWeights) else {}


def model_frozen(model: type[Model]) -> FrozenWeights | None:
    """Return the published weights inside a model that is trained here; None for one that has none."""
    stated = getattr(model, "frozen_weights", None)
    return stated if isinstance(stated, FrozenWeights) else None


def model_publication(model: type[Model]) -> Publication | None:
    """Return where a model was published; None for one that does not say."""
    stated = getattr(model, "publication", None)
    return stated if isinstance(stated, Publication) else None


def ablation_variants(name: str, preset: str) -> Sequence[Mapping[str, str]]:
    """List the variants that the ablation of a model compares, each as fields to set from text.

    Raises `InputError` for a model without an ablation, or an unknown preset.
    """
    cls = find_model(name)
    if not issubclass(cls, HasAblation):
        raise InputError(f"model '{name}' has no ablation: choose one that has, such as asugnn")
    _check_preset(name, cls, preset)
    return cls.ablation(preset)


def configure_model(name: str, preset: str, overrides: Mapping[str, str]) -> Model:
    """Make an unfitted model of a preset, with `overrides` (field to text) on top.

    Raises `InputError` for a model that cannot be loaded, an unknown preset or field, or a value that does not fit.
    """
    cls = find_model(name)
    if not model_presets(cls):
        raise InputError(
            f"model '{name}' is not trained here: it comes with published weights, `bench run --pretrained`"
        )
    _check_preset(name, cls, preset)
    values = dict(model_presets(cls)[preset])
    if overrides and not dataclasses.is_dataclass(cls):
        raise InputError(f"model '{name}' has no fields to set: it is not a dataclass")
    for key, text in overrides.items():
        values[key] = _parse_value(cls, name, key, text)
    try:
        return cls(**values)
    except InputError:  # a value that the model refuses
        raise
    except TypeError as error:  # a field without a default
        raise BrokenModelError(f"model '{name}' cannot be made: {error}; give every field a default") from error
    except Exception as error:  # of a constructor of the model's own
        raise BrokenModelError(f"model '{name}' cannot be made: {type(error).__name__}: {error}") from error


def model_settings(model: Model) -> dict[str, Any]:
    """Return the hyper-parameters of a model by name: its dataclass fields."""
    return dataclasses.asdict(model) if dataclasses.is_dataclass(model) and not isinstance(model, type) else {}


def _check_preset(name: str, model: type[Model], preset: str) -> None:
    if preset not in model_presets(model):
        raise InputError(f"model '{name}' has no preset '{preset}'{did_you_mean(preset, model_presets(model))}")


def _load_entry(point: importlib.metadata.EntryPoint) -> ModelEntry:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises, the others must go on
        return ModelEntry(point.name, point.value, package, None, _failed_import(error))
    if fault := _interface_fault(loaded):
        return ModelEntry(point.name, point.value, package, None, f"it is no model: {fault}")
    return ModelEntry(point.name, point.value, package, loaded)


def _interface_fault(loaded: object) -> str:
    """Why an object is not the class of a model; empty if it is."""
    if not isinstance(loaded, type):
        return "it is not a class"
    lacking = [method for method in ("fit", "predict", "save", "load") if not callable(getattr(loaded, method, None))]
    if lacking:
        return f"it lacks {', '.join(lacking)}; a model has the methods fit, predict, save and load"
    for name, given in (("fit", "train, val, context"), ("predict", "crystals")):
        if inspect.isfunction(method := getattr(loaded, name)):
            try:
                inspect.signature(method).bind("self", *given.split(", "))
            except TypeError:
                return f"its {name} must take (self, {given})"
    if not isinstance(getattr(loaded, "frozen_weights", None), FrozenWeights | None):
        return "its frozen_weights must be an asugnn.published_weights.FrozenWeights"
    return ""


def _failed_import(error: BaseException) -> str:
    """Why a module cannot be imported, for the person who wrote or installed it."""
    missing = isinstance(error, ModuleNotFoundError)
    hint = "; install it into this environment, or correct its name" if missing else ""
    return f"{type(error).__name__}: {error}{hint}"


def _model_from_file(name: str) -> type[Model]:
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
        raise BrokenModelError(f"{path} cannot be loaded: {_failed_import(error)}") from error
    loaded = getattr(module, attribute, None)
    if loaded is None:
        classes = [key for key, value in vars(module).items() if isinstance(value, type) and key[0] != "_"]
        raise InputError(f"{path} has no '{attribute}'{did_you_mean(attribute, classes)}")
    if fault := _interface_fault(loaded):
        raise BrokenModelError(f"{name} is no model: {fault}")
    return loaded  # type: ignore[no-any-return]


def _parse_value(cls: Any, name: str, key: str, text: str) -> Any:
    fields = {f.name for f in dataclasses.fields(cls) if f.init}
    if key not in fields:
        raise InputError(f"model '{name}' has no field '{key}'{did_you_mean(key, fields)}")
    try:
        field_type = get_type_hints(cls)[key]
    except NameError as error:
        raise BrokenModelError(f"the types of the fields of model '{name}' cannot be read: {error}") from error
    if get_origin(field_type) is Literal:
        choices = {str(choice): choice for choice in get_args(field_type)}
        if text not in choices:
            raise InputError(f"{name}.{key} cannot be '{text}'{did_you_mean(text, choices)}")
        return choices[text]
    if field_type not in {int, float, bool, str}:
        raise InputError(f"{name}.{key} cannot be set from text: it is a {field_type}")
    try:
        if field_type is bool:
            return {"true": True, "false": False}[text.lower()]
        value = field_type(text)
    except (KeyError, ValueError) as error:
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[field_type]
        raise InputError(f"{name}.{key} must be {wanted}, not '{text}'") from error
    if field_type is float and not np.isfinite(value):
        raise InputError(f"{name}.{key} must be a finite number, not '{text}'")
    return value
