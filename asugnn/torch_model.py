"""What the torch models share beside the loop: inputs, scaling of the target, prediction, saving.

A convenience, not a duty: a model needs only the four methods of `asugnn.Model`. One that is a torch network gets
them from here by naming its inputs, its network and its optimiser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from asugnn.atomic_write import write_text
from asugnn.cache import Inputs, cached_inputs
from asugnn.crystal import Crystal, Floats
from asugnn.errors import InputError
from asugnn.model import Context, Kind, Labelled, Progress, no_progress
from asugnn.model_registry import model_settings

if TYPE_CHECKING:  # torch takes seconds to import, and listing models must not
    import torch
    from torch import Tensor, nn

    from asugnn.training import Batch


@dataclass
class TorchModel:
    """A model whose network maps a batch of inputs to (n,) outputs, trained by `asugnn.training.train`.

    The network's output is the standardised target, or the logit of class 1.
    """

    epochs: int = 200
    updates: int = 0  # most steps of the optimiser: a large training set gets fewer epochs; 0: no limit
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    one_cycle: bool = False  # the learning rate rises to its value and falls to nothing, or else is constant
    patience: int = 50  # epochs without a better validation score before training stops
    loss: Literal["mse", "l1"] = "mse"  # of a regression; a classifier has binary cross-entropy

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}}
    invariances: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors")
    input_fields: ClassVar[tuple[str, ...]] = ()  # the fields that change what `inputs` returns
    input_version: ClassVar[int] = 1  # raise it when `inputs` returns something else for the same fields
    clip: ClassVar[float | None] = None  # largest norm of a gradient

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "patience"):
            if getattr(self, name) <= 0:
                raise InputError(f"{type(self).__name__.lower()}.{name} must be above 0, not {getattr(self, name)}")

    # What a model provides ---------------------------------------------------------------------------------------

    def inputs(self, crystal: Crystal) -> Inputs:
        """Named arrays from which `batch` builds what the network takes; raises `InputError` out of its domain."""
        raise NotImplementedError

    def batch(self, inputs: Sequence[Inputs]) -> Batch:
        """What the network takes."""
        raise NotImplementedError

    def network(self) -> nn.Module:
        """A new network with random weights: batch to (n,)."""
        raise NotImplementedError

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with decoupled weight decay, unless the publication has another."""
        import torch

        return torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Learning rate over `steps` optimiser steps: constant or one cycle, unless the publication has another."""
        import torch

        if not self.one_cycle:
            return None
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, self.learning_rate, total_steps=steps)

    # The interface of a model --------------------------------------------------------------------------------------

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        import torch

        from asugnn.training import Batches
        from asugnn.training import train as train_network

        torch.manual_seed(context.seed)
        torch.use_deterministic_algorithms(context.device == "cpu", warn_only=True)
        self._kind, self._device, self._offset, self._scale = train.kind, context.device, 0.0, 1.0
        if train.kind == "regression":
            self._offset, self._scale = float(train.y.mean()), float(train.y.std()) or 1.0
        targets = [torch.tensor((part.y - self._offset) / self._scale, dtype=torch.float32) for part in (train, val)]
        batches = Batches(
            self._named_inputs(train, context.progress),
            targets[0],
            self._named_inputs(val, context.progress),
            targets[1],
            self.batch,
            self.batch_size,
        )
        epochs = min(self.epochs, max(1, self.updates // batches.steps)) if self.updates else self.epochs
        self._network = self.network().to(context.device)
        optimiser = self.optimiser(self._network)
        train_network(
            self._network,
            batches,
            self._loss,
            optimiser,
            self.schedule(optimiser, batches.steps * epochs),
            context,
            epochs=epochs,
            patience=self.patience,
            score=self._score,
            clip=self.clip,
        )

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        import torch

        from asugnn.training import move_batch

        if not crystals:
            return np.empty(0)
        inputs = self._inputs(crystals, no_progress)
        # Crystals of one size go together, large ones few at a time: less padding, less memory.
        sizes = np.array([sum(a.size for a in x.values()) for x in inputs])
        order = np.argsort(sizes, kind="stable")
        chunks = np.cumsum(sizes[order]) // (2 * self.batch_size * max(1, int(np.median(sizes))))
        out = np.empty(len(inputs))
        self._network.eval()
        with torch.inference_mode():
            for chunk in np.split(order, np.flatnonzero(np.diff(chunks)) + 1):
                batch = move_batch(self.batch([inputs[i] for i in chunk]), torch.device(self._device))
                y = self._network(batch).float()
                out[chunk] = (torch.sigmoid(y) if self._kind == "binary" else y).double().cpu().numpy()
        return out * self._scale + self._offset

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {k: v.detach().cpu().contiguous() for k, v in self._network.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        kept = {"kind": self._kind, "offset": self._offset, "scale": self._scale, "settings": model_settings(self)}
        write_text(folder / "model.json", json.dumps(kept, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.torch import load_file

        try:
            kept = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "weights.safetensors")
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} holds no {cls.__name__} model that can be read: {error}") from error
        return cls(**kept["settings"])._with(weights, kept["kind"], kept["offset"], kept["scale"])

    @property
    def parameters(self) -> int:
        """Trainable parameters of the fitted network."""
        return sum(p.numel() for p in self._network.parameters() if p.requires_grad)

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """Positions of the crystals that are out of the model's domain, and why: it will not predict them."""
        reasons: dict[int, str] = {}
        try:
            self._inputs(crystals, no_progress)  # which `predict` will want too
        except InputError:
            for i, crystal in enumerate(crystals):
                try:
                    self.inputs(crystal)
                except InputError as error:
                    reasons[i] = str(error)
        return reasons

    # Details -------------------------------------------------------------------------------------------------------

    def _with(self, weights: Mapping[str, Tensor], kind: Kind, offset: float, scale: float) -> Self:
        """This model with a network of these weights, ready to predict."""
        import torch

        self._kind, self._offset, self._scale = kind, offset, scale
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = self.network()
        self._network.load_state_dict(weights)
        self._network.to(self._device)
        return self

    def _inputs(self, crystals: Sequence[Crystal], progress: Progress) -> list[Inputs]:
        chosen = {name: getattr(self, name) for name in self.input_fields}
        name = f"{type(self).__name__.lower()}-{self.input_version}"
        return cached_inputs(crystals, self.inputs, name, chosen, progress)

    def _named_inputs(self, side: Labelled, progress: Progress) -> list[Inputs]:
        """The inputs of one side; raises `InputError` with the id of the first crystal that has none."""
        try:
            return self._inputs(side.crystals, progress)
        except InputError:
            if not (reasons := self.outside(side.crystals)):
                raise
            first = min(reasons)
            more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
            raise InputError(f"crystal '{side.ids[first]}': {reasons[first]}{more}") from None

    def _loss(self, output: Tensor, target: Tensor) -> Tensor:
        from torch.nn import functional

        if self._kind == "binary":
            return functional.binary_cross_entropy_with_logits(output, target)
        return functional.l1_loss(output, target) if self.loss == "l1" else functional.mse_loss(output, target)

    def _score(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean absolute error in the unit of the label, or cross-entropy: what chooses among epochs."""
        if self._kind == "binary":
            return self._loss(output, target)
        return (output - target).abs().mean() * self._scale


def flat_batch(inputs: Sequence[Inputs], nodes: str, index: Sequence[str] = ()) -> dict[str, Any]:
    """A batch without padding: arrays end to end, atom indices in `index` shifted to their crystal's first atom.

    Adds `crystal`, (atoms,) the crystal of each atom counted by the rows of array `nodes`, and `size`, the number
    of crystals.
    """
    import torch

    counts = np.array([len(x[nodes]) for x in inputs])
    first = np.cumsum(counts) - counts
    out: dict[str, Any] = {}
    for name in inputs[0]:
        parts = [x[name] + start if name in index else x[name] for x, start in zip(inputs, first, strict=True)]
        out[name] = torch.from_numpy(np.concatenate(parts))
    out["crystal"] = torch.from_numpy(np.repeat(np.arange(len(inputs)), counts))
    out["size"] = len(inputs)
    return out
