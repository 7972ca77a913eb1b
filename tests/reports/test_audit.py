"""What an audit must find: planted duplicates, conflicting and impossible labels, a split that leaks."""

import csv
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import Typed
from matplotlib import rc_context
from matplotlib.figure import Figure

from asugnn import Crystal
from leaderboard.data.dataset import Source, load_dataset
from leaderboard.data.registry import find_source
from leaderboard.data.targets import Target, values_of
from leaderboard.ingest import import_dataset, parse_target
from leaderboard.reports.audit.audit import OUTLIER, audit_dataset, composition_deviations, find_outliers
from leaderboard.reports.audit.files import FIGURES, STYLE, table_position, write_audit
from leaderboard.running.model_contract import rotation, supercell, translation
from leaderboard.splitting.make import write_split
from leaderboard.splitting.split import read_split


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """60 rock salts; c000 again, turned and doubled, with another label; c001 stretched; c002 with an absurd label."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    fcc = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    crystals = {
        f"c{i:03}": Crystal((4 + 0.05 * i) * fcc, [[0, 0, 0], [0.5, 0.5, 0.5]], [3 + i % 12, 33 + i % 5])
        for i in range(60)
    }
    same = supercell(translation(rotation(crystals["c000"], rng), rng), rng)
    first = crystals["c001"]
    crystals |= {"same": same, "stretched": Crystal(first.lattice * 1.02, first.frac_coords, first.numbers)}
    y = {name: float(rng.normal()) for name in crystals} | {"c000": 1.0, "same": 1.5, "c002": 1e6}
    table = {
        "material_id": list(crystals),
        "lattice": [c.lattice.ravel().tolist() for c in crystals.values()],
        "frac_coords": [c.frac_coords.ravel().tolist() for c in crystals.values()],
        "atomic_numbers": [c.numbers.tolist() for c in crystals.values()],
        "y": list(y.values()),
    }
    pl.DataFrame(table).write_parquet(tmp_path / "toy.parquet")
    about = {"title": "toy", "licence": "MIT", "citation": "nobody"}
    return import_dataset(tmp_path / "toy.parquet", "toy", [parse_target("y:eV")], about, False)


def test_what_was_planted_is_found(source: Source):
    found = audit_dataset("toy", "random")
    text = dict(found.sections)
    assert found.same == [("c000", "same")]
    assert text["duplicates"][0].startswith("1 duplicate pair among 2 crystals")
    assert "c000 = same" in text["duplicates"][1]
    assert "differ by 0.5 eV (median); largest: c000 and same by 0.5" in text["labels of duplicates"][0]
    assert text["labels"][1].startswith(
        "y: 1 outlier, more than 6 robust standard deviations from a linear fit to composition"
    )
    assert text["labels"][1].endswith(": c002 (1e+06)")
    assert not any(found.leaks.values())  # what is the same shares a part


def test_a_split_that_leaks_is_told(source: Source, typed: Typed):
    assert source.folder is not None
    parts = dict(read_split(load_dataset(source), "random").id_to_part) | {"c000": "0", "same": "5"}
    write_split(source.folder / "splits", "toy", "leaky", 1, "by hand", parts)
    found = audit_dataset("toy", "leaky")
    assert found.leaks == {0: {"c000": "same"}, 1: {}, 2: {"same": "c000"}, 3: {}, 4: {}}
    status, out, err = typed("data", "audit", "toy", "--split", "leaky")
    assert status == 1
    assert re.search(r"fold 0: 1 of \d+ test structures also appear in training or validation", out)
    assert "split leaky of toy leaks" in err


@pytest.mark.slow
def test_the_tables_and_figures_hold_all_that_was_found(source: Source, tmp_path: Path):
    assert source.folder is not None
    parts = dict(read_split(load_dataset(source), "random").id_to_part) | {"c000": "0", "same": "5"}
    del parts["c005"]
    write_split(source.folder / "splits", "toy", "leaky", 1, "by hand", parts)
    found = audit_dataset("toy", "leaky")
    files = {p.name: p for p in write_audit(found, tmp_path / "out")}
    tables = {
        n: list(csv.DictReader(p.read_text(encoding="utf-8").splitlines()))
        for n, p in files.items()
        if n.endswith(".csv")
    }
    pairs = {(row["a"], row["b"]): row for row in tables["duplicates.csv"]}
    assert len(pairs) == len(found.pairs)
    assert pairs["c000", "same"]["verdict"] == "same"
    assert (pairs["c000", "same"]["y_a"], pairs["c000", "same"]["y_b"]) == ("1.0", "1.5")
    assert tables["leaks.csv"][0] == {"fold": "0", "tested": "c000", "same_as": "same", "part": "5"}
    assert [row["id"] for row in tables["outliers.csv"]] == ["c002"]
    assert tables["dropped.csv"] == [{"id": "c005", "reason": "not listed in split leaky"}]
    assert {row["element"]: row["crystals"] for row in tables["elements.csv"]}["Li"] == "6"
    assert sum(int(row["crystals"]) for row in tables["space-groups.csv"]) == 62
    figures = {n for n in files if n.endswith(".svg")}
    assert figures == {"labels.svg", "sizes.svg", "elements.svg"}  # of one pair there is no distribution
    before = {n: files[n].read_bytes() for n in files}
    write_audit(found, tmp_path / "out")
    assert {n: files[n].read_bytes() for n in files} == before


def test_words_of_strangers_are_no_formulas_in_figures(tmp_path: Path):
    """matplotlib would stop at the name and the unit of this target: it reads what stands between dollars."""
    target = Target("a $\\foo$", "regression", "$\\bar$", "", values_of("y"))
    source = SimpleNamespace(name="$\\foo$", targets=(target,))
    data = SimpleNamespace(source=source, labels=lambda _: np.arange(9.0))
    audit: Any = SimpleNamespace(
        data=data, elements=Counter({26: 3}), differences=lambda _: [(0.1 * k,) for k in range(9)]
    )
    with rc_context(STYLE):
        for name in ("labels", "elements", "label-differences"):
            figure = Figure()
            assert FIGURES[name](audit, figure)
            figure.savefig(tmp_path / f"{name}.svg")
    assert "a $\\foo$ / $\\bar$" in (tmp_path / "labels.svg").read_text(encoding="utf-8")


def test_the_periodic_table_has_a_place_for_every_element():
    places = [table_position(z) for z in range(1, 119)]
    assert len(set(places)) == 118
    symbols = dict(zip(places, range(1, 119), strict=True))
    assert [symbols[place] for place in ((1, 1), (18, 1), (13, 2), (8, 4), (18, 4), (4, 6), (18, 7))] == [
        1, 2, 5, 26, 36, 72, 118
    ]  # fmt: skip


def test_labels_far_from_what_their_composition_suggests_are_outliers(data: Path):
    loaded = load_dataset(find_source("mp-2018"))
    names = {o.name for o in find_outliers(loaded, loaded.source.targets[0])}
    assert names >= {"mp-778012", "mp-690564", "mp-693892", "mp-694932", "mp-1014332"}  # known to be wrong
    assert len(names) < 100


def test_outliers_that_larger_ones_hide_are_found():
    """Two elements, sixty crystals each: large errors of one element hide smaller ones, which hide the smallest."""
    noise = np.linspace(-1, 1, 60)
    shares = np.repeat(np.eye(2), 60, axis=0)
    y = np.concatenate([noise, 20 + noise])  # so far apart that no label is far from the median of all
    y[87:90], y[90:98], y[98] = 20 + 60, 20 + 9, 20 + 6
    deviations = composition_deviations(shares, y)
    assert np.flatnonzero(abs(deviations) > OUTLIER).tolist() == list(range(87, 99))


def test_few_labels_deviate_from_their_median_and_are_not_fitted():
    shares = np.eye(4)  # a fit would meet every label
    deviations = composition_deviations(shares, np.array([1.0, 1.1, 0.9, 100.0]))
    assert np.flatnonzero(abs(deviations) > OUTLIER).tolist() == [3]
