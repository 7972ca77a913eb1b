"""What is particular to each baseline; what they share with every model is in the contract check (test_check)."""

import dataclasses
import itertools
import json
import math
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from every_atom import whole_graph

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.elements import element_values
from asugnn.model_registry import configure_model, find_model, list_models
from asugnn.neighbours import bind_or_refuse, nearest_neighbours, neighbours_within, shell_weights
from asugnn.symmetry import conventional_cell
from baselines._charge_balance import charge_balance, oxidation_states
from baselines._matgl import ELEMENTS
from baselines.alignn import ALIGNN, line_graph, pairs_both_ways
from baselines.boosted import Boosted, chemical_features
from baselines.boosted import crystal_features as boosted_features
from baselines.cgcnn import CGCNN
from baselines.forest import Forest, composition_features, element_properties
from baselines.m3gnet import M3GNet, angles_at_centres
from baselines.m3gnet_potential import M3GNetPotential
from baselines.mean import Mean
from baselines.megnet import MEGNet

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
BCC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2
NETWORKS = [CGCNN, MEGNet, M3GNet, ALIGNN]
QUICK = pytest.mark.parametrize("cls", NETWORKS)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small spend their time waiting for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rocksalt(first: int, second: int, a: float) -> Crystal:
    return Crystal(a * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [first, second])


def made(n: int = 16, kind: str = "regression") -> Labelled:
    """Rock salts and one crystal of low symmetry for each, labelled by a smooth function of what they are."""
    rng = np.random.default_rng(3)
    crystals = [rocksalt(3 + k % 9, 8 + k % 10, 4 + 0.1 * k) for k in range(0, n, 2)]
    for _ in crystals[: n // 2]:
        frac = rng.random((1, 3)) + np.array([[0, 0, 0], [0.4, 0.3, 0.5], [0.7, 0.6, 0.1]])
        crystals.append(Crystal(4.5 * np.eye(3) + rng.normal(0, 0.3, (3, 3)), frac, rng.integers(3, 40, 3)))
    y = np.array([np.log(c.volume) - c.numbers.mean() / 20 for c in crystals])
    return Labelled(
        tuple(str(i) for i in range(n)), crystals, y if kind == "regression" else (y > np.median(y)).astype(float), kind
    )


def fitted(cls, kind: str = "regression", seed: int = 0, **fields):
    model = cls(**{**cls.presets["quick"], "epochs": 2, "batch_size": 8, **fields})
    model.fit(made(kind=kind), made(4, kind), Context(seed=seed))
    return model


# Mean and forest -----------------------------------------------------------------------------------------------------


def test_mean():
    data = made(kind="binary")
    model = Mean()
    model.fit(data, data, Context())
    assert model.predict(data.crystals[:3]).tolist() == [0.5, 0.5, 0.5]


def test_features_by_hand():
    table, names = element_properties()
    number, radius, volume = (names.index(n) for n in ("Number", "CovalentRadius", "GSvolume_pa"))
    crystal = rocksalt(11, 17, 5.64)  # NaCl
    row = composition_features([crystal])[0].astype(float)
    mean, spread, least, most = row[:-3].reshape(4, -1)
    assert (mean[number], spread[number], least[number], most[number]) == (14, 3, 11, 17)
    per_atom = 5.64**3 / 8
    assert table[11, radius] == 166  # pm, Cordero et al. 2008
    assert table[17, radius] == 102
    expected = [per_atom, per_atom / table[[11, 17], volume].mean(), per_atom / ((1.66**3 + 1.02**3) / 2)]
    assert np.allclose(row[-3:], expected, rtol=1e-6)


def test_missing_properties_are_the_mean_of_the_others():
    table, names = element_properties()
    electronegativity = table[1:, names.index("Electronegativity")]
    argon = electronegativity[17]  # Pauling's scale has none
    assert argon == pytest.approx(np.delete(electronegativity, np.flatnonzero(electronegativity == argon)).mean())
    assert table.min() >= 0


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_forest_is_scikit_learn(kind: str):
    from sklearn.ensemble import ExtraTreesRegressor

    data, seen = made(40, kind), made(60, kind).crystals
    ours = Forest(trees=20)
    ours.fit(data, data, Context(seed=7))
    theirs = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=7).fit(
        composition_features(data.crystals), data.y
    )
    assert np.abs(ours.predict(seen) - theirs.predict(composition_features(seen))).max() < 1e-12


def test_forest_gives_the_probabilities_of_a_classifier():
    from sklearn.ensemble import ExtraTreesClassifier

    data, seen = made(40, "binary"), made(60, "binary").crystals
    ours = Forest(trees=20)
    ours.fit(data, data, Context(seed=7))
    theirs = ExtraTreesClassifier(20, min_samples_leaf=2, max_features=None, random_state=7)
    expected = theirs.fit(composition_features(data.crystals), data.y).predict_proba(composition_features(seen))[:, 1]
    difference = np.abs(ours.predict(seen) - expected)
    assert np.median(difference) < 1e-12  # the same trees, but where two splits are equally good
    assert difference.max() < 0.1


def test_forest_refuses_what_it_does_not_know(tmp_path: Path):
    with pytest.raises(InputError, match=r"up to Cn, and NaNh has Nh"):
        composition_features([rocksalt(11, 113, 6)])
    with pytest.raises(InputError, match="cannot be read as a saved forest"):
        Forest.load(tmp_path)


@pytest.mark.parametrize(
    "damage", ["circle", "beyond", "feature", "roots", "twice", "parents", "value", "type", "settings", "constant"]
)
@pytest.mark.parametrize("cls", [Forest, Boosted])
def test_damaged_trees_are_refused(cls, damage: str, tmp_path: Path):
    """As a stranger's file may be: no crystal goes round in a circle, or to a node that is not there."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    data = made(40)
    model = cls(trees=3, leaf=2)
    model.fit(data, data, Context())
    model.save(tmp_path)
    assert np.array_equal(cls.load(tmp_path).predict(data.crystals), model.predict(data.crystals))
    with safe_open(tmp_path / "trees.safetensors", framework="numpy") as file:
        arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    inner = int(np.flatnonzero(arrays["left"] != np.arange(len(arrays["left"])))[-1])
    if damage == "circle":
        arrays["left"][inner] = 0
    elif damage == "beyond":
        arrays["right"][inner] = len(arrays["left"])
    elif damage == "feature":
        arrays["feature"][inner] = 214
    elif damage == "roots":
        arrays["roots"] = arrays["roots"][:0]
    elif damage == "twice":  # a million times the same root takes hours
        arrays["roots"] = np.repeat(arrays["roots"], 2)
    elif damage == "parents":
        arrays["right"][inner] = arrays["left"][inner]
    elif damage == "value":
        arrays["value"][inner] = np.nan
    elif damage == "type":
        arrays["roots"] = arrays["roots"].astype(float)
    elif damage == "settings":
        metadata = {"settings": '{"branches": 3}'}
    else:
        del arrays["threshold"]
    save_file(arrays, tmp_path / "trees.safetensors", metadata=metadata)
    with pytest.raises(InputError, match="cannot be read as"):
        cls.load(tmp_path)


# Boosted trees -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_boosted_is_scikit_learn(kind: str):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    data, val, seen = made(60, kind), made(30, kind), made(60, kind).crystals
    settings = {"learning_rate": 0.1, "leaf": 3, "columns": 0.5}
    ours = Boosted(trees=40, leaves=8, **settings)
    ours.fit(data, val, Context(seed=7))
    trees = len(ours._arrays["roots"])
    assert 1 < trees <= 40
    theirs = (HistGradientBoostingClassifier if kind == "binary" else HistGradientBoostingRegressor)(
        max_iter=trees,
        max_leaf_nodes=8,
        learning_rate=0.1,
        min_samples_leaf=3,
        max_features=0.5,
        early_stopping=False,
        random_state=7,
    ).fit(boosted_features(data.crystals), data.y)
    x = boosted_features(seen)
    expected = theirs.predict_proba(x)[:, 1] if kind == "binary" else theirs.predict(x)
    assert np.ptp(expected) > 0.1
    assert np.abs(ours.predict(seen) - expected).max() < 1e-12


def test_boosted_keeps_the_trees_that_are_best_on_validation():
    data, other = made(60), made(60)
    shuffled = Labelled(other.ids, other.crystals, other.y[::-1].copy(), "regression")  # nothing to be learnt
    fit, unfit = Boosted(trees=60, patience=20, leaf=3), Boosted(trees=60, patience=20, leaf=3)
    fit.fit(data, data, Context())
    unfit.fit(data, shuffled, Context())
    assert len(fit._arrays["roots"]) == 60
    assert len(unfit._arrays["roots"]) < 10


def test_boosted_of_one_class_predicts_it():
    data = made(20, "binary")
    ones = Labelled(data.ids, data.crystals, np.ones(20), "binary")
    model = Boosted(trees=5)
    model.fit(ones, data, Context())
    assert model.predict(data.crystals).tolist() == [1.0] * 20
    model.fit(data, ones, Context())  # validation of one class
    assert np.ptp(model.predict(data.crystals)) >= 0


def test_chemistry_by_hand():
    table, names = element_properties()
    pauling = table[:, names.index("Electronegativity")]
    ionic = 1 - np.exp(-((pauling[17] - pauling[11]) ** 2) / 4)
    salt, alloy = rocksalt(11, 17, 5.64), rocksalt(26, 13, 4.1)  # NaCl and FeAl
    got = chemical_features(conventional_cell(salt))
    assert got[:3] == pytest.approx([2, ionic, ionic / 2])
    assert got[3:7] == [0, 0, 0, 0]
    assert got[9] == 0  # sodium positive, chlorine negative
    # Fm-3m; two atoms and two orbits; Na 3s1, Cl 3s2 3p5.
    assert got[10:] == [225, 2, 2, 8, 0]
    assert chemical_features(conventional_cell(alloy))[9] > 1  # both give electrons
    alone = chemical_features(conventional_cell(Crystal(4.05 * FCC, [[0, 0, 0]], [13])))
    assert alone[10:] == [225, 1, 1, 3, 1]  # aluminium: an odd number of electrons


@pytest.mark.parametrize(
    ("numbers", "balanced"),
    [
        ([22, 8, 8], True),  # TiO2
        ([20, 22, 8, 8, 8], True),  # CaTiO3
        ([13, 13, 8, 8, 8], True),  # Al2O3
        ([29, 29], False),
        ([22, 28], False),  # NiTi
        ([26, 26, 26, 8, 8, 8, 8], False),  # magnetite, of mixed valence
    ],
)
def test_charge_balance(numbers: list[int], balanced: bool):
    table, names = element_properties()
    sites = np.linspace(0, 0.9, len(numbers))[:, None] * np.array([1, 0.5, 0.25])
    above, below, _, _, least, largest, polar = charge_balance(
        Crystal(8 * np.eye(3), sites, numbers), table[:, names.index("Electronegativity")].tolist()
    )
    assert (above == below == polar == 0) == balanced
    assert least <= largest
    if numbers.count(26) == 3:  # 3 Fe(II) or 3 Fe(III): one of four electrons missing, or one too many
        assert (above, below) == pytest.approx((1 / 7, 2 / 7))


def test_charge_balance_by_brute_force():
    """Sums of all choices of states, one by one."""
    common, _ = oxidation_states()
    rng = np.random.default_rng(1)
    for _ in range(50):
        numbers = rng.integers(1, 95, 5)
        crystal = Crystal(9 * np.eye(3), rng.random((5, 3)), numbers)
        sums = [
            sum(state * int(n) for state, n in zip(states, np.unique(numbers, return_counts=True)[1], strict=True))
            for states in itertools.product(*(common[int(z)] for z in np.unique(numbers)))
        ]
        above = min((s for s in sums if s >= 0), default=45) / 5
        assert charge_balance(crystal, [0.0] * 120)[0] == pytest.approx(above)


def test_boosted_refuses_what_it_does_not_know():
    model = Boosted()
    assert list(model.outside([rocksalt(11, 17, 6), rocksalt(11, 113, 6)])) == [1]
    with pytest.raises(InputError, match=r"boosted knows the elements up to Cn, and NaNh has Nh"):
        boosted_features([rocksalt(11, 113, 6)])
    with pytest.raises(InputError, match=r"boosted.columns must be from 1e-06 to 1, not 2"):
        Boosted(columns=2)


# All networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "fields", "expected"),
    [
        (MEGNet, {}, 189_621),  # matgl's own, with its defaults; 100 of them are fixed centres of Gaussians
        (M3GNet, {}, 391_772),
        (ALIGNN, {}, 4_026_753),  # the published model
        # Embedding, three convolutions of gate and two norms, head.
        (CGCNN, {}, 92 * 64 + 64 + 3 * (169 * 128 + 128 + 2 * 128 + 2 * 64) + 64 * 128 + 128 + 128 + 1),
    ],
)
def test_parameters_of_the_published_sizes(cls, fields, expected: int):
    network = cls(**fields).network()
    assert sum(p.numel() for p in network.parameters()) == expected


@QUICK
def test_probabilities(cls):
    p = fitted(cls, "binary").predict(made().crystals)
    assert p.shape == (16,)
    assert ((p > 0) & (p < 1)).all()
    assert len(np.unique(p)) > 10


@QUICK
def test_seeds_differ(cls):
    crystals = made().crystals
    assert not np.allclose(fitted(cls).predict(crystals), fitted(cls, seed=1).predict(crystals))


@QUICK
def test_crystals_with_few_neighbours(cls):
    """Caesium's neighbours are beyond 4 and 5 angstrom, and an atom in a box has none."""
    sparse = [
        Crystal(6.3 * BCC, [[0, 0, 0]], [55]),
        Crystal(20 * np.eye(3), [[0, 0, 0]], [2]),
        Crystal(20 * np.eye(3), [[0, 0, 0], [0, 0, 0.06], [0.5, 0.5, 0.5]], [7, 7, 18]),
    ]
    model = fitted(cls)
    together = model.predict([*sparse, *made().crystals])[:3]
    assert np.isfinite(together).all()
    assert np.allclose(together, np.concatenate([model.predict([c]) for c in sparse]), atol=1e-5)


def bound(crystal, radius):
    return bind_or_refuse(crystal, neighbours_within(crystal, radius), radius, True, "a model")


def test_lonely_atoms_are_bound_to_their_nearest_shell():
    caesium = Crystal(6.3 * BCC, [[0, 0, 0]], [55])
    assert np.allclose(bound(caesium, 4.0).distance, [6.3 * 0.75**0.5] * 8)
    # One atom alone among two in touch: theirs stay as they are, and the pairs stay sorted.
    mixed = Crystal(20 * np.eye(3), [[0.5, 0.5, 0.5], [0, 0, 0], [0, 0, 0.06]], [18, 7, 7])
    pairs = bound(mixed, 4.0)
    assert pairs.centre.tolist() == [0] * 4 + [1, 2]
    assert pairs.other.tolist() == [2] * 4 + [2, 1]


@pytest.mark.parametrize("cls", [CGCNN, ALIGNN, MEGNet, M3GNet])
def test_a_crystal_without_neighbours_has_a_graph_in_training(cls):
    """An atom in a box of 20 angstrom has its six images, whatever the cut-off."""
    inputs = cls().inputs(Crystal(20 * np.eye(3), [[0, 0, 0]], [2]))
    assert inputs["weight"].sum() == 6


@pytest.mark.parametrize("cls", [CGCNN, MEGNet, M3GNet])
def test_a_crystal_without_neighbours_is_outside_the_domain_of_published_weights(cls):
    """They never saw such a graph: all refuse it, and none refuses one atom of several."""
    model = cls(bind=False)
    with pytest.raises(InputError, match=f"He is outside the domain of {cls.__name__}: no atom has a neighbour"):
        model.inputs(Crystal(20 * np.eye(3), [[0, 0, 0]], [2]))
    model.inputs(Crystal(20 * np.eye(3), [[0.5, 0.5, 0.5], [0, 0, 0], [0, 0, 0.06]], [18, 7, 7]))


@QUICK
def test_elements_out_of_the_domain(cls):
    with pytest.raises(InputError, match="Lr"):
        cls().inputs(rocksalt(8, 103, 5))


# CGCNN ---------------------------------------------------------------------------------------------------------------


def test_convolution_is_equation_5_of_the_paper():
    model = CGCNN()
    network = model.network().double().eval()
    torch.manual_seed(0)
    convolution = network.convolutions[0]
    for norm in (convolution.norm_gate, convolution.norm_sum):
        for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    crystal = made().crystals[-1]
    pairs = nearest_neighbours(crystal, 12, 8.0)
    x, bond = torch.randn(len(crystal), 64).double(), torch.rand(len(pairs), 41).double()
    weight = shell_weights(pairs, 12)
    with torch.inference_mode():
        batch = {"centre": pairs.centre, "other": pairs.other, "weight": weight}
        batch |= {"pair_share": weight, "pairs": weight, "atom_share": weight, "atoms": weight}  # of training alone
        ours = convolution(x, bond, {name: torch.from_numpy(value) for name, value in batch.items()})

    def norm(module, v):
        a = (v - module.running_mean.numpy()) / np.sqrt(module.running_var.numpy() + module.eps)
        return a * module.weight.detach().numpy() + module.bias.detach().numpy()

    matrix, bias = convolution.gate.weight.detach().numpy(), convolution.gate.bias.detach().numpy()
    for i in range(len(crystal)):
        total = np.zeros(64)
        for k in np.flatnonzero(pairs.centre == i):
            z = np.concatenate([x[i], x[pairs.other[k]], bond[k]])  # v_i, v_j, u_ij
            gate, core = np.split(norm(convolution.norm_gate, matrix @ z + bias), 2)
            total += weight[k] / (1 + np.exp(-gate)) * np.log1p(np.exp(core))
        expected = np.log1p(np.exp(x[i].numpy() + norm(convolution.norm_sum, total)))
        assert np.allclose(ours[i], expected, rtol=1e-9)


def test_element_values_are_one_hot_groups():
    values = element_values()
    assert values.shape == (101, 92)
    # CGCNN's table begins with the group, none for lanthanides and actinides, and the period.
    assert values[57, :19].argmax() == 0
    assert values[11, :19].argmax() == 1  # sodium stands in group 1
    assert values[17, :19].argmax() == 17  # chlorine in group 17
    assert values[17, 19:28].argmax() == 2  # and period 3
    assert set(np.unique(values)) == {0, 1}


# MEGNet and M3GNet ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [MEGNet, M3GNet])
def test_graphs_are_those_of_matgl(cls):
    """Its own converter and forward pass, on crystals where every atom has a neighbour within the cutoff."""
    from matgl.ext.pymatgen import Structure2Graph
    from pymatgen.core import Structure

    torch.manual_seed(0)
    model = cls()
    network = model.network().eval()
    theirs = network.megnet if cls is MEGNet else network.m3gnet
    converter = Structure2Graph(ELEMENTS, model.cutoff)
    crystals = made(8).crystals
    with torch.inference_mode():
        ours = network(model.batch([model.inputs(c) for c in crystals]))
        for crystal, value in zip(crystals, ours, strict=True):
            structure = Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)
            expected = theirs.predict_structure(structure, graph_converter=converter)
            assert float(value) == pytest.approx(float(expected), abs=2e-5)


def test_elements_are_those_of_matgl():
    from matgl.config import DEFAULT_ELEMENTS

    assert ELEMENTS == DEFAULT_ELEMENTS
    with pytest.raises(InputError, match="MEGNet does not know the element Po of OPo"):
        MEGNet().inputs(rocksalt(84, 8, 5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"@class": "M3GNet"}, "it is a M3GNet, not a MEGNet"),
        ({"init_args": {"element_types": ["H"]}}, "it has other elements than matgl's usual 89"),
        ({}, "its target transformer is not a Normalizer of two numbers, but Log"),
    ],
)
def test_a_saved_model_of_another_kind_is_refused(change, words, tmp_path: Path):
    files = {name: tmp_path / name for name in ("model.json", "state.pt")}
    model = {"@class": "MEGNet", "init_args": {"element_types": None}, **change}
    files["model.json"].write_text(json.dumps({"kwargs": {"model": model, "target_transformer": "Log"}}))
    torch.save({}, files["state.pt"])
    with pytest.raises(InputError, match=f"cannot be read as a model in matgl's format: {words}"):
        MEGNet.pretrained(files)


def test_a_potential_with_a_nuclear_repulsion_is_refused(tmp_path: Path):
    files = {name: tmp_path / name for name in ("model.pt", "state.pt")}
    torch.save({"model": {"@class": "M3GNet", "init_args": {}}, "calc_repuls": True}, files["model.pt"])
    torch.save({}, files["state.pt"])
    with pytest.raises(InputError, match="it has a nuclear repulsion, which is not supported"):
        M3GNetPotential.pretrained(files)


# ALIGNN --------------------------------------------------------------------------------------------------------------


class Frame(dict):
    """A graph as the published code sees one of DGL: sources, targets, values of nodes and edges, and five verbs."""

    def __init__(self, source, target, nodes: dict, edges: dict, size: int):
        self.source, self.target, self.ndata, self.edata, self.size = source, target, dict(nodes), dict(edges), size

    def local_var(self):
        return Frame(self.source, self.target, self.ndata, self.edata, self.size)

    def apply_edges(self, message):
        verb, a, b, out = message
        assert verb == "u_add_v"
        self.edata[out] = self.ndata[a][self.source] + self.ndata[b][self.target]

    def update_all(self, message, reduce):
        verb, *names, _ = message
        values = self.edata[names[-1]]
        if verb == "u_mul_e":
            values = self.ndata[names[0]][self.source] * values
        zero = values.new_zeros(self.size, values.shape[1])
        self.ndata[reduce[2]] = zero.index_add(0, self.target, values)


@pytest.mark.parametrize("training", [True, False])
def test_alignn_is_the_published_model(training: bool, monkeypatch: pytest.MonkeyPatch):
    """Equal weights, equal graphs: the output of alignn's own class of the paper, which wants a graph of DGL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from alignn.models import alignn as published

    crystals = made(6).crystals
    model = ALIGNN()
    torch.manual_seed(0)
    ours = model.network().train(training)
    graph = whole_graph(model, crystals)

    def pool():
        counts = torch.bincount(graph["crystal"])[:, None]
        return lambda _, x: x.new_zeros(len(crystals), x.shape[1]).index_add(0, graph["crystal"], x) / counts

    def verb(name: str):
        return lambda *words: (name, *words)

    monkeypatch.setattr(published, "AvgPooling", pool)
    verbs = {name: verb(name) for name in ("u_add_v", "u_mul_e", "copy_e", "sum")}
    monkeypatch.setattr(published, "fn", SimpleNamespace(**verbs))
    theirs = published.ALIGNN(published.ALIGNNConfig(name="alignn")).train(training)
    assert sum(p.numel() for p in theirs.parameters()) == 4_026_753
    weights = {n: v for n, v in ours.alignn.state_dict().items() if n in theirs.state_dict()}
    theirs.load_state_dict(weights)
    source, target, bonds = graph["other"], graph["centre"], -graph["bonds"].float()
    first, second = torch.nonzero(target[:, None] == source, as_tuple=True)
    unit = torch.nn.functional.normalize(bonds, dim=1)
    cosine = -(unit[first] * unit[second]).sum(dim=1)
    atoms = {"atom_features": ours.elements[graph["numbers"]]}
    g = Frame(source, target, atoms, {"r": bonds}, len(graph["numbers"]))
    lines = Frame(first, second, {}, {"h": cosine}, len(bonds))
    with torch.no_grad():
        expected = theirs((g, lines, None))
        values = ours(model.batch([model.inputs(c) for c in crystals]))
    assert torch.allclose(values, expected, rtol=1e-5, atol=1e-5), (values, expected)


def test_bonds_go_both_ways_once():
    for crystal in made().crystals:
        pairs = pairs_both_ways(nearest_neighbours(crystal, 12, 8.0))
        bonds = list(map(tuple, np.column_stack([pairs.centre, pairs.other, pairs.image]).tolist()))
        assert len(set(bonds)) == len(bonds)
        assert {(j, i, -a, -b, -c) for i, j, a, b, c in bonds} == set(bonds)
        assert np.allclose(np.linalg.norm(pairs.vectors(crystal), axis=1), pairs.distance)


def test_line_graph_pair_by_pair():
    for crystal in made().crystals[-2:]:
        pairs = pairs_both_ways(nearest_neighbours(crystal, 12, 8.0))
        vectors = pairs.vectors(crystal)
        angles = line_graph(pairs, vectors, len(crystal))
        # A bond goes from `other` to `centre`: the first ends where the second starts.
        expected = {(a, b) for a in range(len(pairs)) for b in range(len(pairs)) if pairs.centre[a] == pairs.other[b]}
        assert set(zip(angles.first.tolist(), angles.second.tolist(), strict=True)) == expected
        assert len(angles.first) == len(expected)
        to_first, to_second = -vectors[angles.first], vectors[angles.second]  # from the atom between them
        lengths = np.linalg.norm(to_first, axis=1) * np.linalg.norm(to_second, axis=1)
        assert np.allclose(angles.cosine, (to_first * -to_second).sum(axis=1) / lengths * -1)


def test_angles_of_a_close_packing():
    """At an atom of an fcc metal, each of 12 bonds has neighbours at 0, 60, 90, 120 and 180 degrees."""
    inputs = ALIGNN().inputs(Crystal(4.05 * FCC, [[0, 0, 0]], [13]))
    assert inputs["cosine"].round(5).tolist() == [-1, -0.5, 0, 0.5, 1]
    assert (inputs["weight"].tolist(), inputs["received"].tolist()) == ([12], [5])
    assert inputs["angle_weight"][np.argsort(inputs["angle"])].tolist() == [1, 4, 2, 4, 1]  # of each of the 12 bonds


def test_triples_of_m3gnet_pair_by_pair():
    for crystal in made().crystals[-2:]:
        pairs = bound(crystal, 5.0)
        vectors = pairs.vectors(crystal)
        angles = angles_at_centres(pairs, vectors, 3.5)
        short = np.flatnonzero(pairs.distance <= 3.5).tolist()
        expected = {(a, b) for a in short for b in short if a != b and pairs.centre[a] == pairs.centre[b]}
        assert set(zip(angles.first.tolist(), angles.second.tolist(), strict=True)) == expected
        cosine = [vectors[a] @ vectors[b] / pairs.distance[a] / pairs.distance[b]
                  for a, b in zip(angles.first, angles.second, strict=True)]  # fmt: skip
        assert np.allclose(angles.cosine, cosine)


# Training ------------------------------------------------------------------------------------------------------------


def test_updates_limit_the_epochs(tmp_path: Path):
    def epochs(**fields) -> int:
        folder = tmp_path / str(fields)
        folder.mkdir()
        model = CGCNN(epochs=6, batch_size=8, width=8, hidden=8, **fields)  # two steps an epoch
        model.fit(made(), made(4), Context(folder=folder))
        return len((folder / "history.csv").read_text().splitlines()) - 1

    assert epochs() == 6
    assert epochs(updates=8) == 4
    assert epochs(updates=1) == 1


def test_one_cycle_ends_at_nothing():
    model = CGCNN(one_cycle=True, learning_rate=0.1)
    optimiser = model.optimiser(torch.nn.Linear(1, 1))
    schedule = model.schedule(optimiser, 20)
    rates = []
    for _ in range(20):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step() if len(rates) < 20 else None
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 1e-4 * rates[0]
    assert MEGNet(one_cycle=False).schedule(optimiser, 20) is None


def test_cgcnn_descends_as_published():
    model = CGCNN(**CGCNN.presets["paper"])
    optimiser = model.optimiser(torch.nn.Linear(1, 1))
    assert isinstance(optimiser, torch.optim.SGD)
    schedule = model.schedule(optimiser, 10)
    rates = []
    for _ in range(10):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert np.allclose(rates, [0.02] * 8 + [0.002] * 2)
    assert optimiser.param_groups[0]["momentum"] == 0.9


def test_every_baseline_says_what_it_is():
    for model in list_models(["mean", "forest", "cgcnn", "megnet", "m3gnet", "alignn"]):
        assert model.model is not None, model.reason
        assert dataclasses.is_dataclass(model.model)
        assert "quick" in model.model.presets


@pytest.mark.parametrize("setting", [
    "cgcnn.radius=0", "cgcnn.neighbours=0", "cgcnn.weight_decay=-1", "cgcnn.updates=-5", "cgcnn.momentum=0.9",
    "megnet.cutoff=-1", "m3gnet.threebody_cutoff=0", "alignn.radius=0", "cogn.radius=0", "asugnn.width=0",
    "asugnn.codecs=-1", "forest.trees=0",
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(setting: str):
    """A radius of 0 searched neighbours without end."""
    name, _, rest = setting.partition(".")
    field, _, value = rest.partition("=")
    with pytest.raises(InputError, match=field):
        configure_model(name, "quick", {field: value})


@pytest.mark.parametrize("change", [{"offset": "x"}, {"scale": None}, {"offset": math.nan}, {"kind": "other"}])
def test_a_damaged_network_is_not_loaded(change: dict[str, object], tmp_path: Path):
    data = made(8)
    model = configure_model("cgcnn", "quick", {"epochs": "1"})
    model.fit(data, data, Context())
    model.save(tmp_path)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match="cannot be read as a saved CGCNN model"):
        type(model).load(tmp_path)


@pytest.mark.parametrize("name", ["megnet", "m3gnet"])
def test_weights_of_another_form_are_refused_in_a_sentence(name: str, tmp_path: Path):
    settings = {"cutoff": 4.0, "threebody_cutoff": 4.0, "nblocks": 3, "units": 64, "element_types": None}
    kind = {"megnet": "MEGNet", "m3gnet": "M3GNet"}[name]
    about = {"model": {"@class": kind, "init_args": settings}, "target_transformer": "Normalizer(0.0, 1.0)"}
    torch.save({"model.other": torch.zeros(3)}, tmp_path / "state.pt")
    for kwargs in (about, about | {"model": {"@class": kind, "init_args": {"element_types": None}}}):
        (tmp_path / "model.json").write_text(json.dumps({"kwargs": kwargs}))
        with pytest.raises(InputError, match="cannot be read as a model in matgl's format"):
            find_model(name).pretrained({f: tmp_path / f for f in ("model.json", "state.pt")})
