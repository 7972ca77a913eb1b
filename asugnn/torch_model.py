"""A base class for torch models: cached inputs, scaling of the target, training, prediction, saving.

It is optional: a model needs only the four methods of `asugnn.Model`. A torch network gets them from here by defining
its inputs, its network and, if needed, its optimiser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np

from asugnn.atomic_write import write_text
from asugnn.cache import Inputs, RefusedCrystalsError, cached_inputs, inputs_or_error, naming
from asugnn.crystal import Crystal, Floats
from asugnn.errors import InputError
from asugnn.model import Context, Kind, Labelled
from asugnn.model_registry import model_settings
from asugnn.progress import Progress, no_progress
from asugnn.reading import read_json, reading

if TYPE_CHECKING:  # torch takes seconds to import, and listing models must not
    import torch
    from torch import Tensor, nn

    from asugnn.training import Batch


class OnDevice:
    """A model whose network, a torch module, is on one device."""

    _device = "cpu"  # of the run, else of the fitted network
    _network: Any

    def to(self, device: str) -> Self:
        """Move the network to a device, `cpu` or `cuda`, on which it then predicts; returns the model."""
        self._device = device
        self._network.to(device)
        return self


# Fields of models, by what they may be.
ABOVE_ZERO = {"epochs", "batch_size", "learning_rate", "patience", "radius", "cutoff", "threebody_cutoff", "neighbours",
              "width", "hidden", "convolutions", "blocks", "layers", "depth", "bins"}  # fmt: skip
FROM_ZERO = {"updates", "weight_decay", "momentum", "codecs", "alignn_layers", "gcn_layers", "initial"}


@dataclass
class TorchModel(OnDevice):
    """A model whose network maps a batch of inputs to (n,) outputs, trained by `asugnn.training.train`.

    The network's output is the standardised target, or the logit of class 1.
    """

    epochs: int = 200
    updates: int = 0  # maximum number of optimiser steps: a large training set gets fewer epochs; 0: no limit
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    one_cycle: bool = False  # the learning rate rises to its value and falls to almost zero; otherwise it is constant
    patience: int = 50  # epochs without a better validation score before training stops
    loss: Literal["mse", "l1"] = "mse"  # of a regression; a classifier uses binary cross-entropy

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}}
    invariances: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    input_fields: ClassVar[tuple[str, ...]] = ()  # the fields on which the result of `inputs` depends
    input_version: ClassVar[int] = 1  # increase it when `inputs` changes, so that cached inputs are not reused
    clip: ClassVar[float | None] = None  # maximum norm of the gradient
    trains_together: ClassVar[bool] = True  # several processes can train it: no crystal of a batch sees another one
    batch_on_device: ClassVar[bool] = False  # whether `batch` also takes tensors on the run's device for arrays

    def __post_init__(self) -> None:
        for name in sorted(ABOVE_ZERO & vars(self).keys()):
            if getattr(self, name) <= 0:
                raise InputError(f"{type(self).__name__.lower()}.{name} must be above 0, not {getattr(self, name)}")
        for name in sorted(FROM_ZERO & vars(self).keys()):
            if getattr(self, name) < 0:
                raise InputError(f"{type(self).__name__.lower()}.{name} must not be below 0: {getattr(self, name)}")

    # Defined by a model ---------------------------------------------------------------------------------------

    def inputs(self, crystal: Crystal) -> Inputs:
        """Compute the arrays of one crystal, by name, that `batch` collates; they are cached on disk.

        Raises `InputError` for a crystal that the model does not support, such as one with an unknown element.
        """
        raise NotImplementedError

    def inputs_together(self, crystals: Sequence[Crystal]) -> Iterator[Inputs | InputError]:
        """Compute the `inputs` of many crystals, and yield its errors; override it where this takes less time.

        Several processes do it, as many as `asugnn.workers.processes_for` says, where they can import the class.
        """
        from asugnn.workers import map_chunks, processes_for

        package = type(self).__module__.partition(".")[0]
        if processes_for(len(crystals)) > 1 and PathFinder.find_spec(package):
            return map_chunks(partial(_inputs_of, type(self), model_settings(self)), crystals)
        return (inputs_or_error(self.inputs, crystal) for crystal in crystals)

    def batch(self, inputs: Sequence[Inputs]) -> Batch:
        """Collate the inputs of some crystals to the input of the network; see `flat_batch`."""
        raise NotImplementedError

    def network(self) -> nn.Module:
        """Build the network with random weights; it maps a batch of n crystals to (n,)."""
        raise NotImplementedError

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Build the optimiser: AdamW here; override it where the publication has another."""
        from asugnn.optimisers import AdamW

        return AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Build the schedule of the learning rate over `steps` optimiser steps: one cycle, or None if constant."""
        import torch

        if not self.one_cycle:
            return None
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, self.learning_rate, total_steps=steps)

    # The interface of a model --------------------------------------------------------------------------------------

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        import torch

        from asugnn.ranks import joined_team
        from asugnn.training import Batches
        from asugnn.training import train as train_network

        torch.manual_seed(context.seed)
        # As torch.use_deterministic_algorithms, but without the compiler (see asugnn/optimisers.py).
        torch.set_deterministic_debug_mode("warn" if context.device == "cpu" else "default")
        self._kind, self._device, self._offset, self._scale = train.kind, context.device, 0.0, 1.0
        if train.kind == "regression":
            self._offset, self._scale = float(train.y.mean()), float(train.y.std()) or 1.0
        targets = [torch.tensor((part.y - self._offset) / self._scale, dtype=torch.float32) for part in (train, val)]
        batches = Batches(
            self._side_inputs(train, context.progress),
            targets[0],
            self._side_inputs(val, context.progress),
            targets[1],
            self.batch,
            self.batch_size,
            self.batch_on_device,
        )
        epochs = min(self.epochs, max(1, self.updates // batches.steps)) if self.updates else self.epochs
        self._network = self.network().to(context.device)
        optimiser = self.optimiser(self._network)
        with joined_team(context):
            train_network(
                self._network,
                batches,
                self._compute_loss,
                optimiser,
                self.schedule(optimiser, batches.steps * epochs),
                context,
                epochs=epochs,
                patience=self.patience,
                score=self._compute_score,
                clip=self.clip,
            )

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        import torch

        from asugnn.training import move_batch

        if not crystals:
            return np.empty(0)
        inputs = self._cached_inputs(crystals, no_progress)
        # Crystals of similar size go together, large ones few at a time: less padding, less memory.
        sizes = np.array([sum(a.size for a in x.values()) for x in inputs])
        order = np.argsort(sizes, kind="stable")
        chunks = np.cumsum(sizes[order]) // (2 * self.batch_size * max(1, int(np.median(sizes))))
        values = np.empty(len(inputs))
        self._network.eval()
        with torch.inference_mode():
            waiting = np.split(order, np.flatnonzero(np.diff(chunks)) + 1)[::-1]
            while waiting:
                chunk = waiting.pop()
                try:
                    batch = move_batch(self.batch([inputs[i] for i in chunk]), torch.device(self._device))
                    y = self._network(batch).float()
                    values[chunk] = (torch.sigmoid(y) if self._kind == "binary" else y).double().cpu().numpy()
                except torch.OutOfMemoryError:
                    if len(chunk) == 1:
                        raise
                    waiting += np.array_split(chunk, 2)
        return values * self._scale + self._offset

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {k: v.detach().cpu().contiguous() for k, v in self._network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        content = {"kind": self._kind, "offset": self._offset, "scale": self._scale, "settings": model_settings(self)}
        write_text(folder / "model.json", json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.torch import load_file

        what = f"a saved {cls.__name__} model"
        with reading(folder, what):
            saved = read_json(folder / "model.json", what)
            weights = load_file(folder / "weights.safetensors")
            kind, offset, scale = saved["kind"], float(saved["offset"]), float(saved["scale"])
            if kind not in get_args(Kind) or not isfinite(offset) or not isfinite(scale):
                raise ValueError("its kind, offset or scale is damaged")
            return cls(**saved["settings"]).with_weights(weights, kind, offset, scale)

    def with_weights(self, weights: Mapping[str, Tensor], kind: Kind, offset: float, scale: float) -> Self:
        """Give the model a network with these weights and return it, ready to predict on the CPU; see `to`.

        `weights` is the network's state_dict. Predictions are `scale` times the network's output plus `offset`, both in
        the unit of the target; for a `binary` kind, probabilities (offset 0, scale 1).
        """
        self._kind, self._offset, self._scale = kind, offset, scale
        self._network = self.network()
        self._network.load_state_dict(weights)
        return self.to("cpu")

    @property
    def parameters(self) -> int:
        """Number of trainable parameters of the fitted network."""
        return sum(p.numel() for p in self._network.parameters() if p.requires_grad)

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals for which `inputs` raises `InputError`: position to its message."""
        try:
            self._cached_inputs(crystals, no_progress)  # `predict` needs them, too
        except RefusedCrystalsError as error:
            return error.reasons
        return {}

    # Details -------------------------------------------------------------------------------------------------------

    def _cached_inputs(self, crystals: Sequence[Crystal], progress: Progress) -> Sequence[Inputs]:
        settings = {name: getattr(self, name) for name in self.input_fields}
        name = f"{type(self).__name__.lower()}-{self.input_version}"
        return cached_inputs(crystals, self.inputs, name, settings, progress, self.inputs_together)

    def _side_inputs(self, side: Labelled, progress: Progress) -> Sequence[Inputs]:
        """Compute the inputs of one side; raises `InputError` with the id of the first unsupported crystal."""
        with naming(side.ids):
            return self._cached_inputs(side.crystals, progress)

    def _compute_loss(self, output: Tensor, target: Tensor) -> Tensor:
        from torch.nn import functional

        if self._kind == "binary":
            return functional.binary_cross_entropy_with_logits(output, target)
        return functional.l1_loss(output, target) if self.loss == "l1" else functional.mse_loss(output, target)

    def _compute_score(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean absolute error in the unit of the label, or cross-entropy; it selects the best epoch."""
        if self._kind == "binary":
            return self._compute_loss(output, target)
        return (output - target).abs().mean() * self._scale


def _inputs_of(
    cls: type[TorchModel], settings: Mapping[str, Any], crystals: Sequence[Crystal]
) -> list[Inputs | InputError]:
    model = cls(**settings)
    return [inputs_or_error(model.inputs, crystal) for crystal in crystals]


def flat_batch(inputs: Sequence[Inputs], nodes: str, index: Sequence[str] | Mapping[str, str] = ()) -> dict[str, Any]:
    """Collate inputs without padding: every array is concatenated along its first axis.

    `nodes` names an array with one row per atom. Arrays named in `index` hold atom indices from 0, which are shifted to
    count over the whole batch; where `index` maps a name to another array's, they are indices of that array's rows.
    The arrays of `inputs` may be tensors on a device: the batch then is there. Adds `crystal` (atoms,), the position of
    each atom's crystal in `inputs`, and `size`, the number of crystals. Returns tensors by name.
    """
    import torch

    from asugnn.device_inputs import device_of, join, repeat_rows, upload

    device = device_of(inputs)
    indexed = index if isinstance(index, Mapping) else dict.fromkeys(index, nodes)
    counts = {name: np.array([len(x[name]) for x in inputs]) for name in {nodes, *indexed.values()}}
    batch: dict[str, Any] = {}
    for name in inputs[0]:
        batch[name] = join([x[name] for x in inputs])
        if name in indexed:
            rows = counts[indexed[name]]
            lengths = np.array([len(x[name]) for x in inputs])
            start, length = upload(np.stack([np.cumsum(rows) - rows, lengths]), device)
            batch[name] = batch[name].long() + repeat_rows(start, length, int(lengths.sum()))
    crystals = torch.arange(len(inputs), device=device)
    batch["crystal"] = repeat_rows(crystals, upload(counts[nodes], device), int(counts[nodes].sum()))
    batch["size"] = len(inputs)
    return batch
