"""Croissant metadata of data sets: as mlcroissant reads it, and as the files are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlcroissant
import polars as pl
import pytest

from asugnn.atomic_write import file_sha256
from leaderboard.cli.app import main
from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import PACKAGE
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import ColumnNames
from leaderboard.splitting.split import read_split
from leaderboard.submissions.competition import export_competition

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")  # of a graph that rdflib itself uses
PACKAGED = PACKAGE / "_data" / "open-dft"
TYPES = {"sc:Text": pl.String, "sc:Boolean": pl.Boolean, "sc:Float": pl.Float64}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a data set that was imported: a label with a unit, and a class."""
    home = tmp_path_factory.mktemp("data")
    table = pl.read_parquet(PACKAGED / "open_dft.parquet").filter(pl.col("set") == "compound").head(60)
    table.with_columns((pl.col("band_gap") == 0).cast(float).alias("conducts")).write_parquet(home / "in.parquet")
    about = ["--title", 'Sixty "crystals" \u00e9', "--licence", "CC-BY-4.0", "--citation", "Somebody (2026)"]
    targets = ["--target", "band_gap:eV", "--target", "conducts"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_DATA", str(home))
        patch.setattr("sys.argv", ["bench", "data", "import", f"{home}/in.parquet", "--name", "mine", *targets, *about])
        with pytest.raises(SystemExit) as done:
            main()
    assert done.value.code == 0
    return home / "mine"


@pytest.fixture(scope="module")
def participants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("competition")
    export_competition(parse_task("open-dft/metal"), 0, out, False, ColumnNames("material_id", "is_metal"), "")
    return out / "participants"


def check_folder(folder: Path) -> tuple[mlcroissant.Dataset, dict[str, Any]]:
    """Every file that the metadata lists is that file, and mlcroissant has neither an error nor a warning."""
    file = folder / "croissant.json"
    read = mlcroissant.Dataset(jsonld=str(file))
    assert not read.metadata.ctx.issues.errors
    assert not read.metadata.ctx.issues.warnings
    plain = json.loads(file.read_text(encoding="utf-8"))
    assert plain["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    for part in plain["distribution"]:
        assert part["sha256"] == file_sha256(folder / part["contentUrl"])
        assert part["contentSize"] == f"{(folder / part['contentUrl']).stat().st_size} B"
    return read, plain


def check_parquet(fields: list[dict[str, Any]], file: Path) -> None:
    """The fields are the columns of a Parquet file, with their types."""
    schema = pl.read_parquet_schema(file)
    assert [field["name"] for field in fields] == list(schema)
    for field in fields:
        kind = schema[field["name"]]
        assert field.get("repeated", False) == isinstance(kind, pl.List), field
        inner = kind.inner if isinstance(kind, pl.List) else kind
        assert inner.is_integer() if field["dataType"] == "sc:Integer" else inner == TYPES[field["dataType"]], field
        assert field["description"]


def test_of_the_packaged_data_set():
    read, plain = check_folder(PACKAGED)
    check_parquet(plain["recordSet"][0]["field"], PACKAGED / "open_dft.parquet")
    assert read.metadata.license == ["https://spdx.org/licenses/MIT.html"]
    assert plain["distribution"][0]["sha256"] == load_dataset(parse_task("open-dft/metal").source).sha256


def test_of_an_imported_data_set_with_its_splits(imported: Path):
    read, plain = check_folder(imported)
    assert read.metadata.cite_as == "Somebody (2026)"
    assert 'Sixty "crystals" \u00e9. Source: ' in read.metadata.description
    check_parquet(plain["recordSet"][0]["field"], imported / "data.parquet")
    fields = {field["name"]: field["description"] for field in plain["recordSet"][0]["field"]}
    assert fields["band_gap"] == "label of the target band-gap, in eV"
    assert fields["conducts"] == "label of the target conducts, binary: 1 or 0"
    records = [{k: v.decode() for k, v in record.items()} for record in read.records("splits/random")]
    lines = (imported / "splits" / "random.csv").read_text().splitlines()[1:]
    assert [f"{r['splits/random/id']},{r['splits/random/part']}" for r in records] == lines


def test_of_a_competition(participants: Path):
    read, plain = check_folder(participants)
    assert {part["contentUrl"] for part in plain["distribution"]} == {
        "train.csv", "test.csv", "sample_submission.csv", "structures.extxyz"}  # fmt: skip
    for name in ("train", "test", "sample_submission"):
        header, *lines = (participants / f"{name}.csv").read_text().splitlines()
        records = list(read.records(name))
        assert len(records) == len(lines)
        assert list(records[0]) == [f"{name}/{column}" for column in header.split(",")]


def test_a_fault_is_seen(imported: Path, tmp_path: Path):
    plain = json.loads((imported / "croissant.json").read_text(encoding="utf-8"))
    plain["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "nothing"
    (tmp_path / "croissant.json").write_text(json.dumps(plain))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))


def test_a_data_set_without_it_is_as_valid_as_before(imported: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(imported.parent))
    (imported / "croissant.json").rename(imported / "away")
    try:
        data = load_dataset(parse_task("mine/band-gap").source)
        assert len(read_split(data, "random").id_to_part) == 60
    finally:
        (imported / "away").rename(imported / "croissant.json")
