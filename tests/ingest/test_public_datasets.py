"""Data sets of public boards: folds as published, whatever scikit-learn does; fetched whole and verified."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from public_board_files import JDFT, jarvis_files, jdft_files, publish, publish_jarvis, zipped
from pymatgen.core import Composition
from sklearn.model_selection import KFold, StratifiedKFold
from standin import Fault, StandIn, serving

from asugnn import InputError, download
from asugnn.crystal import ATOMIC_NUMBERS, reduced_formula
from asugnn.limits import LimitError
from leaderboard._util import use_workspace
from leaderboard.board import load_ground_truth
from leaderboard.data import MATBENCH, Task, find_source, load_dataset, parse_task, suite_tasks
from leaderboard.ingest import jarvis, json_stream, matbench
from leaderboard.ingest.compositions import reduce_composition
from leaderboard.ingest.fetch import fetch_dataset
from leaderboard.ingest.json_stream import stream_json
from leaderboard.running.plan import plan_runs
from leaderboard.splitting import fold_sides, read_split
from leaderboard.splitting.official import matbench_folds

LABELS_PATH, CRYSTALS_PATH = f"scripts/artifacts/{JDFT}.json.bz2", f"{JDFT}.json.gz"


@given(st.integers(10, 300), st.lists(st.booleans(), min_size=10, max_size=300))
def test_folds_are_those_of_scikit_learn(n: int, classes: list[bool]):
    expected = KFold(5, shuffle=True, random_state=18012019).split(np.zeros(n))
    assert all((np.flatnonzero(matbench_folds(n) == k) == test).all() for k, (_, test) in enumerate(expected))
    y = np.array(classes, dtype=float)
    if min(y.sum(), (1 - y).sum()) < 5:
        return  # which scikit-learn warns of, or refuses
    expected = StratifiedKFold(5, shuffle=True, random_state=18012019).split(y, y)
    assert all((np.flatnonzero(matbench_folds(len(y), y) == k) == test).all() for k, (_, test) in enumerate(expected))


def test_scikit_learn_has_no_part_in_a_split():
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import leaderboard.ingest.matbench\n"
        "from leaderboard.splitting import matbench_parts\n"
        "print(len(matbench_parts('matbench_x', [str(i) for i in range(99)], None)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "99\n"


ELEMENTS = ("H", "C", "N", "O", "F", "S", "Sc", "Sn", "Co", "Cs", "Ce", "Er", "Eu", "In", "Ga", "Fe")


@given(st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 12), min_size=1))
def test_compositions_are_reduced_like_crystals(amounts: dict[str, int]):
    numbers = [ATOMIC_NUMBERS[symbol] for symbol, n in amounts.items() for _ in range(n)]
    for text in (" ".join(f"{s}{n}" for s, n in amounts.items()), Composition(amounts).reduced_formula):
        assert reduce_composition(text) == reduced_formula(numbers)


def test_compositions_in_words():
    assert reduce_composition("Ag(AuS)2") == "AgAu2S2"
    assert reduce_composition("(Fe2(CO)3)2D2") == "C3Fe2HO3"
    assert reduce_composition("Fe0.62C0.000953") == "C0.000953Fe0.62"
    for text in ("", "Xx2", "Fe)", "(Fe", "fe", "Fe0", "Fe-1"):
        with pytest.raises(InputError, match="is not a composition"):
            reduce_composition(text)


def stream(text: str) -> list[tuple[str, object]]:
    return list(stream_json(io.BytesIO(text.encode())))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
    st.integers(1, 9),
)
def test_json_is_streamed_as_it_is_read_whole(content: object, chunk: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        if isinstance(content, list):
            assert stream(json.dumps(content)) == [("", item) for item in content]
        found = stream(json.dumps({"x": content, "rows": [content, 1.5]}))
    items = [("x", item) for item in content] if isinstance(content, list) else [("x", content)]
    assert found == [*items, ("rows", content), ("rows", 1.5)]


@pytest.mark.parametrize("text", ["", "[1, 2", '{"a": [1,', "[1] 2", "3", '{"a" 1}', "[1 2]", '{"a": [nul]}'])
def test_damaged_json_is_no_end_without_a_word(text: str):
    with pytest.raises(ValueError, match=r"it ends too early|belongs|follows"):
        stream(text)


def test_an_item_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_stream, "DOCUMENT_BYTES", 10)
    with pytest.raises(LimitError):
        stream('["' + "x" * 2**21 + '"]')


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The two servers of Matbench, with the files of a data set made from open-dft."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "PAUSE", 0.001)
    files = jdft_files()
    publish(monkeypatch, files, tmp_path / "files")
    with serving() as state:
        monkeypatch.setattr(matbench, "LABELS", state.url)
        monkeypatch.setattr(matbench, "CRYSTALS", state.url)
        state.files |= {f"/{path}": content for path, content in files.items()}
        yield state


def serve(state: StandIn, patch: pytest.MonkeyPatch, field: str, path: str, content: bytes) -> None:
    """Publish another file than before."""
    state.files[f"/{path}"] = content
    patch.setitem(MATBENCH, JDFT, replace(MATBENCH[JDFT], **{field: hashlib.sha256(content).hexdigest()}))


def task() -> Task:
    return parse_task(f"{JDFT}/exfoliation-energy")


def home() -> Path:
    return Path(os.environ["BENCH_DATA"]) / JDFT


def test_labels_are_enough_to_score_and_crystals_change_no_digest(server: StandIn, monkeypatch: pytest.MonkeyPatch):
    fetch_dataset(JDFT, labels_only=True)
    assert [path for path, _ in server.asked] == [f"/{LABELS_PATH}"]
    labels = load_dataset(find_source(JDFT))
    truth = load_ground_truth(task(), 3)
    assert len(truth.ids) == 8
    with pytest.raises(InputError, match=f"labels without crystals here: `bench data fetch {JDFT}` gets them"):
        plan_runs([task()], ["mean"], "quick", [], [0], {})
    fetch_dataset(JDFT)
    whole = load_dataset(find_source(JDFT))
    assert (labels.has_crystals, whole.has_crystals) == (False, True)
    assert (labels.sha256, labels.ids) == (whole.sha256, whole.ids)
    assert load_ground_truth(task(), 3).content_sha256 == truth.content_sha256
    assert len(plan_runs([task()], ["mean"], "quick", [], [0], {}, True)) == 5
    asked = len(server.asked)
    fetch_dataset(JDFT)
    assert len(server.asked) == asked  # nothing is downloaded twice


def test_a_tenth_of_the_training_side_validates_and_every_row_is_tested_once(server: StandIn):
    fetch_dataset(JDFT, labels_only=True)
    data = load_dataset(find_source(JDFT))
    split, tested = read_split(data, "official"), []
    for fold in range(5):
        sides = fold_sides(split, data, task().target, fold)
        assert sorted((*sides.train, *sides.validate, *sides.test)) == sorted(data.ids)
        assert 0 < len(sides.validate) < len(sides.train) / 4
        tested += sides.test
    assert sorted(tested) == sorted(data.ids)


def test_a_folder_of_downloaded_files_is_enough(server: StandIn, tmp_path: Path):
    flat = tmp_path / "downloads"
    flat.mkdir()
    for path in (LABELS_PATH, CRYSTALS_PATH):
        (flat / Path(path).name).write_bytes(server.files.pop(f"/{path}"))
    fetch_dataset(JDFT, flat)
    assert server.asked == []
    assert load_dataset(find_source(JDFT)).has_crystals
    assert (flat / CRYSTALS_PATH).is_file()  # the user's files are left alone
    with pytest.raises(InputError, match="there is no folder"):
        fetch_dataset("matbench_steels", tmp_path / "nowhere")
    with pytest.raises(InputError, match="'matbench_stels' to fetch; did you mean 'matbench_steels'"):
        fetch_dataset("matbench_stels")


def test_202_is_asked_again_and_is_never_content(server: StandIn):
    server.faults[f"/{CRYSTALS_PATH}"] = Fault("202", 3)
    fetch_dataset(JDFT)
    assert [path for path, _ in server.asked].count(f"/{CRYSTALS_PATH}") == 4


def test_a_cut_download_resumes(server: StandIn):
    server.faults[f"/{CRYSTALS_PATH}"] = Fault("cut", 1, after=500)
    fetch_dataset(JDFT)
    assert ("/" + CRYSTALS_PATH, "bytes=500-") in server.asked


def changed_crystals(change: Callable[[dict], None]) -> bytes:
    content = json.loads(gzip.decompress(jdft_files()[CRYSTALS_PATH]))
    change(content)
    return gzip.compress(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda c: c["columns"].__setitem__(1, "exfoliation energy"), "there is no 'exfoliation_en'"),
        (lambda c: c["columns"].__setitem__(0, "crystal"), "there is no 'structure'"),
        (lambda c: c["data"][3].__setitem__(1, 7.5), "states the label 7.5 of 'mb-jdft2d-004', and the file of labels"),
        (lambda c: c["data"].reverse(), "of 'mb-jdft2d-00.', and the file of labels"),
        (lambda c: c["data"].pop(), "has 39 crystals, and the file of labels 40"),
        (lambda c: c["data"][0][0]["sites"][0]["species"][0].update(element="Og"), "states the formula"),
        (lambda c: c["data"][0][0]["sites"][0]["species"][0].update(occu=0.5), "site 1 is partially occupied"),
        (lambda c: c.update(columns=c.pop("columns")), "cannot be read as structures of Matbench"),
    ],
)
def test_crystals_that_do_not_fit_the_labels_are_refused(server: StandIn, monkeypatch, content, sentence: str):
    serve(server, monkeypatch, "crystals_sha256", CRYSTALS_PATH, changed_crystals(content))
    with pytest.raises(InputError, match=sentence):
        fetch_dataset(JDFT)
    assert not (home() / "dataset.json").exists()
    assert not (home() / "data.parquet").exists()


@pytest.mark.parametrize("path", [LABELS_PATH, CRYSTALS_PATH])
def test_another_file_than_the_published_one_is_refused(server: StandIn, path: str):
    server.files[f"/{path}"] += b"x"
    with pytest.raises(InputError, match="is no longer the published file: its sha256 is not"):
        fetch_dataset(JDFT)
    assert not (home() / "dataset.json").exists()
    server.faults[f"/{path}"] = Fault("202", 99)
    with pytest.raises(InputError, match="the server says 202, that it is still preparing the file, 6 times in a row"):
        fetch_dataset(JDFT)
    server.faults[f"/{path}"] = Fault("204", 99)
    with pytest.raises(InputError, match="204 No Content, which brings no content"):
        fetch_dataset(JDFT)


def test_a_task_that_is_gone_is_named(server: StandIn, tmp_path: Path):
    del server.files[f"/{LABELS_PATH}"]
    with pytest.raises(InputError, match=f"there is no .*{LABELS_PATH} .*or name a folder that holds {JDFT}.json.bz2"):
        fetch_dataset(JDFT, tmp_path)


def test_labels_that_are_cut_or_renamed_are_refused(server: StandIn, monkeypatch: pytest.MonkeyPatch):
    whole = server.files[f"/{LABELS_PATH}"]
    renamed = bz2.compress(bz2.decompress(whole).replace(b"exfoliation_en", b"energy"))
    for content, sentence in (
        (whole[:-20], "cannot be read as a file of labels"),
        (renamed, "there is no 'exfoliation_en'"),
    ):
        serve(server, monkeypatch, "labels_sha256", LABELS_PATH, content)
        with pytest.raises(InputError, match=sentence):
            fetch_dataset(JDFT)
    fewer = json.loads(bz2.decompress(whole))
    for column in fewer.values():
        column.pop("39")
    serve(server, monkeypatch, "labels_sha256", LABELS_PATH, bz2.compress(json.dumps(fewer).encode()))
    with pytest.raises(InputError, match="would not be the published one"):
        fetch_dataset(JDFT)
    assert not (home() / "splits").exists()


def test_jarvis_is_fetched_from_figshare_by_its_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "PAUSE", 0.001)
    files = jarvis_files()
    publish_jarvis(monkeypatch, files, tmp_path / "files")
    with serving() as state:
        monkeypatch.setattr(jarvis, "LABELS", state.url)
        monkeypatch.setattr(jarvis, "FIGSHARE", f"{state.url}/v2/file/download")
        *labels, (crystals, packed) = files.items()
        state.files |= {f"/{path}": content for path, content in labels}
        state.redirects["/v2/file/download/26724977"] = f"{state.url}/s3/megnet.json.zip", {}
        for old, new, sentence in (
            (b'"e_form"', b'"e form"', "there is no 'e_form'"),
            (b'"id": "mp-3"', b'"id": "mp-x"', "lacks 1 crystals of jarvis_megnet, such as 'mp-3'"),
            (b'"gap pbe": ', b'"gap pbe": 1', "states the label"),
        ):
            text = (tmp_path / "files" / crystals).read_bytes()
            text = zipped("m.json", _unzip(text).replace(old.decode(), new.decode(), 1))
            state.files["/s3/megnet.json.zip"] = text
            with pytest.raises(InputError, match=sentence):
                fetch_dataset("jarvis_megnet")
        state.files["/s3/megnet.json.zip"] = packed
        state.faults["/s3/megnet.json.zip"] = Fault("202", 2)
        fetch_dataset("jarvis_megnet")
    data = load_dataset(find_source("jarvis_megnet"))
    energy, gap = suite_tasks("jarvis_megnet")
    split = read_split(data, "official")
    sides = [fold_sides(split, data, t.target, 0) for t in (energy, gap)]
    assert [tuple(map(len, (s.train, s.validate, s.test))) for s in sides] == [(28, 6, 6), (29, 6, 6)]
    assert set(sides[1].train) & set(sides[1].test) == {"mp-39"}
    assert len(data.crystals(data.ids)) == 40


def _unzip(content: bytes) -> str:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(archive.namelist()[0]).decode()


@pytest.fixture
def boards() -> Path:
    if not (named := os.environ.get("BENCH_BOARDS")):
        pytest.skip("BENCH_BOARDS names no folder of real boards: nothing was tested on their labels")
    return Path(named)


@pytest.mark.slow
def test_the_65_folds_of_matbench_are_those_of_its_entries(boards: Path, tmp_path: Path):
    with gzip.open(boards / "matbench/benchmarks/matbench_v0.1_rf/results.json.gz") as file:
        entry = json.load(file)["tasks"]
    with use_workspace(data=tmp_path):
        for official in suite_tasks("matbench"):
            fetch_dataset(official.source.name, boards / "matbench", labels_only=True)
            for fold in range(5):
                stored = entry[official.source.name]["results"][f"fold_{fold}"]["data"]
                assert load_ground_truth(official, fold).ids == tuple(stored)
