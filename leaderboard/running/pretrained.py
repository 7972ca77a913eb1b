"""Models with published weights: which there are, and one of them ready to predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError, did_you_mean
from asugnn.model import HasPretrained, Model
from asugnn.model_registry import find_model, is_installed_model, list_models, model_weights
from asugnn.published_weights import PublishedWeights, locate_weights
from leaderboard._util import move_to_device, require_model_packages, show_progress


def published_weights(model: str) -> Mapping[str, PublishedWeights]:
    """The published weights of an installed model, by name."""
    return model_weights(find_model(model))


def models_with_weights() -> list[str]:
    """The installed models that can take published weights."""
    return [m.name for m in list_models() if m.model is not None and issubclass(m.model, HasPretrained)]


def weights_owner(models: Sequence[str], weights: str) -> str:
    """The one model whose weights lie at a path, or have a name; raises `InputError` where that is not clear."""
    able = [m for m in models if issubclass(find_model(m), HasPretrained)]
    if named := [m for m in able if weights in published_weights(m)]:
        return named[0]
    if not Path(weights).exists():
        known = {m: list(published_weights(m)) for m in models_with_weights()}
        if owners := [m for m in known if weights in known[m]]:
            raise InputError(f"'{weights}' are weights of {owners[0]}: leave --model out, or write --model {owners[0]}")
        if is_installed_model(weights):
            those = f"those for it are {', '.join(known[weights])}" if weights in known else "it has none"
            raise InputError(f"there are no published weights '{weights}': it is a model, and {those}")
        names = [name for m in able for name in known[m]]
        hint = did_you_mean(weights, names) if names else f"; --model {', '.join(models)} takes none"
        raise InputError(f"there are no published weights '{weights}', and no such folder{hint}")
    if len(able) != 1:
        raise InputError(f"--pretrained {weights} needs --model with one of {', '.join(able or models_with_weights())}")
    return able[0]


def load_pretrained(model: str, weights: str) -> Model:
    """A model with published weights, by name or path, ready to predict on the device; raises `InputError`."""
    cls = find_model(model)
    if not issubclass(cls, HasPretrained):
        raise InputError(f"model '{model}' takes no published weights: it has no method 'pretrained'")
    require_model_packages(cls)
    return move_to_device(cls.pretrained(_files(model, weights)))


def fetch_weights(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Download the published weights (model, name) that are not here, each once; of those that fail, the reason.

    In one process, so that a server that does not answer is waited for once.
    """
    published = [(model, name) for model, name in dict.fromkeys(wanted) if name in published_weights(model)]
    reasons = {}
    with show_progress("published weights", len(published)) as bar:
        for model, name in published:
            try:
                require_model_packages(find_model(model))  # nothing is downloaded for a model that cannot run
                _files(model, name)
            except (InputError, ModuleNotFoundError) as error:
                reasons[model, name] = str(error)
            bar.advance()
    return reasons


def describe_weights(model: str, weights: str) -> dict[str, Any]:
    """What the record of a run says of its weights."""
    known = published_weights(model).get(weights)
    digests = {name: file_sha256(path) for name, path in _files(model, weights).items()}
    return {"name": weights, "sha256": digests, "trained_on": known.trained_on if known else "data unknown here"}


def _files(model: str, weights: str) -> dict[str, Path]:
    if known := published_weights(model).get(weights):
        folder = locate_weights(weights, known)
        return {name: folder / name for name in known.files}
    path = Path(weights)
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else []
    if not files:
        raise InputError(f"there is no file in '{weights}'")
    return {file.name: file for file in files}
