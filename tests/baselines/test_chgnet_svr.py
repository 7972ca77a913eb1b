"""Support vectors on CHGNet's embedding, against CHGNet's own package and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from test_baselines import made, rocksalt

from asugnn import Context, Crystal, InputError
from baselines import chgnet_svr
from baselines.chgnet_svr import CHGNetSVR, crystal_features, embed

chgnet = pytest.importorskip("chgnet", reason="chgnet is not installed: chgnet-svr was not tested")


@pytest.fixture
def fitted() -> CHGNetSVR:
    model = CHGNetSVR()
    model.fit(made(40), made(8), Context())
    return model


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.filterwarnings("ignore:No Pauling electronegativity")
def test_the_embedding_is_that_of_its_package():
    from chgnet.model import CHGNet
    from pymatgen.core import Structure

    network = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    for crystal in made(12).crystals:
        structure = Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)
        theirs = network.predict_structure(structure, task="e", return_crystal_feas=True)["crystal_fea"]
        ours = embed(crystal)["embedding"]
        assert ours.shape == (64,)
        assert np.abs(ours - theirs / len(crystal)).max() < 1e-5


def test_its_regression_is_that_of_scikit_learn(fitted: CHGNetSVR):
    from sklearn.svm import SVR

    train, seen = made(40), made(60).crystals
    features = crystal_features(train.crystals)
    scale = features.std(axis=0)
    scale[scale <= 1e-6 * np.abs(features).max(axis=0)] = np.inf
    x, new = (((f - features.mean(axis=0)) / scale).astype("f4") for f in (features, crystal_features(seen)))
    theirs = SVR(C=fitted.penalty, gamma=1 / (151 * fitted.width**2), epsilon=fitted.margin)
    theirs.fit(x, (train.y - train.y.mean()) / train.y.std())
    expected = theirs.predict(new) * train.y.std() + train.y.mean()
    assert np.abs(fitted.predict(seen) - expected).max() < 1e-9


def test_a_saved_model_predicts_the_same(fitted: CHGNetSVR, tmp_path: Path):
    fitted.save(tmp_path)
    seen = made(60).crystals
    assert CHGNetSVR.load(tmp_path).predict(seen).tobytes() == fitted.predict(seen).tobytes()
    with pytest.raises(InputError, match="cannot be read as a saved chgnet-svr"):
        CHGNetSVR.load(tmp_path / "nothing")


def test_probabilities_are_calibrated_on_the_validation_crystals():
    train, val = made(60, "binary"), made(30, "binary")
    model = CHGNetSVR()
    model.fit(train, val, Context())
    probabilities = model.predict(val.crystals)
    assert 0 <= probabilities.min() < probabilities.max() <= 1
    assert probabilities.mean() == pytest.approx(val.y.mean(), abs=1e-3)  # as a logistic regression has it
    assert probabilities[val.y == 1].mean() > probabilities[val.y == 0].mean() + 0.2


def test_one_class_alone_is_predicted():
    data = made(20, "binary")
    for label in (0.0, 1.0):
        single = type(data)(data.ids, data.crystals, np.full(20, label), "binary")
        model = CHGNetSVR()
        model.fit(single, single, Context())
        assert np.allclose(model.predict(data.crystals), label)


def test_what_chgnet_cannot_see_is_refused(fitted: CHGNetSVR):
    curium, helium = rocksalt(96, 8, 5.4), Crystal(20 * np.eye(3), [[0, 0, 0]], [2])
    reasons = fitted.outside([rocksalt(11, 17, 5.6), curium, helium])
    assert reasons.keys() == {1, 2}
    assert "up to Pu, and CmO has Cm" in reasons[1]
    assert "no two atoms of He are within the 6 angstrom" in reasons[2]
    data = made(4)
    odd = type(data)(data.ids, [*data.crystals[:3], curium], data.y, "regression")
    with pytest.raises(InputError, match=r"crystal '3': CHGNet knows the elements up to Pu"):
        CHGNetSVR().fit(odd, data, Context())


@pytest.mark.parametrize(("field", "value"), [("penalty", 0), ("width", -1.0), ("margin", -0.1)])
def test_values_that_mean_nothing_are_refused(field: str, value: float):
    with pytest.raises(InputError, match=rf"chgnet-svr\.{field} must be"):
        CHGNetSVR(**{field: value})


def test_other_weights_than_the_recorded_ones_are_not_used(monkeypatch: pytest.MonkeyPatch):
    """Nor are they taken for a fault of the crystals, which the cache would keep."""
    salt = rocksalt(11, 17, 5.68)
    chgnet_svr._network.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(CHGNetSVR.frozen_weights.sha256, chgnet_svr.WEIGHTS, "0" * 64)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="it is not the file that was published"):
            CHGNetSVR().outside([salt])
    assert CHGNetSVR().outside([salt]) == {}


def test_coordinates_may_be_many_cells_away():
    salt = rocksalt(11, 17, 5.6)
    far = Crystal(salt.lattice, salt.frac_coords + np.array([[-20_000.0, 0, 7], [0, 300_000, 0]]), salt.numbers)
    assert np.abs(embed(far)["embedding"] - embed(salt)["embedding"]).max() < 1e-4


def test_of_no_crystals_there_are_no_predictions(fitted: CHGNetSVR):
    assert fitted.predict([]).shape == (0,)
    assert fitted.outside([]) == {}


@pytest.mark.parametrize("name", ["vectors", "weights", "mean", "gamma", "constant"])
def test_a_damaged_model_is_not_loaded(name: str, fitted: CHGNetSVR, tmp_path: Path):
    for wrong in (None, np.full_like(fitted._arrays[name], np.nan), np.zeros(3)):
        broken = CHGNetSVR()
        broken._arrays = {k: v for k, v in fitted._arrays.items() if k != name or wrong is not None}
        if wrong is not None:
            broken._arrays[name] = wrong
        broken.save(tmp_path)
        with pytest.raises(InputError, match="cannot be read as a saved chgnet-svr"):
            CHGNetSVR.load(tmp_path)
