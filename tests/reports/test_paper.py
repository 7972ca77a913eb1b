"""The paper's tables: what is quoted stands as printed, and what is measured is the board's."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from made import record_fields, write_perfect_run

from asugnn.errors import InputError
from leaderboard._util import markdown_text
from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.registry import PACKAGE
from leaderboard.data.tasks import Task, parse_task, suite_tasks
from leaderboard.records.run_folder import Run, open_run
from leaderboard.records.write_run import write_record
from leaderboard.reports.paper.figures import FIGURES
from leaderboard.reports.paper.stored_runs import paper_values
from leaderboard.reports.paper.tables import TABLES
from leaderboard.reports.publication_table import Cell, Column, Notes, Table, draw_table
from leaderboard.scoring.chemical_systems import add_system_offsets, score_by_system, system_names
from leaderboard.scoring.inference import PredictedFold
from leaderboard.site.pages import build_site

RUNS = PACKAGE / "runs"


def made(name: str, data: str = "", preset: str = "", models: tuple[str, ...] = (), root: Path = RUNS) -> dict:
    drawn, _ = TABLES[name](data, preset, models, root)
    found: dict = json.loads(draw_table(drawn, "json"))
    return found


def cells(found: dict, kind: str) -> list[dict]:
    return [cell for row in found["rows"] for cell in row["cells"] if cell.get("kind") == kind]


@pytest.mark.parametrize("name", TABLES)
def test_without_any_run_the_quoted_numbers_stand_and_a_command_is_named(name: str, tmp_path: Path):
    found = made(name, root=tmp_path)
    assert len(cells(found, "quoted")) >= 9
    assert cells(found, "measured") == []
    caption = " ".join(found["caption"])
    assert "nothing is measured on" in caption
    assert re.search(r"bench run (ablation|.*--model \S*asugnn).* --preset paper", caption)


def test_table_2_quotes_the_paper():
    found = made("table-2")
    rows = {row["cells"][0]["text"]: [c["text"] for c in row["cells"][2:]] for row in found["rows"]}
    assert rows == {
        "CGCNN": ["0.031 ± 0.004", "0.054", "0.388", "-", "-"],
        "MEGNet": ["0.028 ± 0.003", "0.050", "0.330", "78.9", "-"],
        "ALIGNN": ["0.022 ± 0.002", "1.017", "0.140", "92.0", "-"],
        "ASUGNN": ["0.020 ± 0.003", "0.081 ± 0.006", "0.370 ± 0.033", "82.4 ± 3.4", "0.92"],
    }


def test_different_quantities_in_one_column_carry_their_footnotes():
    found = made("table-2")
    alignn, megnet = (
        {c["value"]: c for c in row["cells"] if "value" in c} for row in (found["rows"][2], found["rows"][1])
    )
    assert "10.40 GPa" in alignn[1.017]["notes"][1]
    assert math.log10(10.40) == pytest.approx(1.017, abs=5e-4)
    assert "ROC-AUC" in alignn[92.0]["notes"][1]
    assert "metals only" in megnet[78.9]["notes"][1]
    assert all("JARVIS" in alignn[x]["source"] for x in (1.017, 0.140, 92.0))
    text = draw_table(TABLES["table-2"]("", "", (), RUNS)[0], "markdown")
    mark = re.search(r"1\.017<sup>\d,(\d)</sup>", text)
    assert mark
    assert f"- <sup>{mark[1]}</sup> log10 of a mean absolute error of 10.40 GPa" in text


def test_measured_numbers_are_those_of_the_board():
    suite = {t.name: t for t in suite_tasks("open-dft")}
    wanted = [suite[f"open-dft/{name}"] for name in ("formation-energy", "bulk-modulus", "band-gap", "metal")]
    rows, _ = rank_rows(RUNS, wanted, "quick")
    expected = {
        (row.task, row.preset, row.model, metric): (value.value, value.low)
        for row in rows
        for metric, value in row.metrics.items()
    }
    found = cells(made("table-2", "open-dft"), "measured")
    assert len(found) >= 35
    for cell in found:
        record = open_run(RUNS / cell["runs"][0])
        factor = {"metal": 100}.get(record.run.task.target.name, 1)
        metrics = ("mae",) if factor == 1 else ("accuracy", "roc_auc")
        values = [expected[record.run.task.name, cell["preset"], cell["model"], metric] for metric in metrics]
        assert any((cell["value"], cell["low"]) in [v, (v[0] * factor, v[1] and v[1] * factor)] for v in values)
        assert cell["n"] == record.record.raw["counts"]["test"] - len(record.record.raw.get("outside", ()))


def test_presets_are_not_mixed_and_quick_says_so(tmp_path: Path):
    shutil.copytree(RUNS / "open-dft", tmp_path / "open-dft")
    for target in ("formation-energy", "band-gap"):
        quick, hours = (tmp_path / f"open-dft/{target}@random/{preset}/forest" for preset in ("quick", "hours"))
        shutil.copytree(quick, hours)
        for folder in quick.iterdir():
            write_record(hours / folder.name, {**open_run(folder).record.raw, "preset": "hours"})
    found = made("table-2", "open-dft", root=tmp_path)
    assert {cell["preset"] for cell in cells(found, "measured")} == {"hours", "pretrained"}
    found = made("table-2", "open-dft", "quick", root=tmp_path)
    assert {cell["preset"] for cell in cells(found, "measured")} == {"quick", "pretrained"}
    assert "quick preset: trained for minutes; do not cite" in found["caption"]
    with pytest.raises(InputError, match="no runs of preset 'paper' are stored for open-dft; stored: hours, quick"):
        made("table-2", "open-dft", "paper", root=tmp_path)


def test_several_folds_show_mean_and_deviation(tmp_path: Path):
    """Two folds of a made-up model that is off by a known number on every crystal."""
    task = parse_task("open-dft/bulk-modulus")
    for fold, off in ((0, 0.1), (1, 0.3)):
        held = load_ground_truth(task, fold)
        _store(tmp_path, task, fold, "asugnn", held.ids, held.y + off, held.split_sha256, {})
    (cell,) = cells(made("table-2", "open-dft", root=tmp_path), "measured")
    assert cell["text"] == "0.200 ± 0.141"
    assert cell["runs"] == [f"open-dft/bulk-modulus@random/quick/asugnn/{fold}-0" for fold in (0, 1)]


def test_a_run_of_a_fold_that_does_not_exist_is_named_and_not_shown(tmp_path: Path):
    task = parse_task("open-dft/bulk-modulus")
    truth = load_ground_truth(task, 0)
    for fold in (0, 99):
        _store(tmp_path, task, fold, "asugnn", truth.ids, truth.y, truth.split_sha256, {})
    table = made("table-2", "open-dft", root=tmp_path)
    assert [cell["runs"] for cell in cells(table, "measured")] == [["open-dft/bulk-modulus@random/quick/asugnn/0-0"]]
    _, notes = build_site(tmp_path, tmp_path / "site")
    assert any("there is no fold 99" in note for note in notes)
    assert "there is no fold 99" in (tmp_path / "site/index.html").read_text()
    (page,) = (tmp_path / "site/runs").rglob("index.html")
    assert page.parent.name == "0-0"


def test_the_ablation_is_found_by_settings_and_not_by_names(tmp_path: Path):
    task = parse_task("open-dft/formation-energy")
    held = load_ground_truth(task, 0)
    rows = {
        "asugnn": {},
        "odd-name": {"first": "dam", "second": "asuam", "windows": 14},  # which is the default
        "asugnn+xrd=false": {"xrd": False},
        "asugnn+width=384": {"width": 384},
        "asugnn+epochs=7+first=dam+second=dam": {"first": "dam", "second": "dam", "epochs": 7},  # trained otherwise
    }
    for i, (name, changed) in enumerate(rows.items()):
        _store(tmp_path, task, 0, name, held.ids, held.y + 0.1 * (i + 1), held.split_sha256, changed)
    found = made("table-1", "open-dft", root=tmp_path)
    texts = {}
    for row in found["rows"]:
        first, second, powder, _, _, quote, width, _, mae = (cell["text"] for cell in row["cells"])
        texts[row["heading"][:5], first, second, powder, width] = quote, mae
    assert texts["order", "ASUAM", "DAM", "yes", "64"] == ("0.017", "0.100")
    assert texts["order", "DAM", "ASUAM", "yes", "64"] == ("0.022", "0.200")
    assert texts["order", "DAM", "DAM", "yes", "-"] == ("0.044", "-")
    assert texts["dimen", "ASUAM", "DAM", "yes", "384"] == ("0.032", "0.400")
    assert texts["dimen", "ASUAM", "DAM", "yes", "64"] == ("-", "0.100")
    assert texts["powde", "ASUAM", "DAM", "masked", "64"] == ("0.043", "0.300")
    assert "bench run ablation --task open-dft/formation-energy --preset quick" in " ".join(found["caption"])


def _store(root: Path, task: Task, fold: int, name: str, ids, p, sha256: str, changed: dict) -> None:
    from leaderboard.records.predictions_csv import write_predictions

    run = Run(task, "quick", name, fold, 0)
    folder = run.folder(root)
    write_predictions(folder / "predictions.csv", ids, task.target.name, p)
    about = record_fields(
        run,
        entry="asugnn",
        settings={"first": "asuam", "second": "dam", "width": 64, "epochs": 30, **changed},
        split={"rule": task.rule, "version": 1, "sha256": sha256},
        counts={"train": 1},
        parameters=1000,
    )
    write_record(folder, about)


def test_systems_by_hand():
    assert system_names(["Ag", "Ag4", "Fe", "C", "CFe3", "C2Fe", "AlNi"]).tolist() == [
        "Ag", "Ag", "Fe-C", "Fe-C", "Fe-C", "Fe-C", "Al-Ni",
    ]  # fmt: skip
    y, p = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0, 1.0])
    formulas = ["Ag", "Ag2", "Fe", "CFe3"]
    assert add_system_offsets(y, p, formulas).tolist() == [0.0, 1.0, 3.0, 3.0]
    found = score_by_system([(PredictedFold(y, p, ["a", "b", "c", "d"]), formulas)])
    assert {name: (s.n, s.offset) for name, s in found.items()} == {
        "all": (4, None), "Ag": (2, -1.0), "Fe-C": (2, 2.0),
    }  # fmt: skip
    assert found["all"].raw["mae"].value == 1.5
    assert found["all"].shifted["mae"].value == 0.5
    assert found["Fe-C"].raw["mae"].value == 2.0
    assert found["Fe-C"].shifted["r2"].value == 0.0


def test_zero_shot_over_all_systems_is_the_row_of_the_board():
    rows, _ = rank_rows(RUNS, [parse_task("open-dft/zero-shot")], "quick")
    expected = {(row.preset, row.model): row.metrics["rmse"] for row in rows}
    found = made("zero-shot", "open-dft")
    compared = 0
    for row in found["rows"]:
        if row["cells"][1]["text"] == "all":
            rmse = row["cells"][4]
            value = expected[rmse["preset"], rmse["model"]]
            assert (rmse["value"], rmse["low"], rmse["high"]) == (value.value, value.low, value.high)
            assert (
                sum(r["cells"][3]["n"] for r in found["rows"] if r["cells"][3]["runs"] == rmse["runs"]) == 2 * rmse["n"]
            )
            compared += 1
    assert compared == len(rows)


def test_the_ablation_is_shown_where_other_models_alone_are_stored(tmp_path: Path):
    root = tmp_path / "runs"
    variants = shutil.ignore_patterns("asugnn*")
    shutil.copytree(RUNS, root, ignore=lambda folder, names: variants(folder, names) if "mp-2018" in folder else [])
    caption = " ".join(made("table-1", "mp-2018", root=root)["caption"])
    assert "nothing is measured on mp-2018 there are runs on other data: --data open-dft" in caption
    assert "10 rows are not measured: bench run ablation --task mp-2018/formation-energy" in caption


def test_runs_whose_labels_are_not_at_hand_are_not_called_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    found = made("table-2", "mp-2018")
    assert found["caption"][1] == "the runs on mp-2018 cannot be scored"
    assert "mp-2018 is not in the package: name the folder of mp_subset.parquet" in found["caption"][2]
    with pytest.raises(InputError, match=r"cgcnn has no run of .* on mp-2018; .* is not in the package"):
        FIGURES["figure-4"]("mp-2018", "", ("cgcnn",), RUNS)


def test_models_can_be_chosen():
    with pytest.raises(InputError, match="no run of 'megnt' is stored on open-dft; did you mean 'megnet'"):
        made("table-2", "open-dft", models=("megnt",))
    titles = [row["heading"] for row in made("zero-shot", "open-dft", models=("asugnn", "m3gnet:pretrained"))["rows"]]
    assert list(dict.fromkeys(titles)) == ["M3GNet", "ASUGNN"]


def test_no_text_of_a_row_is_markup_in_any_format():
    name = r"a_b|<i>&%[x]\^~$#{}"
    drawn = Table("t", name, [Column(name, name, right=False)], [name, [Cell(name, name, ("1",))]], {"1": name}, [name])
    markdown, latex, terminal = (draw_table(drawn, form) for form in ("markdown", "latex", "table"))
    assert markdown.count(markdown_text(name)) == 8
    assert not re.search(r"(?<!\\)[_%#]", latex)
    assert r"\textbar{}\textless{}i\textgreater{}\&\%[x]\textbackslash{}" in latex
    assert terminal.count(name) == 8
    assert json.loads(draw_table(drawn, "json"))["rows"][0]["cells"][0]["text"] == name


def test_notes_are_numbered_for_quotes_and_lettered_for_measurements():
    notes = Notes()
    assert [notes.mark(s, m) for s, m in (("x", True), ("y", False), ("x", True), ("z", False))] == ["a", "1", "a", "2"]
    letters = [notes.mark(str(i), measured=True) for i in range(27)]
    assert letters[-3:] == ["z", "aa", "ab"]
    assert list(notes.all())[:4] == ["1", "2", "a", "b"]


def test_a_data_set_without_the_targets_is_named():
    with pytest.raises(InputError, match="data set mp-2018 has no target zero-shot"):
        made("zero-shot", "mp-2018")
    with pytest.raises(InputError, match="data set 'mp-2019' is not known here"):
        made("table-2", "mp-2019")
    assert paper_values()["table-1"][0]["rows"][0]["mae"] == "0.044"


@pytest.mark.parametrize(("name", "data"), [("table-1", ""), ("table-2", "open-dft"), ("zero-shot", "open-dft")])
def test_latex_is_whole(name: str, data: str):
    drawn, _ = TABLES[name](data, "", (), RUNS)
    text = draw_table(drawn, "latex")
    plain = re.sub(r"\\[{}&]", "", text)
    assert plain.count("{") == plain.count("}")
    body = plain[plain.index(r"\midrule") : plain.index(r"\bottomrule")].splitlines()[1:]
    rows = [line for line in body if not line.startswith(r"\multicolumn")]
    assert {line.count("&") for line in rows} == {len(drawn.columns) - 1}
    assert all(line.endswith((r"\\", r"\\[2pt]")) for line in rows)
    assert text.isascii()


def test_a_model_in_a_file_has_the_name_that_the_board_shows(tmp_path: Path):
    for target in ("formation-energy", "bulk-modulus", "band-gap", "metal"):
        run = Run(parse_task(f"open-dft/{target}"), "quick", "my_model.Ridge", 0, 0)
        write_perfect_run(run, tmp_path, entry="my_model.py:Ridge")
    for models in ((), ("my_model.Ridge",), ("my_model.py:Ridge",)):
        text = draw_table(TABLES["table-2"]("open-dft", "", models, tmp_path)[0], "table")
        assert "my_model.Ridge" in text
        assert "my_model.py" not in text
