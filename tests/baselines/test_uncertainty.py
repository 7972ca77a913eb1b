"""What boosted trees learn of their own errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.crystal import Floats
from asugnn.model import HasUncertainty
from baselines import boosted
from baselines.boosted import ERROR_FILES, ERROR_QUANTILES, Boosted

FACES = (np.ones((3, 3)) - np.eye(3)) / 2
HALIDES, ALKALIS = (9, 17, 35, 53), (3, 11, 19, 37)
CONTEXT = Context(0, "cpu", "float32")


def salts(n: int, seed: int) -> tuple[list[Crystal], Floats]:
    """Rocksalt crystals and labels: fluorides are certain, iodides anywhere from 0 to 2."""
    rng = np.random.default_rng(seed)
    crystals, y = [], []
    for _ in range(n):
        halide = int(rng.choice(HALIDES))
        cell = float(rng.uniform(4, 7)) * FACES
        crystals.append(Crystal(cell, [[0, 0, 0], [0.5, 0.5, 0.5]], [int(rng.choice(ALKALIS)), halide]))
        y.append(rng.uniform(0, 2) if halide == 53 else rng.normal(0, 0.01))
    return crystals, np.array(y)


@pytest.fixture(scope="module")
def learnt() -> Boosted:
    model = Boosted(trees=20, learning_rate=0.2, leaf=5)
    sides = [Labelled(tuple(map(str, range(n))), *salts(n, n), "regression") for n in (600, 100)]
    model.fit(*sides, CONTEXT)
    with pytest.raises(InputError, match="these trees have no uncertainty"):
        model.uncertainty(sides[1].crystals, np.zeros(100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosted, "ERROR_TREES", 40)
        model.fit_uncertainty(sides[0], CONTEXT)
    return model


def test_the_uncertainty_is_large_where_labels_vary(learnt: Boosted):
    crystals, y = salts(400, 7)
    iodide = np.array([53 in crystal.numbers for crystal in crystals])
    predicted = learnt.predict(crystals)
    below, above = learnt.uncertainty(crystals, predicted).T
    assert np.median(above[iodide]) > 10 * np.median(above[~iodide])
    held = (predicted - below <= y) & (y <= predicted + above)
    assert 0.75 < np.mean(held[iodide]) < 0.95  # before it is calibrated
    assert min(below.min(), above.min()) > 0


def test_it_is_kept_and_does_not_depend_on_the_cell(learnt: Boosted, tmp_path: Path):
    learnt.save(tmp_path)
    loaded = Boosted.load(tmp_path)
    assert isinstance(loaded, HasUncertainty)
    crystals, _ = salts(20, 3)
    predicted = learnt.predict(crystals)
    expected = learnt.uncertainty(crystals, predicted)
    np.testing.assert_array_equal(loaded.uncertainty(crystals, predicted), expected)
    doubled = [
        Crystal(c.lattice * [[2], [1], [1]],
                np.concatenate([c.frac_coords / [2, 1, 1], c.frac_coords / [2, 1, 1] + [0.5, 0, 0]]),
                [*c.numbers, *c.numbers])
        for c in crystals
    ]  # fmt: skip
    np.testing.assert_allclose(loaded.uncertainty(doubled, predicted), expected, rtol=1e-4)


@pytest.mark.parametrize("damage", ["bytes", "missing", "infinite", "least", "quantile"])
def test_damaged_errors_are_refused_by_the_name_of_the_file(learnt: Boosted, damage: str, tmp_path: Path):
    learnt.save(tmp_path)
    for name in ERROR_FILES:
        content = (tmp_path / name).read_bytes()
        arrays = load_file(tmp_path / name)
        if damage == "bytes":
            (tmp_path / name).write_bytes(b"{}")
        elif damage == "missing":
            (tmp_path / name).unlink()
        else:
            changed = {"infinite": {"constant": np.array(np.inf)}, "least": {"least": np.array(0.0)}, "quantile": {}}
            quantile = 0.5 if damage == "quantile" else ERROR_QUANTILES[ERROR_FILES.index(name)]
            settings = json.dumps({"quantile": quantile})
            save_file(arrays | changed[damage], tmp_path / name, metadata={"settings": settings})
        with pytest.raises(InputError, match=name):
            Boosted.load(tmp_path)
        (tmp_path / name).write_bytes(content)
    Boosted.load(tmp_path)


def test_without_errors_nothing_of_them_is_written(tmp_path: Path):
    model, (crystals, y) = Boosted(trees=2), salts(60, 1)
    side = Labelled(tuple(map(str, range(60))), crystals, y, "regression")
    model.fit(side, side, CONTEXT)
    for name in ERROR_FILES:  # of another model that was saved there
        (tmp_path / name).write_bytes(b"old")
    model.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["trees.safetensors"]
    assert math.isfinite(Boosted.load(tmp_path).predict(crystals)[0])


def test_it_is_only_for_fitted_trees_of_numbers_and_for_enough_crystals():
    crystals, y = salts(60, 1)
    few = Labelled(tuple(map(str, range(60))), crystals, y, "regression")
    many = Labelled(tuple(map(str, range(120))), [*crystals, *crystals], np.array([*y, *y]), "regression")
    classes = Labelled(few.ids, crystals, (y > 0).astype(float), "binary")
    with pytest.raises(InputError, match="needs fitted regression trees and 100 crystals"):
        Boosted().fit_uncertainty(many, CONTEXT)
    for side, train in ((few, few), (classes, many)):
        model = Boosted(trees=2)
        model.fit(side, side, CONTEXT)
        with pytest.raises(InputError, match="needs fitted regression trees and 100 crystals"):
            model.fit_uncertainty(train, CONTEXT)
    with pytest.raises(InputError, match="these trees have no uncertainty"):
        Boosted().uncertainty([], np.zeros(0))


def test_errors_that_are_all_zero_can_be_saved(tmp_path: Path):
    crystals, _ = salts(120, 1)
    same = Labelled(tuple(map(str, range(120))), crystals, np.zeros(120), "regression")
    model = Boosted(trees=2)
    model.fit(same, same, CONTEXT)
    model.fit_uncertainty(same, CONTEXT)
    model.save(tmp_path)
    assert np.all(Boosted.load(tmp_path).uncertainty(crystals, np.zeros(120)) > 0)
