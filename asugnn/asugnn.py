"""ASUGNN, the asymmetric-unit graph neural network of Cao, Anderson & Davis, J. Appl. Cryst. 2025."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from asugnn.cache import Inputs
from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.model import INVARIANCES, Publication
from asugnn.torch_model import TorchModel

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class ASUGNN(TorchModel):
    """Asymmetric-unit-based graph neural network (Cao, Anderson & Davis, J. Appl. Cryst., 2025).

    The defaults are the paper's, with its section or table beside each. Where a space group leaves the origin free,
    predictions depend on the choice of origin, because the fractional coordinates do, unless `origin` is `settled`. A
    chiral crystal and its mirror image get different predictions. With `nodes=orbit`, which has no coordinates, neither
    is so. Supports hydrogen to californium.
    """

    epochs: int = 200  # section 4.4
    batch_size: int = 128  # section 4.4
    learning_rate: float = 1.5e-4  # section 4.4
    weight_decay: float = 0.1  # of linear layers; the authors' code
    one_cycle: bool = True  # the authors' code: warm-up, then a cosine
    patience: int = 10  # section 4.4
    width: int = 512  # d, Table 1
    heads: int = 8  # section 4.2
    codecs: int = 2  # section 3
    first: Literal["asuam", "dam"] = "asuam"  # adjacency of the first convolution, Table 1
    second: Literal["asuam", "dam", "none"] = "dam"  # of the second convolution; none: only one convolution, Table 1
    xrd: bool = True  # whether atoms attend to the powder pattern; otherwise that attention is zero, section 4.2
    windows: int = 14  # tokens of the powder pattern, 5 degrees each; ours, the authors' code has 1
    term: Literal["before", "after"] = "before"  # structural term before the softmax, section 3; authors' code: after
    readout: Literal["set2set", "recurrent"] = "set2set"  # section 3; the authors' code: recurrent over the atoms
    distance: Literal["nearest", "cell"] = "nearest"  # images; the authors' code: inside the cell
    mass: Literal["mean", "total"] = "mean"  # of the atoms, section 2; the authors' code: of the cell
    profile: Literal["integrated", "sampled"] = "integrated"  # of the peaks; near to the authors' code: sampled
    origin: Literal["given", "settled"] = "given"  # where the space group leaves it free; ours: settled
    nodes: Literal["atom", "orbit"] = "atom"  # section 2; ours: orbit, without coordinates one node for each orbit
    drop_key: float = 1e-4  # the authors' code
    initial: float = 0.02  # standard deviation of linear weights at the start, the authors' code; 0: PyTorch's
    warmup: float = 0.05  # fraction of the steps during which the learning rate rises; ours

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "epochs": 18,
            "updates": 300,
            "batch_size": 64,
            "learning_rate": 3e-3,
            "patience": 50,
            "width": 64,
            "heads": 4,
            "initial": 0.0,
        },
        "hours": {
            "epochs": 200,
            "updates": 7500,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "patience": 50,
            "width": 128,
            "initial": 0.0,
        },
        "paper": {},
    }
    publication: ClassVar[Publication] = Publication(
        "Cao, Anderson & Davis, J. Appl. Cryst. 58 (2025)",
        "10.1107/S1600576724011336",
        "https://github.com/AI4Cr/ASUGNN",
        "MIT",
    )
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "moyopy", "jarvis", "ase", "scipy", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES - {"translation"}
    input_fields: ClassVar[tuple[str, ...]] = ("distance", "mass", "profile", "origin", "nodes")
    input_version: ClassVar[int] = 4
    clip: ClassVar[float | None] = 1.0  # the authors' code
    batch_on_device: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.windows < 1 or 140 % self.windows:
            raise InputError(f"asugnn.windows must divide the 140 values of the powder pattern, not be {self.windows}")
        if self.heads < 1 or self.width % self.heads:
            raise InputError(f"asugnn.heads must divide asugnn.width ({self.width}), not be {self.heads}")
        if self.nodes == "orbit":
            needed = {"term": "before", "readout": "set2set", "distance": "nearest"}
            for name, value in needed.items():
                if getattr(self, name) != value:
                    raise InputError(f"asugnn.nodes=orbit needs asugnn.{name}={value}, not {getattr(self, name)}")

    @classmethod
    def ablation(cls, preset: str) -> list[Mapping[str, str]]:
        """List the variants of Table 1: order of the adjacencies, width, and no powder pattern.

        The widths are 3/4 and 3/2 of the preset's: 384 and 768 beside 512 in `paper`.
        """
        width = cls(**cls.presets[preset]).width
        orders = [(a, b) for a in ("dam", "asuam") for b in ("dam", "asuam", "none") if (a, b) != ("asuam", "dam")]
        return [
            {},
            *({"first": a, "second": b} for a, b in orders),
            *({"width": str(w)} for w in (3 * width // 4, 3 * width // 2)),
            {"xrd": "false"},
        ]

    def inputs(self, crystal: Crystal) -> Inputs:
        (found,) = self.inputs_together([crystal])
        if isinstance(found, InputError):
            raise found
        return found

    def inputs_together(self, crystals: Sequence[Crystal]) -> Iterator[Inputs | InputError]:
        from asugnn.workers import map_chunks

        options = {name: getattr(self, name) for name in self.input_fields}
        return map_chunks(partial(_embed_in_float32, **options), crystals)

    def batch(self, inputs: Sequence[Inputs]) -> dict[str, Any]:
        from asugnn.orbits import pack_orbits
        from asugnn.packed_batch import pack_batch

        # A GPU is fastest with few large groups and some padding, a processor with exact groups.
        return (pack_orbits if self.nodes == "orbit" else pack_batch)(inputs, exact=self._device == "cpu")

    def network(self) -> nn.Module:
        from asugnn.network import Network
        from asugnn.orbits import OrbitNetwork

        return (OrbitNetwork if self.nodes == "orbit" else Network)(
            adjacencies=(self.first, self.second),
            width=self.width,
            heads=self.heads,
            codecs=self.codecs,
            windows=self.windows,
            xrd=self.xrd,
            term=self.term,
            readout=self.readout,
            drop_key=self.drop_key,
            initial=self.initial,
        )

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Build AdamW with weight decay for weights of linear layers and the factor of `term`, as the authors do.

        Biases, norms and recurrent layers do not decay.
        """
        from torch import nn

        from asugnn.optimisers import AdamW

        decayed = {id(m.weight) for m in network.modules() if isinstance(m, nn.Linear)}
        decayed |= {id(p) for name, p in network.named_parameters() if name.endswith("factor")}
        groups = [
            {"params": [p for p in network.parameters() if (id(p) in decayed) is decays], "weight_decay": rate}
            for decays, rate in ((True, self.weight_decay), (False, 0.0))
        ]
        return AdamW(groups, lr=self.learning_rate, betas=(0.9, 0.95), fused=True)

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler | None:
        """Build a linear rise, then half a cosine down to zero; None, a constant rate, without `one_cycle`."""
        import torch

        if not self.one_cycle:
            return None
        rise = max(1, round(self.warmup * steps))

        def rate(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

        return torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def _embed_in_float32(
    crystals: Sequence[Crystal], nodes: Literal["atom", "orbit"], **options: Any
) -> list[Inputs | InputError]:
    from asugnn.embedding import embed_crystals, merge_orbits

    def convert(arrays: Inputs) -> Inputs:
        return {k: v.astype(np.int32 if v.dtype.kind == "i" else np.float32) for k, v in arrays.items()}

    found = embed_crystals(crystals, **options)
    return [
        e if isinstance(e, InputError) else convert(merge_orbits(e) if nodes == "orbit" else vars(e)) for e in found
    ]
