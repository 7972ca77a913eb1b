"""The models that come with the package: what they say of known crystals, and when they say that they do not know."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from asugnn import Crystal, InputError
from asugnn.model_registry import find_model
from leaderboard.reports import render_predictions
from leaderboard.shipped import SHIPPED_MODELS, predict_shipped, shipped_models
from leaderboard.shipped.calibration import Calibration
from leaderboard.shipped.model_card import describe_domain, read_card
from leaderboard.shipped.shipped_models import (
    checked_uncertainty,
    describe_predictions,
    expected_errors,
    shipped_targets,
)

FACES = np.ones((3, 3)) - np.eye(3)


def rocksalt(a: float, first: int, second: int) -> Crystal:
    return Crystal(a / 2 * FACES, [[0, 0, 0], [0.5, 0.5, 0.5]], [first, second])


# Cells and labels of the Materials Project of 2018 (mp-22862, mp-1265, mp-149, mp-2657), rounded; moduli in GPa.
KNOWN = {
    "NaCl": (rocksalt(5.69, 11, 17), {"formation-energy": -2.11, "band-gap": 5.15, "bulk-modulus": 24, "metal": 0}),
    "MgO": (rocksalt(4.26, 12, 8), {"formation-energy": -3.06, "band-gap": 4.64, "bulk-modulus": 151, "metal": 0}),
    "Si": (Crystal(5.47 / 2 * FACES, [[0, 0, 0], [0.25, 0.25, 0.25]], [14, 14]),
           {"formation-energy": 0.0, "band-gap": 0.85, "bulk-modulus": 89, "metal": 0}),
    "TiO2": (Crystal(np.diag([4.65, 4.65, 2.97]),
                     [[0, 0, 0], [0.5, 0.5, 0.5], [0.305, 0.305, 0], [0.695, 0.695, 0],
                      [0.805, 0.195, 0.5], [0.195, 0.805, 0.5]], [22, 22, 8, 8, 8, 8]),
             {"formation-energy": -3.47, "band-gap": 1.77, "bulk-modulus": 209, "metal": 0}),
}  # fmt: skip


@pytest.mark.parametrize("target", shipped_targets())
def test_known_crystals_lie_within_their_intervals(target: str):
    predictions, skipped = predict_shipped({name: crystal for name, (crystal, _) in KNOWN.items()}, [target])
    assert skipped == {}
    for p in predictions:
        expected = KNOWN[p.id][1][target]
        assert not p.outside
        if p.classes:
            assert ("non-metal", "metal")[int(expected)] in p.classes, p
        else:
            assert p.low is not None and p.high is not None
            assert p.low <= expected <= p.high, p
            assert p.low <= p.value <= p.high


@pytest.mark.parametrize("target", shipped_targets())
def test_a_card_states_a_coverage_near_the_level(target: str):
    card = read_card(SHIPPED_MODELS / target)
    if card.classes:  # one class is right more often than the level asks, and both where the model cannot decide
        assert 1 < card.measured["width"] < 1.1
        assert card.level <= card.measured["accuracy"] < card.measured["coverage"] < 0.96
    else:
        assert card.measured["coverage"] == pytest.approx(card.level, abs=0.02)
    assert card.crystals > 5000


def test_between_two_classes_both_are_given_and_outside_none():
    card = read_card(SHIPPED_MODELS / "metal")
    crystal = KNOWN["Si"][0]
    crystals = {"a": crystal, "b": crystal, "c": crystal, "d": rocksalt(5.0, 99, 8)}
    given = describe_predictions(card, find_model("mean")(), crystals, np.array([0.1, 0.5, 0.9, 0.5]))
    assert [p.classes for p in given] == [("non-metal",), ("non-metal", "metal"), ("metal",), ()]
    shown = render_predictions(given, "table")
    assert "non-metal or metal" in shown
    assert shown.count("outside") == 1
    assert render_predictions(given, "csv").splitlines()[4].startswith("d,metal,,0.5,,,,")


def test_all_models_are_below_twenty_megabytes():
    assert sum(file.stat().st_size for file in SHIPPED_MODELS.rglob("*") if file.is_file()) < 20e6


def test_a_crystal_outside_the_domain_gets_no_interval_and_the_reason():
    einsteinium, thin = rocksalt(5.0, 99, 8), rocksalt(30.0, 11, 17)
    crystals = {"EsO": einsteinium, "thin": thin, "NaCl": KNOWN["NaCl"][0]}
    predictions, _ = predict_shipped(crystals, ["bulk-modulus"])
    es, gas, salt = predictions
    assert es.outside == "Es is in no training crystal"
    assert "cubic angstrom per atom" in gas.outside
    assert (es.low, es.high, gas.low, gas.high) == (None,) * 4
    assert salt.outside == "" and salt.low is not None
    table = render_predictions(predictions, "table")
    assert "no interval: EsO: Es is in no training crystal (bulk modulus)" in table


def test_a_supercell_is_inside_where_its_primitive_cell_is():
    domain = describe_domain([KNOWN["NaCl"][0]])
    assert (domain["largest"], domain["elements"]) == (2, {"Na": 1, "Cl": 1})
    supercell = Crystal(3 * KNOWN["NaCl"][0].lattice,
                        np.concatenate([(KNOWN["NaCl"][0].frac_coords + shift) / 3
                                        for shift in np.ndindex(3, 3, 3)]), [11, 17] * 27)  # fmt: skip
    assert describe_domain([supercell])["largest"] == 2


def test_csv_and_json_hold_the_same_numbers():
    predictions, _ = predict_shipped({"NaCl": KNOWN["NaCl"][0]})
    rows = list(csv.DictReader(io.StringIO(render_predictions(predictions, "csv"))))
    plain = json.loads(render_predictions(predictions, "json"))
    assert [row["target"] for row in rows] == [row["target"] for row in plain] == list(shipped_targets())
    assert [float(row["value"]) for row in rows] == [row["value"] for row in plain]
    units = {"formation-energy": "eV/atom", "band-gap": "eV", "bulk-modulus": "GPa", "metal": ""}
    assert [row["unit"] for row in rows] == [units[name] for name in shipped_targets()]


def test_a_crystal_that_one_model_does_not_support_is_skipped_by_all():
    crystals = {"OgO": rocksalt(5.0, 118, 8), "NaCl": KNOWN["NaCl"][0]}
    for targets in ([], ["metal"]):
        predictions, skipped = predict_shipped(crystals, targets)
        assert skipped.keys() == {"OgO"}
        assert [p.id for p in predictions] == ["NaCl"] * len(targets or shipped_targets())
    assert predict_shipped({"OgO": crystals["OgO"]})[0] == []


def test_a_target_without_a_model_is_refused():
    with pytest.raises(InputError, match="no model for 'bulk-moduli' comes with the package"):
        predict_shipped({"NaCl": KNOWN["NaCl"][0]}, ["bulk-moduli"])


def test_a_card_without_coefficients_needs_a_model_that_knows_its_errors():
    card = read_card(SHIPPED_MODELS / "bulk-modulus")
    card = replace(card, calibration=Calibration((1.0,)))
    model = find_model("mean")()
    with pytest.raises(InputError, match=r"bulk-modulus has no calibration\.coefficients, and cogn no uncertainty"):
        expected_errors(card, model, [KNOWN["NaCl"][0]], np.zeros(1))


@pytest.mark.parametrize("stated", [
    np.array([1.0, 5.0]), np.array([[1.0, 0.0]]), np.array([[1.0, np.inf]]), [[1.0, 1.0]], np.array([["a", "b"]]), None,
])  # fmt: skip
def test_an_uncertainty_that_is_none_is_refused(stated: object):
    class Odd:
        def fit_uncertainty(self, train, context):
            pass

        def uncertainty(self, crystals, predicted):
            return stated

    with pytest.raises(InputError, match=r"Odd\.uncertainty must return an array \(1, 2\) of finite numbers above 0"):
        checked_uncertainty(Odd(), [KNOWN["NaCl"][0]], np.zeros(1))


@pytest.mark.parametrize(("target", "field", "value"), [
    ("metal", "", None), ("metal", "unit", 5), ("metal", "classes", ["a"]), ("metal", "classes", "ab"),
    ("metal", "kind", "class"), ("band-gap", "classes", ["a", "b"]), ("band-gap", "model", None),
    ("band-gap", "model", "evil.py:Model"), ("band-gap", "elements", 5), ("band-gap", "elements", {"Na": "x"}),
    ("band-gap", "elements", {"Na": -1}), ("band-gap", "largest", True), ("band-gap", "largest", None),
    ("band-gap", "volume", [1.0]), ("band-gap", "volume", [math.nan, 1.0]), ("band-gap", "volume", [2.0, 1.0]),
    ("band-gap", "lowest", math.nan), ("band-gap", "lowest", math.inf), ("band-gap", "lowest", True),
    ("band-gap", "level", 0.5), ("band-gap", "measured", {"mae": "x"}), ("band-gap", "calibration", []),
    ("band-gap", "calibration", {"quantiles": ["1"], "edges": [], "coefficients": []}),
    ("band-gap", "calibration", {"quantiles": [None], "edges": [], "coefficients": []}),
    ("band-gap", "calibration", {"quantiles": [1, 1], "edges": [math.inf], "coefficients": []}),
    ("band-gap", "calibration", {"quantiles": [1, 1], "edges": ["1"], "coefficients": []}),
])  # fmt: skip
def test_a_damaged_card_is_named(target: str, field: str, value: object, tmp_path: Path):
    card = json.loads((SHIPPED_MODELS / target / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | {field: value} if field else {}))
    with pytest.raises(InputError, match=rf"card\.json cannot be read as the card of a model: .*{field}"):
        read_card(tmp_path)


@pytest.mark.parametrize(("damage", "said"), [
    ("weights", "formation-energy is damaged: it predicted nan for crystal 'NaCl': each prediction must be a finite"),
    ("card", "band-gap/card.json .*: No such file"),
    ("errors", "band-gap is damaged: these trees have no uncertainty"),
    ("swapped", "errors-below.safetensors .*: its trees are not those of the quantile 0.05 of the errors"),
])  # fmt: skip
def test_a_damaged_model_gives_a_sentence_and_no_prediction(
    damage: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(SHIPPED_MODELS, models := tmp_path / "models")
    monkeypatch.setattr(shipped_models, "SHIPPED_MODELS", models)
    if damage == "weights":
        file = models / "formation-energy" / "weights.safetensors"
        with safe_open(file, framework="numpy") as opened:
            metadata, arrays = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        save_file({name: np.full_like(array, np.nan) for name, array in arrays.items()}, file, metadata=metadata)
    elif damage == "card":
        (models / "band-gap" / "card.json").unlink()
    else:
        below, above = (models / "band-gap" / f"errors-{side}.safetensors" for side in ("below", "above"))
        if damage == "errors":
            below.unlink(), above.unlink()
        else:
            shutil.copy(above, below)
    with pytest.raises(InputError, match=said):
        predict_shipped({"NaCl": KNOWN["NaCl"][0]})
