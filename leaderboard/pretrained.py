"""Models with published weights: which there are, and one of them ready to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asugnn.atomic import digest
from asugnn.errors import InputError
from asugnn.model import Model, found, model_class, suggestion
from asugnn.weights import Weights, locate


def published(model: str) -> Mapping[str, Weights]:
    """The published weights of an installed model, by name."""
    weights: Mapping[str, Weights] = getattr(model_class(model), "weights", {})
    return weights


def with_weights() -> list[str]:
    """The installed models that can take published weights."""
    return [m.name for m in found() if m.model is not None and hasattr(m.model, "pretrained")]


def owner(models: Sequence[str], weights: str) -> str:
    """The one model whose weights lie at a path, or have a name; raises `InputError` where that is not clear."""
    able = [m for m in models if hasattr(model_class(m), "pretrained")]
    if named := [m for m in able if weights in published(m)]:
        return named[0]
    if not Path(weights).exists():
        names = [name for m in able for name in published(m)]
        raise InputError(f"there are no published weights '{weights}', and no such folder{suggestion(weights, names)}")
    if len(able) != 1:
        raise InputError(f"--pretrained {weights} needs --model with one of {', '.join(able or with_weights())}")
    return able[0]


def load(model: str, weights: str) -> Model:
    """A model with published weights, by name or path, ready to predict; raises `InputError`."""
    cls: Any = model_class(model)
    ready: Model = cls.pretrained(_files(model, weights))
    return ready


def described(model: str, weights: str) -> dict[str, Any]:
    """What the record of a run says of its weights."""
    known = published(model).get(weights)
    digests = {name: digest(path) for name, path in _files(model, weights).items()}
    return {"name": weights, "sha256": digests, "trained_on": known.trained_on if known else "data unknown here"}


def _files(model: str, weights: str) -> dict[str, Path]:
    if known := published(model).get(weights):
        folder = locate(weights, known)
        return {name: folder / name for name in known.files}
    path = Path(weights)
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else []
    if not files:
        raise InputError(f"there is no file in '{weights}'")
    return {file.name: file for file in files}
