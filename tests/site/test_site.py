"""The site as files: what its pages hold, what they load, and that names cannot break them."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
from made import run_here
from sklearn import metrics as sk

from asugnn import InputError
from asugnn.asugnn import ASUGNN
from asugnn.crystal import SYMBOLS, reduced_formula
from asugnn.model import Publication
from asugnn.model_registry import find_model, model_publication
from leaderboard._util.names import SAFE_NAME
from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.registry import PACKAGE
from leaderboard.data.tasks import parse_task, suite_tasks
from leaderboard.ingest import import_dataset, parse_target
from leaderboard.records.predictions_csv import ColumnNames, read_predictions
from leaderboard.records.run_folder import PACKAGED_RUNS, Run, find_run, keep_failure, list_runs
from leaderboard.records.write_run import write_record
from leaderboard.reports.panel_data import panel_data
from leaderboard.running.plan import plan_runs
from leaderboard.scoring.metrics import roc_curve
from leaderboard.site import pages
from leaderboard.site.formatting import html_name
from leaderboard.site.formulas import PLACE, html_formula
from leaderboard.site.pages import build_site
from leaderboard.site.provenance import find_repository, provenance_values, publication_links
from leaderboard.site.svg_axes import Axis
from leaderboard.site.view_model import load_site_data
from leaderboard.submissions.competition import export_competition

BULK, METAL = parse_task("open-dft/bulk-modulus"), parse_task("open-dft/metal")
ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "\"><img src=x onerror=alert(1)>'&{{7*7}}%41"
SCRIPT = "</script><script>alert(2)</script><!--"


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str, attribute: str) -> list[str]:
        return [a[attribute] or "" for t, a in self.elements if t == tag and attribute in a]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the mean and the forest on two tasks and two folds, and one with a hostile name and hostile contents."""
    out = tmp_path_factory.mktemp("runs")
    run_here(plan_runs([BULK, METAL], ["mean", "forest"], "quick", [0, 1], [0], {}), out)
    record = find_run(Run(BULK, "quick", "forest", 0, 0), out)
    assert record is not None
    folder = Run(BULK, "quick", HOSTILE, 0, 0).folder(out)
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_bytes(record.predictions.read_bytes())
    changed = {
        "model": HOSTILE,
        "settings": {SCRIPT: SCRIPT},
        "device": {"kind": SCRIPT, "name": SCRIPT},
        "commit": HOSTILE,
    }
    write_record(folder, {**record.record.raw, **changed, "weights": {"name": "w", "trained_on": SCRIPT}})
    return out


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "site"
    count, notes = build_site(root, out)
    assert count == len(list(out.rglob("*.html"))) == 2 + 2 + 9
    assert all("not ranked" in note for note in notes)
    return out


def read(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def identifiers(file: Path) -> set[str]:
    """What `#` leads to on a page, where each name must occur once."""
    listed = [a["id"] or "" for _, a in read(file).elements if "id" in a]
    assert len(set(listed)) == len(listed), file
    return set(listed)


def test_notes_speak_of_what_is_on_their_page(site: Path):
    """Columns by their headings, intervals where they are, and on the page of one run nothing of a mean over runs."""
    index, task = read(site / "index.html").text, read(site / "tasks/open-dft/bulk-modulus@random/quick.html").text
    assert "training: seconds of one training run" in index
    assert "training, prediction: seconds of one run" in task
    assert "below each value: 95 %" in index
    assert "below each value: 95 %" in task
    assert "beyond the drawn range" in task  # the legend, also there
    assert "all runs are drawn together" in task  # two folds
    run = read(site / "runs/open-dft/bulk-modulus@random/quick/forest/0-0/index.html").text
    assert "seconds of one" not in run
    assert "±" not in run


def test_long_names_break_before_a_setting():
    assert html_name("a<b+x=1+y=2") == "a&lt;b<wbr>+x=1<wbr>+y=2"


def test_the_board_is_that_of_the_terminal(site: Path, root: Path):
    shown = read(site / "index.html").text
    rows, _ = rank_rows(root, [BULK, METAL], "quick")
    for row in rows:
        for metric in (row.metrics["mae" if row.kind == "regression" else "roc_auc"],):
            assert f"{metric.value:.3f}" in shown
            assert metric.low is None or f"{metric.low:.3f}–{metric.high:.3f}" in shown
    assert "quick preset: trained for minutes; do not cite" in shown
    assert "fewer than 200 test groups" in shown


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path):
    ids: dict[Path, set[str]] = {}
    for file in site.rglob("*.html"):
        page = read(file)
        links = page.of("a", "href") + page.of("script", "src") + page.of("link", "href")
        assert len(links) >= 4
        for link in links:
            if link.startswith("data:") or (link.startswith("https://") and link in page.of("a", "href")):
                continue
            assert "//" not in link and ":" not in link.partition("/")[0], (file, link)
            path, _, anchor = link.partition("#")
            target = (file.parent / unquote(path)).resolve() if path else file
            assert target.is_file(), (file, link)
            assert not anchor or unquote(anchor) in ids.setdefault(target, identifiers(target)), (file, link)
        text = file.read_text(encoding="utf-8")
        assert not re.search(r'\s(on\w+|style)="', re.sub(r'"[^"]*"', lambda m: m[0].replace("=", ""), text))
        assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in text
    assert "http" not in (site / "site.css").read_text()
    scripts = (site / "site.js").read_text() + (site / "tables.js").read_text()
    assert re.findall(r"https?:[^\"']*", scripts) == ["http://www.w3.org/2000/svg"]


def test_boards_to_cite_come_first_and_the_easiest_split_of_a_data_set(data: Path):
    boards = load_site_data(PACKAGED_RUNS).boards
    of_mp = ["random", "formula", "prototype", "element", "jarvis"]
    assert [board.rule for board in boards if board.source.name == "mp-2018"] == of_mp, data
    assert [board.preset == "quick" for board in boards] == sorted(board.preset == "quick" for board in boards)


def test_what_a_stranger_names_is_text(site: Path):
    """In every page: no element, attribute or script of theirs; and the words as they wrote them."""
    known = {file: read(file) for file in site.rglob("*.html")}
    for file, page in known.items():
        assert "img" not in {tag for tag, _ in page.elements}, file
        scripts = [a for tag, a in page.elements if tag == "script"]
        assert all(a.get("type") == "application/json" or (a.get("src") or "").endswith(".js") for a in scripts)
        assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert HOSTILE in known[site / "index.html"].text
    (mine,) = [page for file, page in known.items() if "img-src-x" in str(file)]
    assert HOSTILE in mine.text
    assert mine.text.count(SCRIPT) >= 3
    assert all(SAFE_NAME.fullmatch(part) or "@" in part for f in known for part in f.relative_to(site).parts)


def test_the_reason_of_a_failed_run_is_on_the_first_page(root: Path, tmp_path: Path):
    copy = shutil.copytree(root, tmp_path / "runs")
    folder = Run(METAL, "quick", "mine.Model", 0, 0).folder(copy)
    keep_failure(folder, f"ValueError: {HOSTILE}")
    build_site(copy, tmp_path / "site")
    page = read(tmp_path / "site/index.html")
    assert f"mine.Model on open-dft/metal, fold 0, seed 0 (quick) failed: ValueError: {HOSTILE}" in page.text


def test_a_run_page_holds_all_of_run_json(site: Path, root: Path):
    def leaves(value: object) -> list[str]:
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        if isinstance(value, list):
            return [leaf for inner in value for leaf in leaves(inner)]
        words = {"True": "yes", "False": "no", "None": "none"}
        return [words.get(str(value), str(value))]

    folder = site / "runs/open-dft/metal@random/quick/forest/1-0"
    about = json.loads((folder / "run.json").read_text())
    text = read(folder / "index.html").text
    assert [leaf for leaf in leaves(about) if leaf not in text] == []
    source = Run(METAL, "quick", "forest", 1, 0).folder(root)
    for name in ("predictions.csv", "run.json"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    held = load_ground_truth(METAL, 1)
    p = read_predictions(folder / "predictions.csv", held.ids, "metal", "binary")
    wrong = max(zip(abs(p - held.y), held.ids, strict=True))
    assert wrong[1] in text


def test_the_same_runs_give_the_same_bytes(site: Path, root: Path, tmp_path: Path):
    build_site(root, tmp_path / "again")
    files = {f.relative_to(site): f.read_bytes() for f in site.rglob("*") if f.is_file()}
    again = {f.relative_to(tmp_path / "again"): f.read_bytes() for f in (tmp_path / "again").rglob("*") if f.is_file()}
    assert files == again


def test_a_site_appears_whole_or_not_at_all(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "site"
    build_site(root, out)
    before = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    monkeypatch.setattr(pages, "run_values", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_site(root, out)
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == before
    assert list(tmp_path.iterdir()) == [out]
    monkeypatch.undo()
    (out / "left over.html").write_text("")
    build_site(root, out)
    assert not (out / "left over.html").exists()


def test_what_is_no_site_is_not_replaced(root: Path, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a site"):
        build_site(root, tmp_path)
    with pytest.raises(InputError, match="is a file: name a folder with --out"):
        build_site(root, tmp_path / "thesis.tex")
    (tmp_path / "index.html").write_bytes("Übersicht".encode("latin-1"))
    with pytest.raises(InputError, match="not a site"):
        build_site(root, tmp_path)
    with pytest.raises(InputError, match=r"no finished run .* `bench run` makes some"):
        build_site(tmp_path, tmp_path / "site")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.html", "thesis.tex"]


def test_the_command_says_how_many_pages_and_where_and_imports_nothing_heavy(root: Path, tmp_path: Path):
    program = f"""
import json, sys
from leaderboard.cli import app
app(["site", "--runs", {str(root)!r}, "--out", "board"], standalone_mode=False)
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "13 pages: open board/index.html\n"
    assert not {"torch", "sklearn", "scipy", "pandas", "matplotlib"} & set(json.loads(done.stderr.splitlines()[-1]))


def test_labels_of_a_host_are_in_no_file(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    host = tmp_path / "host"
    export_competition(METAL, 0, host, True, ColumnNames("id", "metal"), "roc_auc")
    monkeypatch.setenv("BENCH_SOLUTION", str(next(host.rglob("*solution*.csv"))))
    build_site(root, tmp_path / "site")
    run = tmp_path / "site/runs/open-dft/metal@random/quick/forest/0-0"
    assert not (run / "predictions.csv").exists()
    assert "The labels belong to a competition host" in read(run / "index.html").text
    assert not list((tmp_path / "site/tasks/open-dft/metal@random").glob("crystals-0.js"))
    assert "svg" in {tag for tag, _ in read(tmp_path / "site/index.html").elements}


def test_ids_of_an_imported_data_set_cannot_leave_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    table = pl.read_parquet(PACKAGE / "_data/open-dft/open_dft.parquet").head(60)
    ids = [f"{i} {SCRIPT}\"'&" for i in range(len(table))]
    table.with_columns(pl.Series("material_id", ids)).write_parquet(tmp_path / "mine.parquet")
    about = {"title": SCRIPT, "licence": SCRIPT, "citation": HOSTILE}
    import_dataset(tmp_path / "mine.parquet", "mine", [parse_target("formation_energy:<b>eV</b>")], about, False)
    (task,) = suite_tasks("mine")
    run_here(plan_runs([task], ["mean"], "quick", [0], [0], {}), tmp_path / "runs")
    out = tmp_path / "site"
    build_site(tmp_path / "runs", out)
    (file,) = out.rglob("crystals-0.js")
    assert "<" not in file.read_text()
    assert set(json.loads(file.read_text().partition(" = ")[2].rstrip(";\n"))["ids"]) <= set(ids)
    for page in map(read, out.rglob("*.html")):
        assert not {"b", "img"} & {tag for tag, _ in page.elements}
        assert HOSTILE in page.text


def test_a_newcomer_learns_when_it_was_made_from_what_and_where_paper_and_data_are(
    root: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = " ".join(read(site / "index.html").text.split())
    today = datetime.now(UTC)
    assert f"newest run of {today.day} {today:%B} {today.year}" in text
    assert "; 9 runs" in text
    assert "open-dft (MIT)" in text
    links = read(site / "index.html").of("a", "href")
    assert f"https://doi.org/{ASUGNN.publication.doi}" in links
    assert f"doi: {ASUGNN.publication.doi}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "Repository" not in text  # none is stated, none is invented
    stated = Message()
    stated["Project-URL"] = "Documentation, https://docs.example"
    stated["Project-URL"] = "Repository, https://example.org/bench"
    monkeypatch.setattr("importlib.metadata.metadata", lambda _: stated)
    assert find_repository() == "https://example.org/bench"


def test_odd_dates_and_commits_of_records_do_no_harm(root: Path):
    (stored, *_), _ = list_runs(root)
    dates = ["2026-02-30", "", "yesterday", "0001-01-01T00:00:00+14:00", "2026-03-01", "2026-03-01T23:30:00-02:00"]
    runs = [
        replace(stored, record=replace(stored.record, finished=date, commit=f"{i}{'x' * 90}"))
        for i, date in enumerate(dates)
    ]
    values = provenance_values(runs)
    assert (values["oldest"], values["newest"]) == ("1 March 2026", "2 March 2026")
    assert max(len(commit) for commit, _ in values["commits"]) <= 40
    assert provenance_values([])["commits"] == []


def test_each_model_has_a_card_with_its_paper_code_cost_and_training_data(site: Path):
    page = read(site / "models.html")
    text = " ".join(page.text.split())
    forest = find_model("forest").publication
    assert f"{forest.paper}, doi:{forest.doi}" in text
    assert f"{forest.code.removeprefix('https://')}, licence {forest.licence}" in text
    assert {f"https://doi.org/{forest.doi}", forest.code} <= set(page.of("a", "href"))
    assert "Extremely randomised trees" in text
    assert "Mean of the training labels" in text
    assert SCRIPT in page.text  # of the run with a hostile record: what it was trained on
    assert "models.html#model-forest" in read(site / "index.html").of("a", "href")
    (task,) = (site / "tasks/open-dft/metal@random").glob("*.html")
    assert "../../../models.html#model-forest" in read(task).of("a", "href")


def test_a_model_without_a_publication_has_a_card_too_and_an_odd_one_is_no_fault():
    class Plain:
        """A model, see `fit`."""

    class Odd(Plain):
        publication = "10.1000/1"

    assert model_publication(Plain) is model_publication(Odd) is None
    assert publication_links(None) == {}
    links = publication_links(Publication("A & B", "javascript:alert(1)", "javascript:alert(2)"))
    assert links["doi_url"] == links["code_url"] == ""


def test_formulas_are_in_the_order_of_the_field():
    from pymatgen.core import Composition

    assert [html_formula(f) for f in ("ClCs", "O2Ti", "ClNa", "GaAs", "mp-1234", "", "Al2O3", "Zz2", "id Na")] == [
        "CsCl", "TiO₂", "NaCl", "GaAs", "mp-1234", "", "Al₂O₃", "Zz2", "id Na"
    ]  # fmt: skip
    assert sorted(PLACE) == sorted(SYMBOLS)
    data = pl.read_parquet(PACKAGE / "_data/open-dft/open_dft.parquet")
    ours = {reduced_formula(numbers) for numbers in data["atomic_numbers"].to_list()}
    elements = re.compile(r"[A-Z][a-z]?")
    compounds = {f: Composition(f).reduced_formula for f in ours if len(Composition(f)) > 1}
    assert len(compounds) > 100
    assert {f: elements.findall(html_formula(f)) for f in compounds} == {
        f: elements.findall(theirs) for f, theirs in compounds.items()
    }


@pytest.mark.parametrize("seed", range(20))
def test_curve_and_confusion_are_those_of_scikit_learn(seed: int):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 60).astype(float)
    p = np.round(rng.random(60), 1 + seed % 3)
    false, true, _ = sk.roc_curve(y, p)
    x, z = roc_curve(y, p)
    np.testing.assert_allclose(np.interp(x, false, true)[(x > 0) & (x < 1)], z[(x > 0) & (x < 1)], atol=1)
    assert np.trapezoid(z, x) == pytest.approx(np.trapezoid(true, false), abs=1e-12)
    assert set(zip(x.tolist(), z.tolist(), strict=True)) <= set(
        zip(*sk.roc_curve(y, p, drop_intermediate=False)[:2], strict=True)
    )
    (data,) = panel_data([(y, p)])
    assert data.confusion.tolist() == sk.confusion_matrix(y, p >= 0.5, labels=[0, 1]).tolist()


RANGES = [(0, 1), (-5.8, 3.1), (1e-9, 2e-9), (-1e6, 1e6)]
LOGARITHMIC = [(0.3, 0.9), (1e-3, 1e4), (0.04, 0.06), (0.5, 20)]


@pytest.mark.parametrize(("low", "high", "log"), [(*r, False) for r in RANGES] + [(*r, True) for r in LOGARITHMIC])
def test_axes_have_a_few_round_ticks_inside(low: float, high: float, log: bool):
    axis = Axis(low, high, 0, 100, log)
    ticks = axis.ticks
    assert 2 <= len(ticks) <= 9
    assert all(low - 1e-9 * abs(high - low) <= t <= high + 1e-9 * abs(high - low) for t in ticks)
    assert [axis.position(low), axis.position(high), axis.position(high * 2 + 1)] == pytest.approx([0, 100, 100])
