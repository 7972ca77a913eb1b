"""What TorchModel does around the training loop, with a network of one layer."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.torch_model import TorchModel, flat_batch

CRYSTALS = [Crystal((3 + i / 10) * np.eye(3), [[0, 0, 0]], [3 + i]) for i in range(8)]


@dataclass
class Linear(TorchModel):
    """A linear function of the volume; knows the elements up to neon."""

    epochs: int = 2
    batch_size: int = 4

    def inputs(self, crystal):
        if crystal.numbers.max() > 10:
            raise InputError(f"{crystal.formula} is too heavy")
        return {"numbers": crystal.numbers, "volume": np.array([crystal.volume / 30], dtype=np.float32)}

    def batch(self, inputs):
        return flat_batch(inputs, "numbers")

    def network(self):
        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(1, 1)

            def forward(self, batch):
                return self.layer(batch["volume"][:, None])[:, 0]

        return Network()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def labelled(y, crystals=CRYSTALS) -> Labelled:
    return Labelled(tuple("abcdefgh")[: len(crystals)], crystals, np.asarray(y, dtype=float), "regression")


def test_the_validation_score_is_in_the_unit_of_the_labels(tmp_path):
    """Labels a thousand times larger give a thousand times the mean absolute error."""
    scores = []
    for unit in (1.0, 1000.0):
        folder = tmp_path / str(unit)
        folder.mkdir()
        data = labelled(unit * np.arange(8))
        Linear(epochs=1, learning_rate=1e-9).fit(data, data, Context(folder=folder))
        scores.append(float((folder / "history.csv").read_text().splitlines()[1].split(",")[2]))
    assert scores[1] == pytest.approx(1000 * scores[0], rel=1e-4)


def test_labels_that_are_all_equal_are_learnt():
    """Their standard deviation is 0, by which nothing can be divided."""
    data, model = labelled(np.full(8, 2.5)), Linear(epochs=30, learning_rate=0.1)
    model.fit(data, data, Context())
    assert np.allclose(model.predict(CRYSTALS), 2.5, atol=0.5)


@pytest.mark.parametrize(("heavy", "end"), [((5,), "too heavy"), ((2, 5, 6), r"too heavy \(and 2 more\)")])
def test_unsupported_crystals_of_a_side_are_counted(heavy, end):
    crystals = [Crystal(c.lattice, c.frac_coords, [30 if i in heavy else 3]) for i, c in enumerate(CRYSTALS)]
    with pytest.raises(InputError, match=f"crystal '{'abcdefgh'[heavy[0]]}': Zn is {end}$"):
        Linear().fit(labelled(np.arange(8), crystals), labelled(np.arange(8)), Context())


def test_a_batch_is_end_to_end():
    batch = flat_batch(
        [{"z": np.array([1, 2]), "i": np.array([0, 1, 1])}, {"z": np.array([3]), "i": np.array([0])}], "z", index=["i"]
    )
    assert batch["z"].tolist() == [1, 2, 3]
    assert batch["i"].tolist() == [0, 1, 1, 2]
    assert batch["crystal"].tolist() == [0, 0, 1]
    assert batch["size"] == 2
