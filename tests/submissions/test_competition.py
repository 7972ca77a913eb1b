"""What a competition gets, and that its metric in Kaggle's form gives the number of `bench score`."""

import csv
import hashlib
import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import polars as pl
import pytest
from ase.io import iread
from hypothesis import given
from hypothesis import strategies as st

from asugnn import InputError
from asugnn.structure_files import read_crystals
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.score_file import score_file
from leaderboard.cli.app import main
from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import find_source
from leaderboard.data.tasks import parse_task
from leaderboard.ingest import import_dataset, parse_target
from leaderboard.records.host_solution import NO_RULES, CompetitionRules, competition_rules
from leaderboard.records.predictions_csv import ColumnNames, write_predictions
from leaderboard.scoring.metrics import METRICS
from leaderboard.submissions import competition, kaggle_metric
from leaderboard.submissions.competition import export_competition
from leaderboard.submissions.pandas_ids import pandas_id_notes

METRIC_NAMES = [(kind, m.name) for kind, metrics in METRICS.items() for m in metrics]
TASKS = {"regression": "open-dft/band-gap", "binary": "open-dft/metal"}


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("metric", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("competition")
    task = parse_task("open-dft/band-gap")
    written, notes = export_competition(task, 1, out, True, ColumnNames("material_id", "gap_eV"), "")
    assert not notes
    assert sorted(p.relative_to(out).as_posix() for p in written) == sorted(
        p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()
    )
    return out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_participants_get_all_but_the_labels_of_the_test(home: Path):
    task = parse_task("open-dft/band-gap")
    held = load_ground_truth(task, 1)
    data = load_dataset(task.source)
    train, test = table(home / "participants" / "train.csv"), table(home / "participants" / "test.csv")
    assert [row["material_id"] for row in test] == list(held.ids)
    assert not {row["material_id"] for row in train} & set(held.ids)
    assert not {data.groups([row["material_id"]]) for row in train} & {(g,) for g in held.groups}
    labels = data.labels(task.target)
    assert all(float(row["gap_eV"]) == labels[data.rows[row["material_id"]]] for row in train)
    assert {row["side"] for row in train} == {"train", "validate"}
    everything = b"".join(p.read_bytes() for p in (home / "participants").iterdir())
    assert b"Usage" not in everything
    assert "MAE: lower is better" in (home / "participants" / "data.md").read_text(encoding="utf-8")


def test_structures_are_those_of_the_data_set(home: Path):
    crystals = read_crystals(home / "participants" / "structures.extxyz")
    data = load_dataset(find_source("open-dft"))
    ids = [row["material_id"] for name in ("train", "test") for row in table(home / "participants" / f"{name}.csv")]
    assert len(crystals) == len(ids)
    for ours, theirs in zip(data.crystals(ids), crystals.values(), strict=True):
        assert np.allclose(ours.lattice, theirs.lattice)
        assert np.array_equal(ours.numbers, theirs.numbers)
        apart = ours.frac_coords - theirs.frac_coords
        assert np.allclose(apart, apart.round(), atol=1e-9)


def test_the_sample_is_a_submission(home: Path, tmp_path: Path):
    file = home / "participants" / "sample_submission.csv"
    scored = score_file(file, parse_task("open-dft/band-gap"), 1, ColumnNames("material_id", "gap_eV"))
    assert scored["metrics"]["mae"]["value"] > 0
    with pytest.raises(InputError, match="the first line must be 'id,band-gap'"):
        score_file(file, parse_task("open-dft/band-gap"), 1)


def test_formulas_are_public_or_private_as_a_whole(home: Path):
    rows = table(home / "host" / "solution.csv")
    held = load_ground_truth(parse_task("open-dft/band-gap"), 1)
    usage: dict[str, set[str]] = {}
    for row, group in zip(rows, held.groups, strict=True):
        usage.setdefault(group, set()).add(row["Usage"])
    assert all(len(words) == 1 for words in usage.values())


def test_three_tenths_of_the_formulas_are_public():
    task = parse_task("open-dft/band-gap")
    public = sum(competition._usage(task, 0, f"formula {i}") == "Public" for i in range(100_000))
    assert abs(public - 30_000) < 5 * (100_000 * 0.3 * 0.7) ** 0.5


def test_the_public_rows_of_a_solution_are_fixed_and_differ_by_task_and_fold():
    """A host who exports again, years later, gets the solution that participants are scored by."""
    groups = [f"formula {i}" for i in range(200)]
    gap, metal = parse_task("open-dft/band-gap"), parse_task("open-dft/metal")
    chosen = [tuple(competition._usage(task, fold, g) for g in groups) for task in (gap, metal) for fold in (0, 1)]
    assert len(set(chosen)) == 4
    digest = hashlib.sha256("".join(chosen[0]).encode()).hexdigest()
    assert digest == "10951273ce8818b397325f674a0fee514b77abdac6e6466d1e60e28e45a6d66a"


def test_the_sample_predicts_the_mean_of_all_labelled_rows(home: Path):
    labels = [float(row["gap_eV"]) for row in table(home / "participants" / "train.csv")]
    sample = {float(row["gap_eV"]) for row in table(home / "participants" / "sample_submission.csv")}
    assert len(sample) == 1
    assert sample.pop() == pytest.approx(np.mean(labels), rel=1e-12)


@pytest.mark.parametrize(("kind", "name"), METRIC_NAMES)
def test_the_metric_file_gives_the_score_of_the_bench(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Public and private rows, through files as a host and a participant have them, to the last bit."""
    task, columns = parse_task(TASKS[kind]), ColumnNames("material_id", "value")
    export_competition(task, 0, tmp_path, True, columns, name)
    module = loaded(tmp_path / "host" / "metric.py")
    held = load_ground_truth(task, 0)
    rng = np.random.default_rng(7)
    p = held.y + rng.normal(0, 0.4, len(held.y))
    p = np.clip(p, 0, 1) if kind == "binary" else p
    order = rng.permutation(len(p))
    file = tmp_path / "mine.csv"
    write_predictions(file, [held.ids[i] for i in order], "value", p[order])
    file.write_text(file.read_text(encoding="utf-8").replace("id,value", "material_id,value"), encoding="utf-8")
    solution = pd.read_csv(tmp_path / "host" / "solution.csv")
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "host" / "solution.csv"))
    ours = score_file(file, task, 0, columns)["metrics"][name]["value"]
    theirs = module.score(solution[solution.Usage == "Public"], pd.read_csv(file), "material_id")
    assert theirs == ours


@given(st.integers(0, 2**32 - 1), st.integers(2, 200), st.booleans())
def test_every_formula_bit_by_bit(seed: int, n: int, ties: bool):
    module = loaded(Path(kaggle_metric.__file__))
    rng = np.random.default_rng(seed)
    for kind, metrics in METRICS.items():
        y = rng.normal(3, 2, n) if kind == "regression" else rng.permutation(np.arange(n) % 2).astype(float)
        p = np.clip(rng.normal(0.5, 0.3, n), 0, 1)
        p = p.round(1) if ties else p
        ids = [str(i) for i in range(n)]
        frames = [pd.DataFrame({"id": ids, "target": values}) for values in (y, p)]
        for metric in metrics:
            module.METRIC = metric.name
            assert module.score(*frames, "id") == metric(y, p) or np.isnan(metric(y, p))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.rename(columns={"target": "x"}), "no column 'target'"),
        (lambda s: s.iloc[1:], "1 ids have no row, such as 'a'"),
        (lambda s: pd.concat([s, s.iloc[:1]]), "id 'a' occurs more than once"),
        (lambda s: s.assign(target=["x", 1, 2]), "the value for id 'a' is not a finite number"),
        (lambda s: s.assign(target=[1, np.inf, 2]), "the value for id 'b' is not a finite number"),
    ],
)
def test_participants_are_told(change, sentence: str):
    module = loaded(Path(kaggle_metric.__file__))
    good = pd.DataFrame({"id": ["a", "b", "c"], "target": [1.0, 2, 3]})
    with pytest.raises(module.ParticipantVisibleError, match=sentence):
        module.score(good, change(good), "id")
    module.METRIC = "roc_auc"
    with pytest.raises(module.ParticipantVisibleError, match="'b' is not a probability"):
        module.score(good.assign(target=[0, 1, 0]), good.assign(target=[0.5, 1.5, 0]), "id")


def test_a_zero_shot_task_can_be_exported(tmp_path: Path):
    export_competition(parse_task("open-dft/zero-shot"), 0, tmp_path, False, ColumnNames("id", "zero-shot"), "")
    assert "This target has no training labels" in (tmp_path / "participants" / "data.md").read_text(encoding="utf-8")
    assert not (tmp_path / "host").exists()


def test_a_metric_of_another_kind_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="--metric cannot be 'mae' for open-dft/metal"):
        export_competition(parse_task("open-dft/metal"), 0, tmp_path, True, ColumnNames("id", "metal"), "mae")


def test_a_metric_that_the_board_does_not_rank_by_is_told(tmp_path: Path):
    task, names = parse_task("open-dft/metal"), ColumnNames("id", "metal")
    _, notes = export_competition(task, 0, tmp_path / "first", True, names, "roc_auc")
    assert not any("Kaggle alone" in note for note in notes)
    _, notes = export_competition(task, 0, tmp_path / "other", True, names, "accuracy")
    said = "accuracy counts on Kaggle alone: `bench submit` and the board rank by ROC-AUC"
    assert said in notes
    assert said in (tmp_path / "other" / "participants" / "data.md").read_text(encoding="utf-8")


PANDAS = [
    "0012", "1e5", "1.10", "NA", "InF", "1_0", "TRUE", "tRue", "-1", "N-A", "#N", "+5", "5.", ".5", "-0", "1e", "12",
    "12345678901234567890", "0x10", "<NA>", "1e400", "None", "-nan", "+nan", "mp-1", "-", "1 0", "\u0663",
]  # fmt: skip


@pytest.mark.parametrize("name", PANDAS)
def test_an_id_that_pandas_changes_is_noted(name: str):
    read = str(pd.read_csv(io.StringIO(f'id,y\n"{name}",1\n'))["id"].astype(str).iloc[0])
    assert bool(pandas_id_notes([name], "id")) == (read != name), read


def test_a_text_that_is_a_number_of_another_form_is_noted():
    """Pandas writes 1.0 alone as 1.0, and as 1 where it meets whole numbers, as ASE does."""
    (note,) = pandas_id_notes(["1.0", "mp-1", "7"], "id")
    assert note.startswith("pandas may read '1.0' as the number 1: read ids as text, pd.read_csv(FILE, dtype={'id'")


@pytest.mark.parametrize(
    "names", [("NA", "null"), ("0012", "12"), ("1e5", "100000"), ("1.10", "1.1"), ("TRUE", "true"), ("1", "1.0")]
)
def test_ids_that_pandas_merges_are_noted(names: tuple[str, str]):
    notes = pandas_id_notes(["mp-1", *names], "id")
    assert f"pandas may take '{names[0]}' and '{names[1]}' for one id" in notes[-1]
    ids = pd.read_csv(io.StringIO("id,y\n" + "".join(f"{name},1\n" for name in names)))["id"].astype(str)
    assert ids.duplicated().any()


def test_the_page_says_where_the_labels_are(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Those of an imported data set need not be public; its ids may hold a quote."""
    assert "labels of the test rows are public" in (home / "participants" / "data.md").read_text(encoding="utf-8")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    names = [f'"{i:03}", a\\' for i in range(60)]
    cell = [4.0, 0, 0, 0, 4, 0, 0, 0, 4]
    table = {
        "material_id": names,
        "lattice": [[x * (1 + i / 50) for x in cell] for i in range(60)],
        "frac_coords": [[0.0] * 3] * 60,
        "atomic_numbers": [[1 + i] for i in range(60)],
        "gap": range(60),
    }
    pl.DataFrame(table).write_parquet(tmp_path / "own.parquet")
    about = {"title": "own", "licence": "none", "citation": "none"}
    import_dataset(tmp_path / "own.parquet", "own", [parse_target("gap:eV")], about, False)
    export_competition(parse_task("own/gap"), 0, tmp_path / "out", True, ColumnNames("id", "gap"), "")
    page = (tmp_path / "out" / "participants" / "data.md").read_text(encoding="utf-8")
    assert "are public" not in page
    assert "its owner may not have published" in page
    (first, *_) = iread(tmp_path / "out" / "participants" / "structures.extxyz", ":")
    assert first.info["id"] in names
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "out" / "host" / "solution.csv"))
    assert load_ground_truth(parse_task("own/gap"), 0).scope == "public"


def test_what_is_for_the_host_needs_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    words = ["bench", "export", "--task", "open-dft/metal", "--out", str(tmp_path / "out"), "--keep", "best"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "--keep is for the host" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_takes_the_same_competition_again(tmp_path: Path):
    task, names = parse_task("open-dft/metal"), ColumnNames("id", "metal")
    for host in (False, True, False, True):
        export_competition(task, 0, tmp_path / "out", host, names, "")
    with pytest.raises(InputError, match=r"holds the competition of open-dft/metal, fold 0: choose another folder"):
        export_competition(task, 1, tmp_path / "out", False, names, "")


def test_a_running_competition_keeps_its_rules(tmp_path: Path):
    """Without its rules, or for participants alone, it would contradict what they have read."""
    task, names = parse_task("open-dft/metal"), ColumnNames("id", "metal")
    rules = competition_rules("best", 2, "2100-01-31T18:00+01:00")
    export_competition(task, 0, tmp_path, True, names, "", rules)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for host, other in ((True, NO_RULES), (False, NO_RULES), (True, CompetitionRules("best", 3))):
        with pytest.raises(InputError, match=r"with other rules \(keep best, limit 2, deadline 2100-01-31T17:00"):
            export_competition(task, 0, tmp_path, host, names, "", other)
    export_competition(task, 0, tmp_path, True, names, "", rules)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(("column", "field"), [("crystal id", "crystal_id"), ("pbc", "pbc_id"), ("id", "id")])
def test_ids_of_any_column_are_read_back_from_the_structures(column: str, field: str, tmp_path: Path):
    task = parse_task("open-dft/bulk-modulus")
    export_competition(task, 0, tmp_path, False, ColumnNames(column, "modulus"), "")
    first = next(iread(tmp_path / "participants" / "structures.extxyz", ":"))
    with (tmp_path / "participants" / "train.csv").open() as file:
        assert first.info[field] == next(csv.DictReader(file))[column]
    assert f"each with its id as `{field}`" in (tmp_path / "participants" / "data.md").read_text()
