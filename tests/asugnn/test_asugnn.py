import subprocess
import sys

import numpy as np
import pytest
from test_symmetry import KNOWN, described_otherwise

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.asugnn import ASUGNN
from asugnn.model_registry import ablation_variants, configure_model
from leaderboard.data.tasks import parse_task
from leaderboard.records.run_folder import row_name
from leaderboard.running.plan import plan_runs

CRYSTALS = [crystal for crystal, _, _ in KNOWN.values()][:8]
Y = np.array([0.3, -2.0, 1.0, 0.7, -0.6, 4.0, 0.1, -1.2])


def labelled(kind="regression"):
    y = Y if kind == "regression" else (Y > 0).astype(float)
    return Labelled(tuple("abcdefgh"), CRYSTALS, y, kind)


def small(**fields) -> ASUGNN:
    return ASUGNN(
        **{"width": 32, "heads": 4, "batch_size": 8, "learning_rate": 3e-3, "patience": 1000, "initial": 0.0, **fields}
    )


def test_the_paper_is_the_default():
    model = configure_model("asugnn", "paper", {})
    assert (model.width, model.heads, model.codecs, model.first, model.second) == (512, 8, 2, "asuam", "dam")
    assert (model.batch_size, model.learning_rate, model.epochs, model.patience) == (128, 1.5e-4, 200, 10)
    assert model.loss == "mse"


@pytest.mark.parametrize("kind", ["regression", pytest.param("binary", marks=pytest.mark.slow)])
def test_eight_crystals_are_learnt_by_heart(kind):
    data, model = labelled(kind), small(epochs=80)
    model.fit(data, data, Context(seed=1))
    np.testing.assert_allclose(model.predict(CRYSTALS), data.y, atol=0.1)


def test_same_seed_same_bytes_and_saved_is_loaded(tmp_path):
    data, runs = labelled(), []
    for seed in (3, 3, 4):
        model = small(epochs=3)
        model.fit(data, data, Context(seed=seed))
        runs.append(model.predict(CRYSTALS))
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()
    model.save(tmp_path)
    np.testing.assert_allclose(ASUGNN.load(tmp_path).predict(CRYSTALS), runs[2], atol=1e-6)


def test_predictions_do_not_depend_on_the_description():
    data, model = labelled(), small(epochs=5)
    model.fit(data, data, Context())
    moved = [described_otherwise(c, seed) for seed, c in enumerate(CRYSTALS)]
    np.testing.assert_allclose(model.predict(moved), model.predict(CRYSTALS), atol=1e-4)


def test_the_learning_rate_rises_and_falls():
    model = small()
    optimiser = model.optimiser(model.network())
    schedule, rates = model.schedule(optimiser, 100), []
    for _ in range(100):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    top = int(np.argmax(rates))
    assert top == 4  # of 5 steps that it rises
    assert max(rates) == pytest.approx(model.learning_rate)
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top + 1 :]) < 0).all()
    assert rates[-1] < 1e-3 * model.learning_rate
    assert small(one_cycle=False).schedule(optimiser, 100) is None


@pytest.mark.parametrize("fields", [{}, {"term": "after", "readout": "recurrent"}])
def test_weights_of_linear_layers_decay_and_nothing_else(fields):
    """As in the authors' code: no bias, no norm, no recurrent layer, but the factor of the structural term."""
    model = small(weight_decay=0.2, **fields)
    network = model.network()
    groups = model.optimiser(network).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(decay) == len(list(network.parameters()))
    for name, p in network.named_parameters():
        exempt = name.endswith("bias") or "norm" in name or "lstm" in name or "gru" in name
        assert decay[id(p)] == (0 if exempt else 0.2), name
    assert 0 < sum(rate > 0 for rate in decay.values()) < len(decay)


def test_half_precision_trains():
    data, model = labelled(), small(epochs=3)
    model.fit(data, data, Context(precision="bfloat16"))
    assert np.isfinite(model.predict(CRYSTALS)).all()


def test_one_atom_alone():
    model = small(epochs=1)
    lone = [Crystal(a * np.eye(3), [[0, 0, 0]], [84]) for a in (3.2, 3.3, 3.4)]
    data = Labelled(("a", "b", "c"), lone, np.array([0.0, 0.1, 0.3]), "regression")
    model.fit(data, data, Context())
    assert np.isfinite(model.predict(lone[:1])).all()


@pytest.mark.parametrize("fields", [{"windows": 3}, {"windows": 0}, {"heads": 5}, {"heads": 0}])
def test_what_does_not_divide_is_refused(fields):
    with pytest.raises(InputError, match="must divide"):
        small(**fields)


def test_importing_the_model_does_not_import_torch():
    code = "import sys, asugnn.asugnn; sys.exit('torch' in sys.modules or 'spglib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("preset", "widths"), [("paper", {"384", "768"}), ("quick", {"48", "96"})])
def test_the_ablation_is_table_1(preset, widths):
    rows = ablation_variants("asugnn", preset)
    made = [configure_model("asugnn", preset, row) for row in rows]
    assert {(m.first, m.second) for m in made} == {(a, b) for a in ("dam", "asuam") for b in ("dam", "asuam", "none")}
    assert {row["width"] for row in rows if "width" in row} == widths
    assert sum(not m.xrd for m in made) == 1
    assert len({row_name("asugnn", row) for row in rows}) == len(rows) == 9
    with pytest.raises(InputError, match="'mean' has no ablation"):
        ablation_variants("mean", "quick")


def test_the_ablation_is_planned_in_place_of_the_model():
    task = parse_task("open-dft/formation-energy")
    jobs = plan_runs([task], ["asugnn"], "quick", [0], [0], {"asugnn": {"epochs": "3"}}, ablation=True)
    assert [job.overrides["epochs"] for job in jobs] == ["3"] * 9
    assert "asugnn+epochs=3+first=dam+second=none" in {job.run.model for job in jobs}


@pytest.mark.parametrize("fields", [{"term": "after"}, {"readout": "recurrent"}, {"distance": "cell", "mass": "total"}])
def test_the_authors_readings_train(fields):
    data, model = labelled(), small(epochs=3, **fields)
    model.fit(data, data, Context())
    assert np.isfinite(model.predict(CRYSTALS)).all()
    assert (model.predict(CRYSTALS) != 0).any()


def test_a_crystal_without_symmetry_is_named():
    """Two nearly coinciding atoms, which a Crystal would refuse."""
    close = Crystal.checked(4 * np.eye(3), np.array([[0, 0, 0], [0, 0, 1e-4]]), np.array([11, 11]))
    data = labelled()
    bad = Labelled(data.ids, [*CRYSTALS[:5], close, *CRYSTALS[6:]], data.y, "regression")
    with pytest.raises(InputError, match=r"crystal 'f': no symmetry was found for Na \(2 atoms\)"):
        small().fit(bad, data, Context())
