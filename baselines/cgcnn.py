"""CGCNN: gated convolutions over the nearest neighbours of each atom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from asugnn import Crystal, InputError
from asugnn.cache import Inputs
from asugnn.elements import check_elements, element_values
from asugnn.merging import MergedGraph, mean_over_atoms, merge_equivalent, merged_batch
from asugnn.model import INVARIANCES, Publication
from asugnn.neighbours import SHELL, bind_or_refuse, nearest_neighbours, shell_weights
from asugnn.published_weights import PublishedWeights
from asugnn.reading import reading
from asugnn.torch_model import TorchModel

if TYPE_CHECKING:
    import torch
    from torch import nn

PUBLISHED = "https://raw.githubusercontent.com/txie-93/cgcnn/f42ab233c4ee0c416879d6bc2d22a264418413ad/pre-trained"
STEP = 0.2  # angstrom: spacing and width of the Gaussians in which a distance is expanded


def _published(name: str, sha256: str, target: str, trained_on: str) -> PublishedWeights:
    return PublishedWeights(
        "cgcnn", {f"{name}.pth.tar": sha256}, PUBLISHED, target, f"Materials Project of 2017, {trained_on}"
    )


@dataclass
class CGCNN(TorchModel):
    """Crystal Graph Convolutional Neural Network (Xie & Grossman, Phys. Rev. Lett. 120, 145301, 2018).

    The network is the published one. The shell of the last neighbour is kept whole, and its members share the weight
    that the closer ones leave, so that predictions do not depend on which of them come first; where they are equivalent
    this is the published sum. Equivalent atoms are computed once, and batch norms and read-out count each as often as
    it occurs. An atom with fewer than `neighbours` atoms within `radius` keeps those it has: there is no padding.
    Supports hydrogen to fermium.
    """

    neighbours: int = 12  # nearest neighbours of an atom
    radius: float = 8.0  # angstrom: atoms farther away are not neighbours
    bind: bool = True  # bind an atom without a neighbour within `radius` to its nearest shell
    width: int = 64  # values of an atom
    convolutions: int = 3
    hidden: int = 128  # width of the head
    layers: int = 1  # hidden layers of the head

    momentum: float = 0.0  # of stochastic gradient descent, as published; 0: Adam
    milestone: float = 1.0  # share of the training after which the learning rate is divided by ten, without one_cycle
    one_cycle: bool = True
    patience: int = 1000  # no early stopping

    # quick: chosen on validation crystals of open-dft (docs/trials.md) to train within a minute.
    # hours: the published network; on the 23,100 crystals of mp-2018, an hour of one core.
    # paper: the settings recorded in the published weights of formation energy.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"epochs": 40, "updates": 3000, "batch_size": 64, "learning_rate": 5e-3},
        "hours": {"convolutions": 4, "hidden": 32, "epochs": 80, "batch_size": 128, "learning_rate": 1e-2},
        "paper": {
            "convolutions": 4,
            "hidden": 32,
            "epochs": 1000,
            "batch_size": 256,
            "learning_rate": 0.02,
            "momentum": 0.9,
            "milestone": 0.8,
            "one_cycle": False,
        },
    }
    publication: ClassVar[Publication] = Publication(
        "Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018)",
        "10.1103/PhysRevLett.120.145301",
        "https://github.com/txie-93/cgcnn",
        "MIT",
    )
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "jarvis", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES
    input_fields: ClassVar[tuple[str, ...]] = ("neighbours", "radius", "bind")
    input_version: ClassVar[int] = 3
    batch_on_device: ClassVar[bool] = True
    weights: ClassVar[Mapping[str, PublishedWeights]] = {
        "formation-energy-per-atom": _published(
            "formation-energy-per-atom",
            "e2f8bb910744f2c2f21d968285b6fd4316d795d0f3e7465ed0e3b4f3c92651a1",
            "formation-energy",
            "28,046 crystals",
        ),
        "band-gap": _published(
            "band-gap",
            "d269775b9be0995c046abed3dd6556c281a3eff7b2e1d73cf81b99e2a1d4aa6c",
            "band-gap",
            "16,458 crystals, no metals",
        ),
        "bulk-moduli": _published(
            "bulk-moduli",
            "0a3f66b9a0ee6acef11bb852717424a6c3560073239c17bdbea568cc43816dd3",
            "bulk-modulus",
            "2,041 crystals",
        ),
        "semi-metal-classification": _published(
            "semi-metal-classification",
            "3791d48885afafb28c0797e22637b63ea591cf7fb27497ce537911261b92edc8",
            "metal",
            "28,046 crystals",
        ),
    }

    def inputs(self, crystal: Crystal) -> Inputs:
        check_elements(crystal, "CGCNN")
        graph = self.graph(crystal)
        return {"numbers": crystal.numbers[graph.atom].astype(np.int32), **graph.arrays()}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.momentum and self.one_cycle:
            raise InputError("cgcnn.momentum is for one_cycle=false: the one-cycle schedule has a momentum of its own")

    def graph(self, crystal: Crystal) -> MergedGraph:
        """Find the nearest neighbours in a crystal, and merge equivalent atoms and pairs; a shell has one distance."""
        pairs = nearest_neighbours(crystal, self.neighbours, self.radius)
        pairs = bind_or_refuse(crystal, pairs, self.radius, self.bind, "CGCNN")
        return merge_equivalent(crystal.numbers, pairs, shell_weights(pairs, self.neighbours), tolerance=SHELL)

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return merged_batch(inputs, "numbers")

    def network(self) -> nn.Module:
        return _network(self)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        from asugnn.optimisers import SGD

        if not self.momentum:
            return super().optimiser(network)
        return SGD(network.parameters(), lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler | None:
        import torch

        if self.one_cycle:
            return super().schedule(optimiser, steps)
        return torch.optim.lr_scheduler.MultiStepLR(optimiser, [round(self.milestone * steps)])

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Self:
        """Load a model of the original code from its checkpoint, the one file `.pth.tar`; raises `InputError`."""
        checkpoints = [path for name, path in files.items() if name.endswith(".pth.tar")]
        if len(checkpoints) != 1:
            raise InputError(f"CGCNN's weights are one file .pth.tar, and there are {len(checkpoints)}: name the file")
        import torch

        scalar = (np._core.multiarray.scalar, "numpy.core.multiarray.scalar")  # type: ignore[attr-defined]
        with reading(checkpoints[0], "a CGCNN checkpoint"):
            # One checkpoint keeps its score as a NumPy scalar; beside that, only plain tensors are unpickled.
            with torch.serialization.safe_globals([np.dtype, np.dtypes.Float64DType, scalar]):
                checkpoint = torch.load(checkpoints[0], map_location="cpu", weights_only=True)
            args, state, norm = checkpoint["args"], checkpoint["state_dict"], checkpoint["normalizer"]
            args = args if isinstance(args, dict) else vars(args)
            model = cls(
                convolutions=args["n_conv"],
                width=args["atom_fea_len"],
                hidden=args["h_fea_len"],
                layers=args["n_h"],
                bind=False,
            )
            binary = args["task"] == "classification"
            weights = {
                _rename_weight(name, model.layers): value
                for name, value in state.items()
                if not name.endswith("tracked")
            }
            if binary:  # two outputs under a softmax are one under a sigmoid, their difference
                head = f"head.{2 * model.layers + 1}"
                for name in (f"{head}.weight", f"{head}.bias"):
                    weights[name] = weights[name][1:] - weights[name][:1]
            counts = {name: value for name, value in model.network().state_dict().items() if name.endswith("tracked")}
            offset, scale = (0.0, 1.0) if binary else (float(norm["mean"]), float(norm["std"]))
            return model.with_weights({**counts, **weights}, "binary" if binary else "regression", offset, scale)


def _rename_weight(name: str, layers: int) -> str:
    """Translate the name of a weight in the original code into its name here."""
    parts = {
        "embedding": "embed", "convs": "convolutions", "fc_full": "gate", "bn1": "norm_gate", "bn2": "norm_sum",
        "conv_to_fc": "head.1",
    }  # fmt: skip
    words = name.split(".")
    if words[0] == "fcs":  # hidden layers after the first
        words[:2] = ["head", str(2 * int(words[1]) + 3)]
    if words[0] == "fc_out":
        words[0] = f"head.{2 * layers + 1}"
    return ".".join(parts.get(word, word) for word in words)


def _network(model: CGCNN) -> nn.Module:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

    from asugnn.weighted_norm import WeightedNorm, shares

    class Convolution(nn.Module):
        """Equation 5 of the paper, with the batch norms of its code."""

        def __init__(self, width: int, bond: int) -> None:
            super().__init__()
            self.parts = [width, width, bond]
            self.gate = nn.Linear(2 * width + bond, 2 * width)
            self.norm_gate = WeightedNorm(2 * width)
            self.norm_sum = WeightedNorm(width)

        def forward(self, x: Tensor, bond: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
            centre, neighbour = batch["centre"], batch["other"]
            # The linear map of [x_i, x_j, bond] is the sum of three, of which two are computed once per atom.
            w_centre, w_neighbour, w_bond = torch.split(self.gate.weight, self.parts, dim=1)
            z = functional.linear(bond, w_bond, self.gate.bias)  # (e, 2F)
            z = z + functional.linear(x, w_centre).index_select(0, centre)
            z = z + functional.linear(x, w_neighbour).index_select(0, neighbour)
            gate, core = self.norm_gate(z, batch["pair_share"], batch["pairs"]).chunk(2, dim=1)  # (e, F) each
            message = torch.sigmoid(gate) * functional.softplus(core) * batch["weight"][:, None]
            total = message.new_zeros(x.shape).index_add(0, centre, message)  # (k, F)
            return functional.softplus(x + self.norm_sum(total, batch["atom_share"], batch["atoms"]))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("elements", torch.tensor(element_values(), dtype=torch.float32), persistent=False)
            centres = torch.arange(round(model.radius / STEP) + 1) * STEP
            self.register_buffer("centres", centres, persistent=False)
            self.embed = nn.Linear(92, model.width)
            self.convolutions = nn.ModuleList(Convolution(model.width, len(centres)) for _ in range(model.convolutions))
            widths = [model.width, *[model.hidden] * model.layers]
            self.head = nn.Sequential(nn.Softplus())
            for width_in, width_out in pairwise(widths):
                self.head.extend([nn.Linear(width_in, width_out), nn.Softplus()])
            self.head.append(nn.Linear(widths[-1], 1))

        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            multiplicity = batch["multiplicity"]  # (k,)
            pairs = batch["weight"] * multiplicity.index_select(0, batch["centre"])  # (e,) how many each stands for
            batch = dict(batch)
            batch["pair_share"], batch["pairs"] = shares(pairs)
            batch["atom_share"], batch["atoms"] = shares(multiplicity)
            x = self.embed(self.elements).index_select(0, batch["numbers"])  # (k, F)
            bond = torch.exp(-(((batch["distance"][:, None] - self.centres) / STEP) ** 2))  # (e, 41)
            for convolution in self.convolutions:
                x = convolution(x, bond, batch)  # (k, F)
            y: Tensor = self.head(mean_over_atoms(x, batch))  # (crystals, 1)
            return y[:, 0]

    return Network()
