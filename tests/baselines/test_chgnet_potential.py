"""CHGNet as a model of formation energy, against its own package."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from asugnn import Crystal, InputError
from asugnn.published_weights import locate_weights
from baselines._chgnet import build_graph
from baselines.chgnet_potential import CHGNetPotential
from leaderboard.board import rank_rows
from leaderboard.data import parse_task
from leaderboard.running import plan_pretrained, run_jobs
from leaderboard.running.predict_files import predict_files
from leaderboard.running.pretrained import load_pretrained

pytest.importorskip("chgnet", reason="chgnet is not installed: chgnet-potential was not tested")
NAME = "CHGNet-0.3.0"
FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
BCC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2
ALUMINIUM, NICKEL, IRON = (4.04 * FCC, 13), (3.5 * FCC, 28), (2.85 * BCC, 26)


def metals() -> list[Crystal]:
    """Three metals, each at three volumes."""
    return [Crystal(x * a, [[0, 0, 0]], [z]) for a, z in (ALUMINIUM, NICKEL, IRON) for x in (0.97, 1, 1.04)]


def alloys() -> list[Crystal]:
    corners = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return [Crystal(a * np.eye(3), corners, [x, y, y, y]) for x, y, a in ((13, 28, 3.57), (28, 13, 3.9), (26, 28, 3.6))]


@pytest.fixture
def model() -> CHGNetPotential:
    loaded = load_pretrained("chgnet-potential", NAME)
    assert isinstance(loaded, CHGNetPotential)
    return loaded


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
def test_its_formation_energies_are_those_of_its_package(model: CHGNetPotential, tmp_path: Path):
    """Energies by CHGNet's own prediction, minus those of the lowest metals by hand."""
    from chgnet.model import CHGNet
    from pymatgen.core import Structure

    theirs = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)

    def energy(crystal: Crystal) -> float:
        structure = Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)
        return float(theirs.predict_structure(structure, task="e")["e"])

    lowest = {z: min(energy(c) for c in metals() if c.numbers[0] == z) for z in (13, 28, 26)}
    expected = [energy(c) - np.mean([lowest[z] for z in c.numbers.tolist()]) for c in alloys()]
    model.refer(metals())
    assert np.allclose(model.predict(alloys()), expected, atol=2e-5)
    assert expected[0] < -0.2  # Ni3Al is stable
    assert min(abs(model.predict([c])[0]) for c in metals()) < 1e-6
    model.save(tmp_path)
    assert np.array_equal(CHGNetPotential.load(tmp_path).predict(alloys()), model.predict(alloys()))


def test_it_does_not_depend_on_how_a_crystal_is_written(model: CHGNetPotential):
    model.refer(metals())
    (crystal,) = alloys()[:1]
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turned = Crystal(crystal.lattice @ q, crystal.frac_coords + 0.3, crystal.numbers)
    doubled = Crystal(
        crystal.lattice * [[2], [1], [1]],
        np.vstack([crystal.frac_coords, crystal.frac_coords + np.eye(3)[0]]) / [2, 1, 1],
        np.tile(crystal.numbers, 2),
    )
    assert np.ptp(model.predict([crystal, turned, doubled])) < 1e-4


def test_what_it_cannot_compute_is_left_out_with_a_reason(model: CHGNetPotential):
    americium = Crystal(3.5 * FCC, [[0, 0, 0]], [95])
    apart = Crystal(9.0 * np.eye(3), [[0, 0, 0]], [13])
    model.refer([*metals(), americium, apart])  # which are no reference
    titanium, polonium = Crystal(2.9 * BCC, [[0, 0, 0]], [22]), Crystal(3.35 * np.eye(3), [[0, 0, 0]], [84])
    reasons = model.outside([americium, apart, titanium, polonium, *alloys()])
    assert sorted(reasons) == [0, 1, 2, 3]
    assert "no training crystal of CHGNet had Po" in reasons[3]
    assert "Am" in reasons[0]
    assert "within the 6 angstrom" in reasons[1]
    assert "relative to pure Ti, of which no crystal is there" in reasons[2]
    with pytest.raises(InputError, match="relative to pure Ti"):
        model.predict([titanium])


def test_in_files_the_crystals_of_elements_are_the_references(model: CHGNetPotential, tmp_path: Path):
    from pymatgen.core import Structure

    for i, crystal in enumerate([*metals()[:6], *alloys()]):
        file = tmp_path / f"{i}.cif"
        Structure(crystal.lattice, crystal.numbers, crystal.frac_coords).to(filename=str(file))
    values, skipped = predict_files(model, sorted(tmp_path.iterdir()), refer=True)
    model.refer(metals()[:6])
    assert np.allclose([values["6"], values["7"]], model.predict(alloys()[:2]), atol=1e-4)
    assert len(skipped) == 1
    assert skipped[0].startswith("8: ")
    assert skipped[0].endswith("its energy is relative to pure Fe, of which no crystal is there")


def test_a_folder_of_the_users_is_read_as_plain_data(tmp_path: Path):
    (weights,) = CHGNetPotential.weights.values()
    folder = locate_weights(NAME, weights)
    for file in weights.files:
        shutil.copy(folder / file, tmp_path)
    read = CHGNetPotential.pretrained({path.name: path for path in tmp_path.iterdir()})
    assert read.parameters == 412_525
    with pytest.raises(InputError, match="there are 0"):
        CHGNetPotential.pretrained({})
    own = read._network
    torch.save({"model": own.as_dict()}, tmp_path / "own.pth.tar")  # as its package saves a network that was trained on
    again = CHGNetPotential.pretrained({"own.pth.tar": tmp_path / "own.pth.tar"})
    assert np.array_equal(again.energies(alloys()), read.energies(alloys()))
    whole = own.as_dict() | {"model_args": {**own.as_dict()["model_args"], "is_intensive": False}}
    torch.save({"model": whole}, tmp_path / "own.pth.tar")  # gives the energy of the cell
    of_cells = CHGNetPotential.pretrained({"own.pth.tar": tmp_path / "own.pth.tar"})
    assert np.allclose(of_cells.energies(alloys()) * 4, of_cells._network(graphs(of_cells), task="e")["e"].detach())
    harmful = tmp_path / "b.pth.tar"
    torch.save({"model": Harmful(tmp_path / "harmed")}, harmful)
    with pytest.raises(InputError, match="cannot be read as a CHGNet"):
        CHGNetPotential.pretrained({"b.pth.tar": harmful})
    assert not (tmp_path / "harmed").exists()


def graphs(model: CHGNetPotential) -> list:
    return [build_graph(model._network, crystal) for crystal in alloys()]


class Harmful:
    """Would make a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return Path.touch, (self.path,)


@pytest.mark.slow
def test_on_the_board_it_holds_no_rank(tmp_path: Path):
    tasks = [parse_task("open-dft/zero-shot")]
    run_jobs(plan_pretrained(tasks, ["chgnet-potential"], NAME, [0]), tmp_path, lambda *_: None)
    (row,), notes = rank_rows(tmp_path, tasks, "quick")
    assert not notes
    assert row.rank is None
    assert row.outside == 0
    value = row.metrics["mae"].value
    assert value is not None
    assert value < 0.15  # eV/atom; the mean of the labels is off by more
