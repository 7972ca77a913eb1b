"""The paper's figures: what a journal and its readers ask of them, and that the same runs give the same bytes."""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from asugnn.errors import InputError
from leaderboard.board import load_ground_truth
from leaderboard.data.registry import PACKAGE
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import open_run
from leaderboard.records.write_run import write_record
from leaderboard.reports.paper.figures import FIGURES, PaperFigure, figure_5, model_panels
from leaderboard.reports.paper.panels import BLUE, COLOURS, MARKERS, STYLE, VERMILION
from leaderboard.reports.paper.stored_runs import load_paper_runs

RUNS = PACKAGE / "runs"
CASES = [
    ("figure-3", ()),
    ("figure-4", ()),
    ("figure-4", ("cgcnn",)),
    ("figure-5", ()),
    ("figure-5", ("forest", "mean")),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join([case[0], *case[1]]))
def drawn(request: pytest.FixtureRequest) -> PaperFigure:
    name, models = request.param
    with mpl.rc_context(STYLE):
        made = FIGURES[name]("open-dft", "", models, RUNS)
        made.figure.draw_without_rendering()
    assert not made.faults
    return made


def texts(figure: Figure) -> list[Text]:
    """What is printed: all texts but the labels of ticks beyond the ends of an axis."""
    hidden = set()
    for axis in figure.axes:
        for one, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            ticks = [*one.get_major_ticks(), *one.get_minor_ticks()]
            hidden |= {tick.label1 for tick in ticks if not min(limits) <= tick.get_loc() <= max(limits)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]


def test_text_is_legible_and_inside(drawn: PaperFigure):
    assert drawn.figure.get_figwidth() in (3.3, 3.3 * 1.5, 7.0)
    inside = drawn.figure.bbox.padded(1.4)  # a point: room that a title leaves for letters it does not have
    assert len(texts(drawn.figure)) > 15
    for text in texts(drawn.figure):
        box = text.get_window_extent()
        assert text.get_fontsize() >= 7, text
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, text
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, text


def test_ticks_and_titles_do_not_overlap(drawn: PaperFigure):
    for axis in drawn.figure.axes:
        low, high = sorted(axis.get_xlim())
        ticks = [t.label1 for t in axis.xaxis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_text()]
        for a, b in pairwise(ticks):
            assert a.get_window_extent().x1 < b.get_window_extent().x0, (a, b)
    labels = [t for axis in drawn.figure.axes for t in (axis._left_title, axis.xaxis.label, axis.yaxis.label)]
    boxes = [(t.get_text(), t.get_window_extent()) for t in labels if t.get_text()]
    for i, (name, box) in enumerate(boxes):
        assert [other for other, place in boxes[i + 1 :] if box.overlaps(place)] == [], name


def test_axes_have_labels_and_units_and_letters(drawn: PaperFigure):
    letters = set()
    for axis in drawn.figure.axes:
        assert axis.get_xlabel()
        assert axis.get_ylabel()
        letters |= set(re.findall(r"\\bf\{\((.)\)\}", axis._left_title.get_text()))
        if "energy" in axis.get_xlabel() or "−" in axis.get_xlabel() or "gap" in axis.get_xlabel():
            assert "(eV" in axis.get_xlabel() or "(log₁₀ GPa)" in axis.get_xlabel()
    assert letters == set("abcd"[: 2 if drawn.name == "figure-3" else 4])


def test_colours_are_told_apart_by_the_colour_blind(drawn: PaperFigure):
    """Okabe and Ito's blue and vermilion, greys, and cividis; systems differ in their marker too."""
    known = {BLUE, VERMILION, "#000000", "#808080", "#4c4c4c", "#ffffff"}
    for axis in drawn.figure.axes:
        used = {to_hex(c).upper() for s in axis.collections for c in s.get_facecolor()}
        used |= {to_hex(line.get_color()).upper() for line in axis.lines}
        used |= {to_hex(p.get_facecolor()).upper() for p in axis.patches}
        assert used <= {c.upper() for c in known}
        assert {image.get_cmap().name for image in axis.images} <= {"cividis"}
    assert len(set(MARKERS.values())) == len(COLOURS)


def test_the_caption_names_runs_preset_and_counts():
    made = figure_5("open-dft", "", (), RUNS)
    n = len(load_ground_truth(parse_task("open-dft/zero-shot"), 0).ids)
    assert f"m3gnet-potential, pretrained on open-dft/zero-shot (fold-seed 0-0; n = {n})" in made.caption
    assert "quick preset: trained for minutes; do not cite" in made.caption
    assert any("do not cite" in text.get_text() for text in texts(made.figure))


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(tmp_path: Path):
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "leaderboard.cli", "paper", "figure-5", "--data", "open-dft", "--out", seed]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*command, "--runs", str(RUNS)], check=True, cwd=tmp_path, env=env, capture_output=True)
    for name in ("figure-5.svg", "figure-5.png"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert "<dc:date>" not in (tmp_path / "1" / "figure-5.svg").read_text()


def store_copy(root: Path, source: str, folder: str, **changes: object) -> Path:
    """A stored run again, at another place and with other fields in run.json."""
    shutil.copytree(RUNS / source, root / folder)
    write_record(root / folder, {**open_run(RUNS / source).record.raw, **changes})
    return root / folder


def test_a_model_trained_here_comes_before_its_published_weights(tmp_path: Path):
    """Even where the name of the weights is the word for the model, and that of the trained one is not."""
    task = "open-dft/zero-shot@random"
    store_copy(tmp_path, f"{task}/pretrained/cgcnn/0-0", f"{task}/pretrained/cgcnn/0-0")
    changed = "cgcnn+epochs=7"
    store_copy(tmp_path, f"{task}/quick/cgcnn/0-0", f"{task}/quick/{changed}/0-0", model=changed, entry="cgcnn")
    runs = load_paper_runs("open-dft", ["zero-shot"], "", tmp_path)
    panels = {word: model_panels(runs, word)["zero-shot"].row for word in ("cgcnn", "cgcnn:pretrained")}
    assert (panels["cgcnn"].preset, panels["cgcnn"].model) == ("quick", changed)
    assert panels["cgcnn:pretrained"].preset == "pretrained"


def test_of_several_seeds_a_panel_has_the_first_of_each_fold(tmp_path: Path):
    folder = "open-dft/band-gap@random/quick/forest"
    store_copy(tmp_path, f"{folder}/0-0", f"{folder}/0-0")
    other = store_copy(tmp_path, f"{folder}/0-0", f"{folder}/0-1", seed=1)
    truth = load_ground_truth(parse_task("open-dft/band-gap"), 0)
    write_predictions(other / "predictions.csv", truth.ids, "band-gap", truth.y)  # perfect
    write_record(other, open_run(other).record.raw)
    runs = load_paper_runs("open-dft", ["band-gap"], "", tmp_path)
    data = model_panels(runs, "forest")["band-gap"].data
    assert len(data.labels) == len(truth.ids)  # a crystal is one point
    assert abs(data.residuals).mean() > 0.1


@pytest.mark.parametrize(
    ("name", "data", "models", "sentence"),
    [
        ("figure-4", "open-dft", ("asugnn", "cgcnn"), "figure-4 shows one model"),
        (
            "figure-4",
            "open-dft",
            ("m3gnet-potential",),
            "has no run of bulk-modulus, band-gap, metal on open-dft; --model",
        ),
        ("figure-4", "", (), "no model is stored; there are runs on other data: --data mp-2018, --data open-dft"),
        (
            "figure-5",
            "open-dft",
            ("asugnn", "none"),
            "figure-5 shows two models that have runs on open-dft; --model takes",
        ),
        ("figure-3", "open-dft", ("asugnn",), "figure-3 shows labels, not runs"),
    ],
)
def test_what_cannot_be_drawn_is_told(name: str, data: str, models: tuple[str, ...], sentence: str):
    with pytest.raises(InputError, match=re.escape(sentence)):
        FIGURES[name](data, "", models, RUNS)
