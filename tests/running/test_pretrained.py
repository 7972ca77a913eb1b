"""Published weights: their values, where they come from, and how they stand on the board."""

import hashlib
import importlib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from made import run_here
from standin import StandIn, serving

from asugnn import Crystal, InputError
from asugnn.published_weights import PublishedWeights, locate_weights
from baselines.cgcnn import CGCNN
from baselines.m3gnet import M3GNet
from baselines.m3gnet_potential import M3GNetPotential
from baselines.megnet import MEGNet
from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import find_source
from leaderboard.data.tasks import parse_task, suite_tasks
from leaderboard.records.predictions_csv import predictions_text
from leaderboard.records.write_run import write_record
from leaderboard.reports.terminal import render_board
from leaderboard.running.plan import plan_pretrained, plan_runs
from leaderboard.running.predict_files import predict_files
from leaderboard.running.pretrained import load_pretrained, models_with_weights
from leaderboard.running.run_processes import run_jobs

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
CRYSTALS = {  # ids in the Materials Project, by whose relaxed structures the published values are known
    "mp-22862": "NaCl", "mp-1265": "MgO", "mp-1143": "Al2O3", "mp-149": "Si",
}  # fmt: skip
PUBLISHED = [
    ("cgcnn", "formation-energy-per-atom", (-2.118, -3.048, -3.395, 0.086)),
    ("megnet", "MEGNet-MP-2018.6.1-Eform", (-2.11, -3.08, -3.43, 0.03)),
    ("m3gnet", "M3GNet-MP-2018.6.1-Eform", (-2.10, -3.07, -3.45, 0.01)),
]
SLOW_LIMITS = {"cgcnn": 0.045, "megnet": 0.025, "m3gnet": 0.025}


@pytest.fixture(scope="module", autouse=True)
def _matgl() -> None:
    """Its first import warns of others' deprecations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in ("models", "apps.pes", "ext.pymatgen", "data.transformer"):
            importlib.import_module(f"matgl.{name}")


@pytest.fixture(scope="session")
def _weights() -> None:
    if not os.environ.get("BENCH_WEIGHTS"):
        pytest.skip("BENCH_WEIGHTS does not name the folder of published weights: no adapter was tested with them")


# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_weights")
@pytest.mark.parametrize(("model", "name", "expected"), PUBLISHED)
def test_published_weights_give_the_published_values(model: str, name: str, expected: tuple[float, ...], data: Path):
    crystals = load_dataset(find_source("mp-2018")).crystals(CRYSTALS)
    values = load_pretrained(model, name).predict(crystals)
    assert np.abs(values - expected).max() < 0.02, dict(zip(CRYSTALS.values(), values, strict=True))


def haematite() -> Crystal:
    """Fe2O3, which the data set lacks, about as the Materials Project relaxes it."""
    a, c, z, x = 5.066, 13.879, 0.355, 0.306
    frac = []
    for t in ((0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3)):
        iron = [(0, 0, q) for q in (z, -z, z + 0.5, 0.5 - z)]
        oxygen = [(x, 0, 0.25), (0, x, 0.25), (-x, -x, 0.25), (-x, 0, 0.75), (0, -x, 0.75), (x, x, 0.75)]
        frac += [np.add(t, site) for site in iron + oxygen]
    return Crystal([[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, c]], frac, 3 * ([26] * 4 + [8] * 6))


@pytest.mark.usefixtures("_weights")
@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [("cgcnn", "formation-energy-per-atom", -1.772), ("megnet", "MEGNet-MP-2018.6.1-Eform", -1.76)],
)
def test_published_weights_of_haematite(model: str, name: str, expected: float):
    assert load_pretrained(model, name).predict([haematite()])[0] == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("_weights")
@pytest.mark.parametrize(("model", "name", "_"), PUBLISHED)
def test_errors_on_crystals_of_their_training(model: str, name: str, _, data: Path):
    held = load_dataset(find_source("mp-2018"))
    y = held.labels(held.source.targets[0])
    rows = np.flatnonzero(np.isfinite(y))
    crystals = held.crystals([held.ids[i] for i in rows])
    fitted = load_pretrained(model, name)
    outside = fitted.outside(crystals)
    keep = np.setdiff1d(np.arange(len(rows)), list(outside))
    error = np.abs(fitted.predict([crystals[i] for i in keep]) - y[rows[keep]]).mean()
    print(f"{model}: {error:.4f} eV/atom on {len(keep)}, {len(outside)} outside its domain")
    assert len(outside) == {"cgcnn": 0, "megnet": 93}.get(model, len(outside))
    assert error <= SLOW_LIMITS[model]


@pytest.mark.usefixtures("_weights")
@pytest.mark.parametrize("name", ["band-gap", "bulk-moduli", "semi-metal-classification"])
def test_other_weights_of_cgcnn(name: str, data: Path):
    held = load_dataset(find_source("mp-2018"))
    target = next(t for t in held.source.targets if t.name == CGCNN.weights[name].target)
    y = held.labels(target)
    # The gaps that these weights learnt were those of semiconductors alone.
    rows = np.flatnonzero(np.isfinite(y) & ((y > 0) | (name != "band-gap")))[:300]
    values = load_pretrained("cgcnn", name).predict(held.crystals([held.ids[i] for i in rows]))
    if target.kind == "binary":
        assert values.min() >= 0
        assert values.max() <= 1
        assert ((values > 0.5) == y[rows]).mean() > 0.85
    else:
        assert np.abs(values - y[rows]).mean() < 0.7 * np.abs(y[rows] - y[rows].mean()).mean()


def saved_by_matgl(kind: type[MEGNet | M3GNet], folder: Path, **fields: float) -> torch.nn.Module:
    """A model of today's matgl with random weights, saved by itself."""
    from matgl.data.transformer import Normalizer
    from matgl.models import M3GNet as TheirM3GNet
    from matgl.models import MEGNet as TheirMEGNet
    from matgl.models import TransformedTargetModel

    torch.manual_seed(1)
    network = (
        TheirMEGNet(cutoff=4.0) if kind is MEGNet else TheirM3GNet(is_intensive=True, readout_type="set2set", **fields)
    )
    model = TransformedTargetModel(network, Normalizer(-1.5, 1.25)).eval()
    model.save(folder)
    return model


@pytest.mark.parametrize("kind", [MEGNet, M3GNet])
def test_a_model_that_matgl_saves_today(kind: type[MEGNet | M3GNet], tmp_path: Path):
    """Read as matgl itself computes it: the repairs are for the old ones alone."""
    from matgl.ext.pymatgen import Structure2Graph
    from pymatgen.core import Structure

    theirs = saved_by_matgl(kind, tmp_path, cutoff=5.0, threebody_cutoff=4.0)
    ours = kind.pretrained({p.name: p for p in tmp_path.iterdir()})
    crystals = [Crystal(5.6 * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]), Crystal(4.0 * FCC, [[0, 0, 0]], [13])]
    converter = Structure2Graph(theirs.model.element_types, theirs.model.cutoff)
    for crystal, value in zip(crystals, ours.predict(crystals), strict=True):
        structure = Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)
        expected = theirs.transformer.inverse_transform(
            theirs.model.predict_structure(structure, graph_converter=converter)
        )
        assert value == pytest.approx(float(expected), abs=1e-4)


def test_crystals_outside_the_domain_are_said_to_be_so(tmp_path: Path):
    saved_by_matgl(MEGNet, tmp_path)
    model = MEGNet.pretrained({p.name: p for p in tmp_path.iterdir()})
    lonely, fine = Crystal(9 * FCC, [[0, 0, 0]], [55]), Crystal(4 * FCC, [[0, 0, 0]], [13])
    assert list(model.outside([fine, lonely])) == [1]
    with pytest.raises(InputError, match="Cs is outside the domain of MEGNet: no atom has a neighbour within 4"):
        model.predict([fine, lonely])


def test_a_model_that_takes_no_weights_is_refused(tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(InputError, match="model 'mean' takes no published weights"):
        load_pretrained("mean", str(tmp_path))


@pytest.mark.parametrize("files", [{}, {"state.pt": b"junk", "model.json": b"{}"}, {"a.pth.tar": b"junk"}])
@pytest.mark.parametrize("kind", [CGCNN, MEGNet, M3GNet, M3GNetPotential])
def test_files_that_hold_no_model(kind, files: dict[str, bytes], tmp_path: Path):
    for name, content in {"README": b"", **files}.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        kind.pretrained({p.name: p for p in sorted(tmp_path.iterdir())})


def test_nothing_but_tensors_is_unpickled(tmp_path: Path):
    class Harm:
        def __reduce__(self):
            return (Path(tmp_path / "harmed").touch, ())

    torch.save({"args": Harm()}, tmp_path / "a.pth.tar")
    with pytest.raises(InputError, match="cannot be read as a CGCNN checkpoint"):
        CGCNN.pretrained({"a.pth.tar": tmp_path / "a.pth.tar"})
    assert not (tmp_path / "harmed").exists()


# A potential ---------------------------------------------------------------------------------------------------------


def metals() -> tuple[list[Crystal], list[Crystal]]:
    """Al, Ni and Cu, fcc at three volumes each; their ordered alloys."""
    kinds = ((13, 4.05), (28, 3.52), (29, 3.6))
    pure = [Crystal(a * (1 + x) * FCC, [[0, 0, 0]], [z]) for z, a in kinds for x in (-0.03, 0, 0.03)]
    corners = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    pairs = ((13, 28, 3.6), (28, 13, 3.8), (13, 29, 3.7), (29, 13, 3.9), (28, 29, 3.58), (29, 28, 3.57))
    return pure, [Crystal(a * np.eye(3), corners, [x, y, y, y]) for x, y, a in pairs]


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small M3GNet potential, trained here on energies of effective medium theory, saved by matgl."""
    from ase import Atoms
    from ase.calculators.emt import EMT
    from matgl.apps.pes import Potential
    from matgl.models import M3GNet as TheirM3GNet

    from baselines.m3gnet import network_outputs

    def emt(crystal: Crystal) -> float:
        # EMT gives wrong neighbours in cells smaller than its cut-off.
        atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True) * 3
        atoms.calc = EMT()
        return float(atoms.get_potential_energy()) / len(atoms)

    pure, alloys = metals()
    crystals = pure + alloys
    torch.manual_seed(0)
    network = TheirM3GNet(is_intensive=False, units=16, dim_node_embedding=16, dim_edge_embedding=16, nblocks=1)
    inputs = M3GNet(bind=False)
    batch = inputs.batch([inputs.inputs(c) for c in crystals])
    offsets = torch.zeros(89)
    offsets[:] = torch.linspace(-0.5, 0.5, 89)
    atoms = torch.tensor([len(c) for c in crystals])
    y = torch.tensor([emt(c) for c in crystals], dtype=torch.float32) * atoms
    of_atoms = batch["multiplicity"] * offsets[batch["elements"]]
    y -= torch.zeros(len(crystals)).index_add(0, batch["crystal"], of_atoms)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = (((network_outputs(network, batch) * 2.0 - y) / atoms) ** 2).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01  # it has learnt something: 0.1 eV/atom
    folder = tmp_path_factory.mktemp("potential")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Potential(network, data_mean=0.0, data_std=2.0, element_refs=offsets).save(folder)
    return folder


def test_a_potential_gives_formation_energies(potential: Path, tmp_path: Path):
    """Its energies by matgl's own loader and forward pass, minus those of the lowest pure crystals by hand."""
    import matgl
    from matgl.ext.pymatgen import Structure2Graph
    from pymatgen.core import Structure

    theirs = matgl.load_model(potential)
    theirs.calc_forces = theirs.calc_stresses = False
    converter = Structure2Graph(theirs.model.element_types, theirs.model.cutoff)

    def energy(crystal: Crystal) -> float:
        g, lattice, state = converter.get_graph(Structure(crystal.lattice, crystal.numbers, crystal.frac_coords))
        return float(theirs(g=g, lat=lattice, state_attr=torch.tensor(state))[0]) / len(crystal)

    pure, alloys = metals()
    lowest = {z: min(energy(c) for c in pure if c.numbers[0] == z) for z in (13, 28, 29)}
    expected = [energy(c) - np.mean([lowest[z] for z in c.numbers.tolist()]) for c in alloys]
    model = M3GNetPotential.pretrained({p.name: p for p in potential.iterdir()})
    model.refer(pure)
    assert np.allclose(model.predict(alloys), expected, atol=2e-5)
    assert min(abs(model.predict([c])[0]) for c in pure) < 1e-6  # an element has none, up to the rounding of a batch
    model.save(tmp_path)
    assert np.array_equal(M3GNetPotential.load(tmp_path).predict(alloys), model.predict(alloys))


ROCKSALT, DIAMOND, ONE = [[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0, 0], [0.25, 0.25, 0.25]], [[0, 0, 0]]
BCC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2
LATTICE_CONSTANTS = [  # angstrom, as the potential's authors list what it gives
    (FCC, ROCKSALT, [11, 17], 5.69132), (FCC, ROCKSALT, [12, 8], 4.26133), (FCC, ROCKSALT, [22, 6], 4.35104),
    (FCC, ROCKSALT, [19, 17], 6.38015), (FCC, DIAMOND, [14, 14], 5.45671), (FCC, DIAMOND, [31, 33], 5.75044),
    (BCC, ONE, [26], 2.85153), (FCC, ONE, [47], 4.15989), (np.eye(3), ROCKSALT, [55, 17], 4.20103),
]  # fmt: skip


@pytest.mark.usefixtures("_weights")
def test_the_published_potential_gives_its_lattice_constants():
    name = "M3GNet-MP-2021.2.8-PES"
    if not (Path(os.environ["BENCH_WEIGHTS"]) / "matgl" / name).is_dir():
        pytest.skip(f"BENCH_WEIGHTS has no {name}: the published potential was not tested")
    model = load_pretrained("m3gnet-potential", name)
    for cell, frac, numbers, expected in LATTICE_CONSTANTS:
        a = expected * np.linspace(0.99, 1.01, 9)
        energy = model.energies([Crystal(x * cell, frac, numbers) for x in a])
        fit = np.polynomial.Polynomial.fit(a, energy, 3)
        lowest = min((r.real for r in fit.deriv().roots() if a[0] <= r.real <= a[-1]), key=fit)
        assert lowest == pytest.approx(expected, rel=7e-4), numbers


def test_a_potential_needs_crystals_of_the_elements(potential: Path):
    model = M3GNetPotential.pretrained({p.name: p for p in potential.iterdir()})
    pure, alloys = metals()
    model.refer(pure[3:])
    with pytest.raises(InputError, match="relative to pure Al, of which no crystal is there"):
        model.predict(alloys)
    assert len(model.outside(alloys)) == 4


def test_a_potential_is_not_trained():
    with pytest.raises(InputError, match="--pretrained"):
        M3GNetPotential().fit(None, None, None)


@pytest.mark.slow
def test_a_potential_on_the_board(potential: Path, tmp_path: Path):
    """From a folder, on real tasks: what it cannot refer to is left out and counted; it holds no rank."""
    mine = [parse_task("open-dft/formation-energy"), parse_task("open-dft/zero-shot")]
    run_here(plan_pretrained(mine, ["m3gnet-potential"], str(potential), [0]), tmp_path)
    run_here(plan_runs(mine, ["mean"], "quick", [0], [0], {}), tmp_path)
    rows, notes = rank_rows(tmp_path, mine, "quick")
    assert not notes
    by_name = {(r.title, r.task): r for r in rows}
    row = by_name[f"m3gnet-potential+weights={potential.name}, pretrained", "open-dft/formation-energy"]
    assert row.rank is None
    assert (
        0 < row.outside < 0.1 * row.n
    )  # compounds of caesium, whose atoms lie too far apart in the metal for the potential to see
    assert by_name["mean", "open-dft/formation-energy"].rank == 1
    assert [r.title for r in rows if r.task == "open-dft/formation-energy"][-1] == row.title  # below the ranked
    text = render_board(rows, mine, "quick", "table", detailed=False)
    assert "Pretrained rows are not ranked: their training data may include the test set" in text
    assert "data unknown here" in text


# On the board, with crystals left out --------------------------------------------------------------------------------


@pytest.mark.slow
def test_crystals_left_out_are_counted(tmp_path: Path):
    saved_by_matgl(MEGNet, tmp_path / "weights")
    task = parse_task("open-dft/formation-energy")
    folder = str(tmp_path / "weights")
    run_jobs(plan_pretrained([task], ["megnet"], folder, [0, 1]), tmp_path / "runs", lambda *_: None)
    rows, notes = rank_rows(tmp_path / "runs", [task], "quick")
    assert not notes
    (row,) = rows
    tested = sum(len(load_ground_truth(task, fold).ids) for fold in range(2))
    assert row.outside > 0  # alkali metals, stretched
    assert row.n == tested - row.outside
    about = json.loads(next((tmp_path / "runs").rglob("run.json")).read_text(encoding="utf-8"))
    assert all("outside the domain" in reason for reason in about["outside"].values())
    assert about["weights"]["sha256"].keys() >= {"state.pt", "model.json"}
    assert f"{row.outside} unsupported test crystals skipped" in render_board(rows, [task], "quick", "table", False)
    # The file of predictions is what it says: one that lacks a crystal is refused.
    file = next((tmp_path / "runs").rglob("predictions.csv"))
    file.write_text("\n".join(file.read_text(encoding="utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")
    _, notes = rank_rows(tmp_path / "runs", [task], "quick")
    assert "predictions.csv was changed" in notes[0]
    write_record(file.parent, json.loads((file.parent / "run.json").read_text(encoding="utf-8")))
    _, notes = rank_rows(tmp_path / "runs", [task], "quick")
    assert "has no row" in notes[0]


def test_the_plan_knows_what_weights_predict():
    mine = list(suite_tasks("open-dft"))
    jobs = plan_pretrained(mine, models_with_weights(), "all", [0])
    by_model = {(j.model, j.run.task.target.name) for j in jobs}
    assert ("cgcnn", "metal") in by_model
    assert ("megnet", "zero-shot") in by_model
    assert ("megnet", "band-gap") not in by_model
    with pytest.raises(InputError, match="predicts metal: choose a task"):
        plan_pretrained([mine[0]], ["cgcnn"], "semi-metal-classification", [0])
    with pytest.raises(InputError, match=r"did you mean 'MEGNet-MP-2018\.6\.1-Eform'"):
        plan_pretrained(mine, models_with_weights(), "MEGNet-MP-2018", [0])
    with pytest.raises(InputError, match="needs --model with one of"):
        plan_pretrained(mine, models_with_weights(), "/", [0])


# Where they come from ------------------------------------------------------------------------------------------------

CONTENT = b"weights" * 1000


@pytest.fixture
def server():
    with serving(StandIn({"/fine/w.pt": CONTENT, "/changed/w.pt": CONTENT[::-1]})) as state:
        yield state


def published(url: str) -> PublishedWeights:
    return PublishedWeights("toy", {"w.pt": hashlib.sha256(CONTENT).hexdigest()}, url, "formation-energy", "nothing")


def test_weights_are_downloaded_once(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    assert (locate_weights("toy", published(f"{server.url}/fine")) / "w.pt").read_bytes() == CONTENT
    assert (
        locate_weights("toy", published("http://127.0.0.1:1/nobody")) / "w.pt"
    ).read_bytes() == CONTENT  # there already


@pytest.mark.parametrize(("where", "sentence"), [("none", "HTTP 404"), ("changed", "no longer the published file")])
def test_weights_that_cannot_be_had_leave_nothing(
    where: str, sentence: str, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=sentence) as caught:
        locate_weights("toy", published(f"{server.url}/{where}"))
    assert where == "changed" or "or put the file into a folder that BENCH_WEIGHTS names" in str(caught.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_weights_that_were_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "w.pt").write_bytes(CONTENT + b"!")
    with pytest.raises(InputError, match=r"w.pt is not the published file of 'toy'"):
        locate_weights("toy", published("http://127.0.0.1:1/nobody"))


def test_damaged_weights_in_the_cache_are_downloaded_again(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    file = locate_weights("toy", published(f"{server.url}/fine")) / "w.pt"
    file.write_bytes(CONTENT[:-1] + b"!")
    assert locate_weights("toy", published(f"{server.url}/fine")) == file.parent
    assert file.read_bytes() == CONTENT
    assert "were damaged: they were downloaded again" in caplog.text


def test_predictions_of_weights_are_a_submission(potential: Path, tmp_path: Path):
    """What `bench predict` prints for a model that leaves nothing out."""
    model = M3GNetPotential.pretrained({p.name: p for p in potential.iterdir()})
    pure, _ = metals()
    model.refer(pure)
    from ase import Atoms
    from ase.io import write

    crystal = metals()[1][0]
    atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
    write(tmp_path / "a.cif", atoms)
    values, reasons = predict_files(model, [tmp_path / "a.cif"])
    assert not reasons
    text = predictions_text(list(values), "formation-energy", list(values.values()))
    assert text.splitlines()[0] == "id,formation-energy"
    assert values["a"] == pytest.approx(model.predict([crystal])[0], abs=1e-4)


def test_weights_that_cannot_be_had_fail_their_runs_before_any_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each run waited for the server by itself, and left a folder with an empty lock."""
    nobody = PublishedWeights("w", {"a.pt": "0" * 64}, "http://127.0.0.1:1", "metal", "nothing")
    for module in ("plan", "pretrained"):
        monkeypatch.setattr(f"leaderboard.running.{module}.published_weights", lambda _: {"w": nobody})
    monkeypatch.setattr("asugnn.download.PAUSE", 0.001)
    monkeypatch.setattr("asugnn.download._silent_servers", set())
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    jobs = plan_pretrained([parse_task("open-dft/metal")], ["cgcnn"], "w", [0, 1])
    told: list[str] = []
    counts = run_jobs(jobs, tmp_path / "runs", lambda run, outcome, note: told.append(f"{outcome}: {note}"))
    assert counts == {"done": 0, "kept": 0, "failed": 2}
    assert told[0].startswith("failed: http://127.0.0.1:1/a.pt cannot be downloaded")
    assert list(tmp_path.iterdir()) == []
