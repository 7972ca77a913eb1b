"""mp-2024-1 from a stand-in for the bucket and for the API: what is kept, what falls by which rule, interruptions."""

import csv
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import materials
import numpy as np
import polars as pl
import pytest
from standin import Fault, StandIn, serving

from asugnn import Crystal, InputError, download
from asugnn.crystal import reduced_formula
from asugnn.download import _Attempt, download_file
from leaderboard.data.dataset import _opened, crystal_from_row, load_dataset
from leaderboard.data.registry import find_source, read_description, source_provenance
from leaderboard.ingest import materials_project
from leaderboard.ingest.materials_project import _files, build_dataset, list_bucket
from leaderboard.ingest.screening import RULES, screen_document, screening_report
from leaderboard.splitting.split import read_split

BUCKET = materials.BUCKET
SUMMARY = f"{BUCKET}/{materials.PREFIX}"


@pytest.fixture(scope="module")
def documents() -> materials.Documents:
    return materials.documents()


@pytest.fixture
def some(documents: materials.Documents) -> materials.Documents:
    """Two files, so that tests are quick; the lists are copies."""
    keys = sorted(documents, key=lambda key: len(documents[key]))[:2]
    return {key: json.loads(json.dumps(documents[key])) for key in keys}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "PAUSE", 0.001)
    return tmp_path / "data" / "mp-2024-1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    with serving() as state:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", state.url)
        monkeypatch.setenv("MP_API_ENDPOINT", state.url)
        yield state


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch):
    """Threads for the processes, which take a second to start; one test has real ones."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(materials_project, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))


def excluded(home: Path) -> list[tuple[str, ...]]:
    with (home / "excluded.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "rule", "detail"]
    return [tuple(row) for row in rows]


@pytest.mark.slow
def test_all_labels_arrive(documents: materials.Documents, home: Path, server: StandIn):
    materials.bucket(documents, server, page=7)
    made, counts = build_dataset()
    data = load_dataset(made)
    every = {doc["material_id"]: doc for lines in documents.values() for doc in lines}
    repeated = {name for name, rule, _ in excluded(home) if rule == "duplicate"}  # two prototypes may be one structure
    assert len(repeated) < 5
    assert set(data.ids) | repeated == set(every)
    assert data.ids[:3] == ("mp-1", "mp-2", "mp-3")
    labels = {t.name: dict(zip(data.ids, data.labels(t).tolist(), strict=True)) for t in made.targets}
    for name in data.ids:
        doc = every[name]
        assert labels["formation-energy"][name] == doc["formation_energy_per_atom"]
        assert labels["metal"][name] == doc["is_metal"]
        known = doc["bulk_modulus"]["voigt"] if doc["bulk_modulus"] else np.nan
        assert labels["bulk-modulus"][name] == pytest.approx(np.log10(known), nan_ok=True)
        sites = doc["structure"]["sites"]
        (crystal,) = data.crystals([name])
        assert crystal.frac_coords.tolist() == [site["abc"] for site in sites]
    assert counts["listed"] == counts["kept"] + len(repeated) == len(every)
    assert counts["bulk_modulus_voigt"] == sum(every[name]["bulk_modulus"] is not None for name in data.ids)
    assert not (home / "parts").exists()
    about = source_provenance(made)
    assert about["version"] == "2023-11-01"
    assert about["licence"] == "CC-BY-4.0"
    assert about["source"].startswith(server.url)
    asked = len(server.asked)
    assert build_dataset() == (made, counts)  # there already
    assert len(server.asked) == asked


def test_what_falls_is_counted_and_listed(some: materials.Documents, home: Path, server: StandIn):
    lines = some[max(some, key=lambda key: len(some[key]))]
    first = lines[0]
    base = int(first["material_id"].removeprefix("mp-"))

    def planted(name: str, **changes: object) -> None:
        lines.append({**json.loads(json.dumps(first)), "material_id": name, **changes})

    structure = first["structure"]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    lattice = np.array(structure["lattice"]["matrix"]) @ turn
    sites = [{**s, "abc": (np.array(s["abc"]) + 0.3).tolist()} for s in reversed(structure["sites"])]
    planted("mp-9001", structure={**structure, "lattice": {"matrix": lattice.tolist()}, "sites": sites})
    planted("mp-9002", symmetry={"number": 2})
    planted("mp-9003", symmetry={})
    planted("mp-9004", deprecated=True)
    planted("mp-9005", structure=None)
    planted("mp-9006", structure={**structure, "sites": [{**s, "abc": [0, 0, 0]} for s in [*structure["sites"]] * 2]})
    planted("mp-9007", structure={"lattice": structure["lattice"]})
    lines.append("{ this is no JSON")
    lines.append(json.dumps({"formula_pretty": "X"}))
    lines.append(json.dumps([1, 2]))
    lines.append(dict(first))
    wide = (np.array(structure["lattice"]["matrix"]) * 1.1).tolist()
    for name, modulus in (("mp-9008", -652384.0), ("mp-9009", 0.0), ("mp-9010", 1e9)):
        stretched = (np.array(wide) * (1 + 0.1 * int(name[-1]))).tolist()
        planted(
            name, structure={**structure, "lattice": {"matrix": stretched}}, bulk_modulus={"voigt": modulus, "vrh": 9.0}
        )
    kept = sum(len(v) for v in some.values()) - 11
    materials.bucket(some, server)
    made, counts = build_dataset()
    rules = {(name, rule) for name, rule, _ in excluded(home)}
    assert {
        ("mp-9001", "duplicate"), ("mp-9002", "space-group"), ("mp-9003", "broken-symmetry"), ("mp-9004", "deprecated"),
        ("mp-9005", "unreadable"), ("mp-9006", "unreadable"), ("mp-9007", "unreadable"), (f"mp-{base}", "id-twice"),
        ("mp-9008", "bulk-modulus"), ("mp-9009", "bulk-modulus"), ("mp-9010", "bulk-modulus"),
    } <= rules  # fmt: skip
    assert len(rules) == 14
    details = {name: detail for name, _, detail in excluded(home)}
    assert details["mp-9001"] == f"the same structure as mp-{base}"
    assert details["mp-9002"] == f"2 in the database, {first['symmetry']['number']} by spglib"
    assert details["mp-9008"] == "-652384 GPa: only this label is left out"
    assert details["mp-9007"] == "it is neither a pymatgen structure nor an ASE database"
    assert counts["kept"] == kept
    assert counts["listed"] == sum(len(v) for v in some.values()) - 1
    assert counts["listed"] - sum(counts[r] for r in RULES if r != "deprecated") == counts["kept"]
    assert (counts["unreadable"], counts["duplicate"], counts["space-group"], counts["bulk-modulus"]) == (6, 1, 1, 3)
    assert {"mp-9008", "mp-9009"} <= set(load_dataset(made).ids)  # they keep their other labels
    text = screening_report(counts)
    assert "154,718" in text
    assert "111,120" in text
    assert "1 that the database has withdrawn" in text


def test_a_crystal_without_symmetry_falls(monkeypatch: pytest.MonkeyPatch):
    import spglib

    document = materials.document("mp-1", Crystal(4 * np.eye(3), [[0, 0, 0]], [26]), 0.0, None, None)
    assert screen_document("x", document)["space_group"] == 221
    monkeypatch.setattr(spglib, "get_symmetry_dataset", lambda *_, **__: None)
    row = screen_document("x", document)
    assert (row["rule"], row["detail"]) == ("broken-symmetry", "spglib finds none at 0.001 angstrom")


@pytest.mark.parametrize(
    ("modulus", "kept"), [(0.99, None), (1.0, 1.0), (500.0, 500.0), (500.1, None), (-652384.0, None)]
)
def test_a_bulk_modulus_from_1_to_500_gpa_is_kept(modulus: float, kept: float | None):
    document = materials.document("mp-1", Crystal(4 * np.eye(3), [[0, 0, 0]], [26]), 0.0, None, modulus)
    row = screen_document("x", document)
    assert (row["rule"], row["modulus"], row["bulk_modulus_voigt"]) == ("", modulus, kept)


@pytest.mark.parametrize("odd", [80.0, [221], "none", {"voigt": "high"}])
def test_odd_entries_of_a_document_are_no_labels_and_end_nothing(odd: object):
    document = materials.document("mp-1", Crystal(4 * np.eye(3), [[0, 0, 0]], [26]), 0.0, None, None)
    assert screen_document("x", {**document, "symmetry": odd})["rule"] == "broken-symmetry"
    row = screen_document("x", {**document, "bulk_modulus": odd})
    assert (row["rule"], row["bulk_modulus_voigt"]) == ("", None)


def test_older_documents_name_the_modulus_otherwise():
    crystal = Crystal(4 * np.eye(3), [[0, 0, 0]], [26])
    document = materials.document("mp-1", crystal, 0.0, None, None)
    row = screen_document("x", {**document, "k_voigt": 100.0, "band_gap": float("nan")})
    assert row["bulk_modulus_voigt"] == 100
    assert row["band_gap"] is None


def test_splits_keep_near_duplicates_together_and_are_the_same_everywhere(
    some: materials.Documents, home: Path, server: StandIn
):
    materials.bucket(some, server)
    made, _ = build_dataset()
    before = read_split(load_dataset(made), "random")
    sha256 = load_dataset(made).sha256
    shutil.rmtree(home)
    _opened.clear()
    lines = next(iter(some.values()))
    near = json.loads(json.dumps(lines[0]))
    near["material_id"], number = "mp-99999", near["symmetry"]["number"]
    matrix = np.array(near["structure"]["lattice"]["matrix"])
    near["structure"]["lattice"]["matrix"] = (matrix * 1.001).tolist()
    near["symmetry"]["number"] = number
    again = {"nelements=9/symmetry_number=1.jsonl.gz": [doc for v in reversed(some.values()) for doc in reversed(v)]}
    materials.bucket(again, server)  # other files, another order: the same data set
    server.files = {k: v for k, v in server.files.items() if "nelements=9" in k}
    made, _ = build_dataset()
    assert load_dataset(made).sha256 == sha256
    assert read_split(load_dataset(made), "random").sha256 == before.sha256


def test_another_tolerance_makes_another_data_set(some: materials.Documents, home: Path, server: StandIn):
    """An atom is 1e-4 angstrom off its place: in the group for the embedding, not for spglib's default."""
    moved = next(doc for lines in some.values() for doc in lines if len(doc["structure"]["sites"]) > 1)
    lengths = np.linalg.norm(moved["structure"]["lattice"]["matrix"], axis=1)
    site = moved["structure"]["sites"][1]
    site["abc"] = (np.array(site["abc"]) + [1e-4, 2e-4, 1.5e-4] / lengths).tolist()
    materials.bucket(some, server)
    one, counts = build_dataset()
    other, fewer = build_dataset(symprec=1e-5)
    assert (one.name, other.name) == ("mp-2024-1", "mp-2024-1-symprec-1e-05")
    assert (counts["space-group"], fewer["space-group"]) == (0, 1)
    assert set(load_dataset(one).ids) - set(load_dataset(other).ids) == {moved["material_id"]}
    assert [read_description(source.folder)["symprec"] for source in (one, other)] == [1e-3, 1e-5]


@pytest.mark.parametrize("fault", [Fault("503", 2), Fault("cut", 2, 50), Fault("429", 1, headers={"Retry-After": "0"})])
def test_faults_that_pass_do_not_show(fault: Fault, some: materials.Documents, home: Path, server: StandIn):
    materials.bucket(some, server)
    server.faults[SUMMARY + next(iter(some))] = fault
    server.faults[f"{BUCKET}/"] = Fault("500", 1)
    _, counts = build_dataset()
    assert counts["kept"] == sum(map(len, some.values()))
    assert fault.times == 0


def test_what_is_done_is_not_done_again(
    some: materials.Documents, home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(download, "MAX_ATTEMPTS", 1)
    materials.bucket(some, server)
    other = SUMMARY + max(some)
    server.faults[other] = Fault("cut", 1, 10)
    with pytest.raises(InputError, match=r"broke off after .* repeat the command to resume"):
        build_dataset()
    assert not (home / "data.parquet").exists()
    done = {p.name for p in (home / "parts").glob("*.parquet")}
    server.faults.clear()
    server.asked.clear()
    build_dataset()
    asked = [(path, part) for path, part in server.asked if path.startswith(SUMMARY)]
    assert all(part == "bytes=10-" for path, part in asked if path == other)
    assert 1 <= len(asked) <= 2 - len(done)  # a file may have come whole, and not yet be read, when the other broke off


def test_a_file_that_changed_is_made_anew(some: materials.Documents, home: Path, server: StandIn):
    materials.bucket(some, server)
    one, other = sorted(some)
    server.faults[SUMMARY + other] = Fault("403", 1)
    with pytest.raises(InputError, match="HTTP 403"):
        build_dataset()
    some[one] = some[one][:1]
    materials.bucket(some, server)
    _, counts = build_dataset()
    assert counts["kept"] == 1 + len(some[other])


def test_a_damaged_file_is_gone_and_said(some: materials.Documents, home: Path, server: StandIn):
    key = next(iter(some))
    materials.bucket(some, server)
    content = bytearray(server.files[SUMMARY + key])
    content[len(content) // 2] ^= 0xFF
    whole, server.files[SUMMARY + key] = server.files[SUMMARY + key], bytes(content)
    with pytest.raises(
        InputError, match=r"cannot be read as a file of documents: .* repeat the command to download it again"
    ):
        build_dataset()
    server.files[SUMMARY + key] = whole
    _, counts = build_dataset()
    assert counts["kept"] == sum(map(len, some.values()))


def test_a_bucket_of_another_layout_says_what_it_has(home: Path, server: StandIn):
    materials.bucket({}, server)
    with pytest.raises(
        InputError, match=r"no longer has collections/2023-11-01/summary/.*; there is: .*summary/, .*-01/"
    ):
        build_dataset()
    server.pages[f"{BUCKET}/"] = lambda *_: (200, b"<html>hello")
    with pytest.raises(InputError, match="does not answer as a bucket does"):
        build_dataset()
    xml = f"<Contents><Key>{materials.PREFIX}../../../x;.jsonl.gz</Key><ETag>1</ETag><Size>1</Size></Contents>"
    server.pages[f"{BUCKET}/"] = lambda *_: (200, materials._xml(xml, ""))
    with pytest.raises(InputError, match="which is not a safe name of a file"):
        build_dataset()


def test_the_api_is_a_data_set_of_its_version(
    some: materials.Documents, home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(materials_project, "PAGE", 3)
    materials.api(some, server)
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(InputError, match="--api needs a key"):
        build_dataset(api=True)
    monkeypatch.setenv("MP_API_KEY", "wrong")
    with pytest.raises(InputError, match="HTTP 403"):
        build_dataset(api=True)
    monkeypatch.setenv("MP_API_KEY", "k" * 32)
    made, counts = build_dataset(api=True)
    assert made.name == "mp-2025-09-25"
    assert counts["kept"] == sum(map(len, some.values()))
    data = load_dataset(made)
    units = [(t.name, t.kind, t.unit) for t in made.targets]
    assert units == [(t.name, t.kind, t.unit) for t in find_source("mp-2024-1").targets]
    every = {doc["material_id"]: doc for v in some.values() for doc in v}
    metal = data.labels(next(t for t in made.targets if t.name == "metal"))
    assert metal.tolist() == [every[i]["is_metal"] for i in data.ids]
    assert "k" * 32 not in (made.folder / "dataset.json").read_text(encoding="utf-8")
    materials.api(some, server, version="2023.11.1")
    assert build_dataset(api=True)[0].name == "mp-2024-1"


def test_an_api_that_changes_meanwhile_is_refused(
    some: materials.Documents, home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MP_API_KEY", "k" * 32)
    materials.api(some, server)
    monkeypatch.setattr(materials_project, "_api_version", lambda: "2024-01-01")
    with pytest.raises(InputError, match="serves version 2025-09-25 now, and 2024-01-01 before"):
        build_dataset(api=True)
    monkeypatch.undo()


def test_an_api_that_leaves_documents_out_is_refused(
    some: materials.Documents, home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(materials_project, "PAGE", 3)
    monkeypatch.setenv("MP_API_KEY", "k" * 32)
    materials.api(some, server)
    whole = server.pages["/materials/summary/"]

    def short(query: dict[str, str], headers: Any) -> tuple[int, bytes]:
        status, content = whole(query, headers)
        page = json.loads(content)
        return status, json.dumps({**page, "data": page["data"][: 1 if query["_limit"] == "2" else None]}).encode()

    server.pages["/materials/summary/"] = short
    with pytest.raises(InputError, match="gave 1 documents, not 2; finished downloads are kept"):
        build_dataset(api=True)


PROGRAM = """
import sys
from leaderboard.ingest.materials_project import build_dataset
if __name__ == "__main__":
    print(build_dataset()[1]["kept"])
"""


@pytest.mark.slow
def test_killed_at_any_time_it_goes_on(documents: materials.Documents, home: Path, server: StandIn):
    """With real processes, which end with the one that is killed; each attempt is killed a little later."""
    materials.bucket(documents, server)
    script = home.parent.parent / "program.py"
    script.write_text(PROGRAM, encoding="utf-8")
    seconds = 2.0
    while True:
        process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ)
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        out, _ = process.communicate()  # which waits for all that hold the pipe
        killer.cancel()
        if process.returncode == 0:
            break
        assert not (home / "dataset.json").exists()
        seconds *= 1.5
    assert int(out) > 270
    assert not (home / "parts").exists()


@pytest.mark.slow
def test_thirty_thousand_crystals_in_ten_minutes(data: Path, home: Path, server: StandIn):
    """mp_subset in files of the bucket's form: the figures of docs/data.md, which `pytest -s` shows."""
    out: dict[str, list[str]] = {}
    for row in pl.read_parquet(data / "mp_subset.parquet").iter_rows(named=True):
        crystal = crystal_from_row(row["lattice"], row["frac_coords"], row["atomic_numbers"])
        labels = (row["e_form_2018"], row["band_gap_2018"], row["bulk_modulus_vrh"])
        doc = materials.document(row["material_id"], crystal, *labels)
        key = f"nelements={doc['nelements']}/symmetry_number={doc['symmetry']['number']}.jsonl.gz"
        out.setdefault(key, []).append(json.dumps(doc))
    materials.bucket(out, server)
    script = home.parent.parent / "program.py"
    script.write_text(PROGRAM, encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, str(script)], check=True, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counts = read_description(home)["screening"]
    print(f"{len(out)} files, {seconds:.0f} s of processor time, {after.ru_maxrss / 2**20:.2f} GB\n{counts}")
    assert seconds < 2 * 600
    assert after.ru_maxrss < 3 * 2**20
    assert counts["listed"] == 33032
    assert counts["kept"] == 33032 - counts["space-group"] - counts["duplicate"]


@pytest.mark.slow
def test_how_many_space_groups_depend_on_the_tolerance(data: Path):
    """The shares that docs/data.md states."""
    table = pl.read_parquet(data / "mp_subset.parquet").sample(3000, seed=1)
    differ = dict.fromkeys((1e-2, 1e-3, 1e-5), 0)
    for row in table.iter_rows(named=True):
        crystal = crystal_from_row(row["lattice"], row["frac_coords"], row["atomic_numbers"])
        stated = materials.number(crystal)
        for tolerance in differ:
            differ[tolerance] += materials.number(crystal, tolerance, -1.0) != stated
    print({tolerance: f"{n / len(table):.1%}" for tolerance, n in differ.items()})
    every = pl.read_parquet(data / "mp_subset.parquet")["atomic_numbers"].to_list()
    repeated = 1 - len({reduced_formula(np.array(numbers)) for numbers in every}) / len(every)
    print(
        f"{repeated:.1%} share the formula of another, {1 - (1 - repeated) * (1 - differ[1e-5] / len(table)):.1%} with"
    )
    assert 0.17 < repeated < 0.2
    assert differ[1e-2] < differ[1e-3] < 0.03 * len(table) < differ[1e-5]


S3 = """
from moto.server import ThreadedMotoServer
import sys
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


def test_the_bucket_as_another_s3_has_it(
    some: materials.Documents, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """moto, an S3 that is not of our making, filled by Amazon's own client."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("moto")
    command = [sys.executable, "-W", "ignore", "-c", S3]
    pages = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "5"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=pages
    )
    try:
        assert process.stdout
        _, port = process.stdout.readline().split()
        url = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=url, **keys)
        client.create_bucket(Bucket=materials_project.BUCKET)
        for key, lines in some.items():
            body = materials.packed(lines)
            client.put_object(Bucket=materials_project.BUCKET, Key=materials.PREFIX + key, Body=body, ACL="public-read")
        for i in range(12):  # more than one page of a listing
            client.put_object(Bucket=materials_project.BUCKET, Key=f"many/{i:04} a+b&c", Body=b"")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        found = list_bucket("many/")
        assert [entry["Key"] for entry in found] == [f"many/{i:04} a+b&c" for i in range(12)]
        assert [f["Prefix"] for f in list_bucket("", folders=True)] == ["collections/", "many/"]
        file = _files()[0]
        attempt = _Attempt(file.url, tmp_path / "a", file.size, lambda _: None)
        with monkeypatch.context() as patch, pytest.raises(InputError):
            patch.setattr(download, "CHUNK", 50)
            chunks = iter([50])
            patch.setattr(attempt, "advance", lambda _: next(chunks, None) or _cut())
            attempt()
        assert attempt.received() > 0
        download_file(file.url, tmp_path / "a", size=file.size)
        assert gzip.decompress((tmp_path / "a").read_bytes())
        _, counts = build_dataset()
        assert counts["kept"] == sum(map(len, some.values()))
    finally:
        process.kill()
        process.communicate()


def _cut() -> None:
    raise InputError("cut")
