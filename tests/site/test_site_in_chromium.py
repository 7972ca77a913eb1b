"""The site in a real browser: Debian's Chromium, headless, from the folder itself and without a network.

Skipped, aloud, where there is no Chromium (`apt-get install chromium`, or CHROMIUM names one).
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.registry import PACKAGE
from leaderboard.data.tasks import Task, parse_task, suite_tasks
from leaderboard.records.predictions_csv import read_predictions, write_predictions
from leaderboard.records.run_folder import Run, open_run
from leaderboard.records.write_run import write_record
from leaderboard.site.formatting import five_digits
from leaderboard.site.pages import build_site

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the site was not looked at")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: the site was not read")
Page = sync_api.Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here: the site was not looked at")

HOSTILE = "\"><img src=x onerror=document.title=1>'&"
SCRIPT = "</script><script>document.title=1</script>"
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
BULK, METAL = "open-dft/bulk-modulus@random", "open-dft/metal@random"
INDEX = "index.html"
KINDS = {
    "index": INDEX,
    "models": "models.html",
    "regression": f"tasks/{BULK}/quick.html",
    "binary": f"tasks/{METAL}/quick.html",
    "run of a regression": f"runs/{BULK}/quick/cgcnn/0-0/index.html",
    "run of a binary": f"runs/{METAL}/quick/alignn/0-0/index.html",
}


def add(root: Path, task: Task, model: str, noise: float, rng: np.random.Generator, **more: object) -> None:
    """A run whose predictions are the labels with some noise."""
    like = open_run(PACKAGE / f"runs/open-dft/{task.target.name}@random/quick/cgcnn/0-0").record.raw
    held = load_ground_truth(task, 0)
    p = held.y + noise * rng.normal(size=len(held.ids))
    folder = Run(task, "quick", model, 0, 0).folder(root)
    folder.mkdir(parents=True)
    write_predictions(folder / "predictions.csv", held.ids, task.target.name,
                     1 / (1 + np.exp(-4 * (p - 0.5))) if task.target.kind == "binary" else p)  # fmt: skip
    write_record(folder, {**like, "model": model, **more})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stored runs of open-dft, and one with a hostile name."""
    root = tmp_path_factory.mktemp("runs")
    shutil.copytree(PACKAGE / "runs/open-dft", root / "open-dft")
    more = {"settings": {SCRIPT: HOSTILE}, "commit": SCRIPT}
    add(root, parse_task("open-dft/bulk-modulus"), HOSTILE, 0.05, np.random.default_rng(0), **more)
    return root


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "site"
    build_site(root, out)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, site: Path):
    """Opens pages; fails at the end for anything on the console, any error, and anything loaded from elsewhere."""
    contexts, complaints = [], []

    def complain(page: Page) -> None:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or complaints.append(f"loads {r.url}"))

    def open_page(path: str, size: dict[str, int] = DESK, scheme: str = "light", folder: Path = site, **more) -> Page:
        context = browser.new_context(viewport=size, color_scheme=scheme, **more)
        contexts.append(context)
        context.on("page", complain)
        context.set_default_timeout(10_000)
        page = context.new_page()
        file = re.split("[?#]", path)[0]
        page.goto((folder / file).as_uri() + path.removeprefix(file))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def column(page: Page, n: int) -> list[float]:
    """The numbers of a column of the first table, from the top, those without a number left out."""
    cells = page.locator("table.sortable").first.locator(f"tbody tr:not([hidden]) > :nth-child({n})").all()
    values = [cell.get_attribute("data-v") for cell in cells]
    return [float(v) for v in values if v]


def test_every_kind_of_page_is_quiet_and_none_is_wider_than_a_phone(opened):
    for path in KINDS.values():
        for size in (PHONE, DESK):
            page = opened(path, size)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            wide = page.evaluate("""() => [...document.querySelectorAll('.scroll')].filter(
                (s) => s.scrollWidth > s.clientWidth && s.tabIndex !== 0).length""")
            assert wide == 0  # what scrolls sideways can be reached by keyboard
            sizes = page.evaluate("""() => [...document.querySelectorAll('svg text')]
                .filter((t) => t.getBoundingClientRect().width > 0).map((t) =>
                parseFloat(getComputedStyle(t).fontSize) * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b))""")
            assert all(s >= 8.5 for s in sizes), (path, size, min(sizes))  # CSS pixels


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds, with every part of the page unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    found = axe.Axe().run(page, options={"preload": False}).response["violations"]  # it would fetch the style sheet
    return [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]


def test_axe_finds_no_violation(opened):
    assert violations(opened(INDEX, DESK, "light")) == []
    assert violations(opened(KINDS["run of a binary"], PHONE, "dark")) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_violation_anywhere(opened, kind: str, size: dict[str, int], scheme: str):
    assert violations(opened(KINDS[kind], size, scheme)) == []


def test_sorting_by_a_column_goes_best_first_then_back_and_what_has_no_value_stays_last(opened):
    page = opened(INDEX)
    board = page.locator("table.sortable").first
    head = board.get_by_role("columnheader", name="metal")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"  # of a ROC-AUC more is better
    assert column(page, 5) == sorted(column(page, 5), reverse=True)
    assert page.locator("table").first.locator("tbody tr").last.locator("td").nth(3).inner_text() == "–"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 5) == sorted(column(page, 5))
    assert page.locator("table").first.locator("tbody tr").last.locator("td").nth(3).inner_text() == "–"
    board.get_by_role("columnheader", name="band gap").get_by_role("button").click()
    assert column(page, 3) == sorted(column(page, 3))
    assert head.get_attribute("aria-sort") == "none"
    board.get_by_role("columnheader", name="model").get_by_role("button").click()
    names = page.locator("table").first.locator("tbody th").all_inner_texts()
    assert names[1:] == sorted(names[1:])  # the first is the hostile one


def test_filters_by_model_preset_and_task(opened):
    page = opened(INDEX)
    rows = page.locator("table.sortable tbody tr:visible")
    everything = rows.count()
    page.get_by_role("searchbox", name="Model").fill("CGC")
    assert [t.split()[0] for t in rows.locator("th").all_inner_texts()] == ["cgcnn", "cgcnn"]
    page.get_by_role("combobox", name="Preset").select_option("pretrained")
    assert rows.count() == 1
    assert page.locator("#count").inner_text() == "1 row"
    page.get_by_role("searchbox", name="Model").fill("")
    page.get_by_role("combobox", name="Preset").select_option("")
    page.get_by_role("combobox", name="Task").select_option("open-dft/zero-shot")
    heads = page.locator("table.sortable thead th:visible").all_inner_texts()
    assert [h.split("\n")[0].strip(" ↕") for h in heads] == ["model", "zero shot", "training", "prediction"]
    assert 0 < rows.count() < everything
    page.get_by_role("searchbox", name="Model").fill("no such model")
    assert page.get_by_text("No row matches these filters.").is_visible()
    page.get_by_role("searchbox", name="Model").fill("")
    page.get_by_role("combobox", name="Task").select_option("")
    assert rows.count() == everything


def test_order_and_filters_are_in_the_address_and_come_back_with_it(opened):
    page = opened(INDEX)
    page.locator("table.sortable").first.get_by_role("columnheader", name="metal").get_by_role("button").click()
    page.get_by_role("searchbox", name="Model").fill("net")
    page.get_by_role("combobox", name="Preset").select_option("quick")
    page.get_by_role("combobox", name="Cost").select_option("predict")
    shown = page.locator("table.sortable tbody th").all_inner_texts()
    again = opened(f"{INDEX}?{page.url.partition('?')[2]}")
    assert again.locator("table.sortable tbody th").all_inner_texts() == shown != []
    assert again.locator("th[aria-sort=descending]").inner_text().startswith("metal")
    assert again.get_by_role("searchbox", name="Model").input_value() == "net"
    assert again.get_by_role("combobox", name="Cost").input_value() == "predict"
    again.get_by_role("searchbox", name="Model").fill("")
    again.get_by_role("combobox", name="Preset").select_option("")
    again.get_by_role("combobox", name="Cost").select_option("train")
    assert "model=" not in again.url
    odd = opened(f"{INDEX}?task=no/such&cost=x&preset=%00&board.open-dft.quick=sideways+metal&model=%F0%9F%92%A5")
    assert odd.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 0
    assert odd.get_by_role("combobox", name="Task").input_value() == ""
    assert odd.get_by_role("combobox", name="Cost").input_value() == "train"
    odd.get_by_role("searchbox", name="Model").fill("")
    assert odd.locator("table.sortable tbody tr:visible").count() > 10


def test_a_link_to_a_row_leads_to_it(opened):
    page = opened(INDEX)
    link = page.get_by_role("row", name="megnet").first.get_by_role("link", name="Link to the row of megnet")
    link.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    link.click()
    assert page.evaluate("scrollY") == before  # nothing jumps
    assert "link" in page.locator("#tip").inner_text().lower()
    assert page.locator("tr.linked th").inner_text() == "megnet"
    anchor = page.url.partition("#")[2]
    again = opened(f"{INDEX}?board.open-dft.quick=descending+metal#{anchor}", PHONE)
    assert again.locator("tr.linked th").inner_text() == "megnet"
    assert 0 <= again.locator("tr.linked").bounding_box()["y"] < PHONE["height"]
    assert opened(f"{INDEX}#%E0%A4%A", PHONE).locator("tr.linked").count() == 0  # what is no address does no harm


def test_on_a_phone_no_column_is_cut_off(opened):
    for path in KINDS.values():
        page = opened(path, PHONE)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        beyond = page.evaluate("""() => [...document.querySelectorAll('td, th, svg text')].filter((one) => {
            const box = one.getBoundingClientRect();
            const cut = one.clientWidth && one.scrollWidth > one.clientWidth + 1;
            return box.width && (box.right > innerWidth + 1 || (cut && one.matches('td, th')));
        }).map((one) => one.textContent)""")
        assert beyond == [], path
    page = opened(KINDS["regression"], PHONE)
    cell = page.locator("#metrics tbody td").nth(2)
    assert "RMSE" in cell.evaluate("(td) => getComputedStyle(td, '::before').content")


def test_cost_is_of_training_or_of_prediction(opened):
    page = opened(INDEX)
    assert page.locator("figure[data-cost=train]").first.is_visible()
    page.get_by_role("combobox", name="Cost").select_option("predict")
    assert page.locator("figure[data-cost=train]:visible").count() == 0
    dot = page.locator("figure[data-cost=predict] circle").first
    dot.hover()
    assert "ms per crystal" in page.locator("#tip").inner_text()


def test_a_run_is_opened_and_its_crystals_are_named(opened, site: Path):
    page = opened(INDEX)
    page.get_by_role("row", name="cgcnn").first.get_by_role("cell").nth(2).get_by_role("link").click()
    page.wait_for_url(f"**/runs/{BULK.replace('@', '%40')}/quick/cgcnn/0-0/index.html")
    assert page.get_by_role("heading", name="cgcnn").is_visible()
    held = load_ground_truth(parse_task("open-dft/bulk-modulus"), 0)
    p = read_predictions(site / f"runs/{BULK}/quick/cgcnn/0-0/predictions.csv", held.ids, "bulk-modulus", "regression")
    worst = int(np.argmax(abs(p - held.y)))
    parity = page.locator("svg[data-kind=parity]")
    parity.focus()
    page.keyboard.press("ArrowRight")
    said = page.locator("#tip").inner_text()
    assert held.ids[worst] in said
    assert f"label {five_digits(held.y[worst]):.3f}, prediction {five_digits(p[worst]):.3f}" in said
    ring = page.locator(".ring").bounding_box()
    page.keyboard.press("ArrowRight")
    assert held.ids[worst] not in page.locator("#tip").inner_text()
    assert ring
    page.mouse.move(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    assert held.ids[worst] in page.locator("#tip").inner_text()
    page.mouse.move(0, 0)
    assert not page.locator("#tip").is_visible()


def test_the_ring_lies_on_the_point_that_was_drawn(opened):
    """The script finds positions anew from axes and predictions: they are those of the SVG."""
    for kind, path in (("parity", KINDS["regression"]), ("residual", KINDS["run of a regression"]),
                       ("probability", KINDS["run of a binary"])):  # fmt: skip
        page = opened(path)
        svg = page.locator(f"svg[data-kind={kind}]").first
        svg.focus()
        drawn = {tuple(map(float, m.split())) for d in svg.locator("path.points").all()
                 for m in (d.get_attribute("d") or "").replace("h0", "").split("M")[1:]}  # fmt: skip
        for _ in range(5):
            page.keyboard.press("ArrowRight")
            x, y = (float(svg.locator(".ring").get_attribute(a) or "") for a in ("cx", "cy"))
            assert min(max(abs(x - a), abs(y - b)) for a, b in drawn) <= 0.3


def test_rows_that_cannot_be_told_apart_are_marked(opened, root: Path):
    page = opened(KINDS["regression"])
    rows, _ = rank_rows(root, [parse_task("open-dft/bulk-modulus")], "quick")
    tied = sorted(next(row for row in rows if row.title == "megnet").tied_with)
    assert 0 < len(tied) < len(rows) - 1
    mine = page.locator("tr", has=page.get_by_role("link", name="megnet", exact=True)).first
    mine.get_by_role("link", name="megnet", exact=True).focus()
    assert sorted(page.locator("tr.tied th").all_inner_texts()) == tied
    page.get_by_role("columnheader", name="parameters").get_by_role("button").click()
    mine.hover()  # and after sorting
    assert sorted(page.locator("tr.tied th").all_inner_texts()) == tied


def test_the_keyboard_alone_is_enough(opened):
    page = opened(INDEX)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    for _ in range(12):  # links to paper, data and models
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "task":
            break
    assert page.evaluate("document.activeElement.id") == "task"
    seen = []
    while "sort" not in seen and len(seen) < 12:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.closest('th') ? 'sort' : document.activeElement.id"))
    assert seen[:3] == ["preset", "model", "cost"]
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=ascending]").count() == 1
    while page.evaluate("document.activeElement.closest('td') === null"):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/**")


def test_dark_and_light_as_the_reader_likes_and_as_chosen_before(opened):
    for scheme, dark in (("light", False), ("dark", True)):
        page = opened(INDEX, scheme=scheme)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert (page.evaluate(ground) == "rgb(20, 23, 26)") == dark
        button = page.get_by_role("button", name="Light" if dark else "Dark", exact=True)
        button.click()
        assert (page.evaluate(ground) == "rgb(20, 23, 26)") != dark
        page.reload()
        assert (page.evaluate(ground) == "rgb(20, 23, 26)") != dark


def test_a_hostile_name_is_text(opened):
    page = opened(INDEX)
    title = page.title()
    page.get_by_role("rowheader", name=HOSTILE).wait_for()
    page.get_by_role("row", name=HOSTILE).locator("td a").click()
    page.wait_for_url("**/img-src-x*/**")
    assert HOSTILE in page.get_by_role("heading", level=1).inner_text()
    assert SCRIPT in page.locator("dl").last.inner_text() + page.locator(".record").inner_text()
    page.get_by_role("link", name="open-dft/bulk-modulus").first.click()
    page.get_by_role("combobox", name="Model").select_option(label=HOSTILE)
    assert HOSTILE in page.locator("#shaded-model").text_content()
    page.get_by_text("Table of errors by element").click()
    page.get_by_role("columnheader", name=HOSTILE).wait_for()
    page.goto(page.url.replace(page.url.partition("/tasks/")[2], "").replace("tasks/", INDEX))
    page.get_by_role("combobox", name="Cost").select_option("train")
    page.locator("circle[data-tip*='onerror']:visible").first.hover()
    assert HOSTILE in page.locator("#tip").inner_text()
    assert page.title() == title
    assert page.locator("img").count() == 0


def test_tables_stand_without_the_script(opened):
    for path in KINDS.values():
        page = opened(path, java_script_enabled=False)
        assert page.locator("table, .model dl").first.is_visible()
        assert path == "models.html" or page.locator("svg").first.is_visible()
        assert page.locator("button:visible, select:visible").count() == page.locator("th button:visible").count()


def test_the_shades_of_the_periodic_table_follow_the_model(opened):
    page = opened("tasks/open-dft/formation-energy@random/quick.html")
    before = page.evaluate("[...document.querySelectorAll('.elements g[data-symbol]')].map((g) => g.className.baseVal)")
    first = page.locator("g[data-symbol=Ag]").get_attribute("data-tip")
    page.get_by_role("combobox", name="Model").select_option(label="mean")
    after = page.evaluate("[...document.querySelectorAll('.elements g[data-symbol]')].map((g) => g.className.baseVal)")
    assert [b == "none" for b in before] == [a == "none" for a in after]
    assert before != after
    page.get_by_role("combobox", name="Model").select_option(index=0)
    assert page.locator("g[data-symbol=Ag]").get_attribute("data-tip") == first
    assert before == page.evaluate(
        "[...document.querySelectorAll('.elements g[data-symbol]')].map((g) => g.className.baseVal)"
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of 200 rows: forty models on five tasks."""
    root, out, rng = (
        tmp_path_factory.mktemp("many"),
        tmp_path_factory.mktemp("large") / "site",
        np.random.default_rng(0),
    )
    for task in suite_tasks("open-dft"):
        for k in range(40):
            add(root, task, f"model-{k:02}", 0.05 + 0.05 * k, rng)
    build_site(root, out)
    return out


@pytest.mark.slow
def test_two_hundred_rows_are_small_and_soon_painted_and_two_thousand_sort_at_once(opened, large: Path):
    """Prints what it takes: 0.2 s and 50 ms on a core of its own. The bounds are those of a core with much to do."""
    assert (large / INDEX).stat().st_size < 1e6
    page = opened(INDEX, folder=large)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert page.locator("table.sortable tbody tr").count() == 40
    assert page.evaluate(TWO_THOUSAND) == 2000
    assert page.get_by_role("button", name="Show all 2,000 rows").is_visible()
    times = [page.evaluate(SORT, k) for k in (1, 2, 3) * 3]
    print(f"200 rows: {(large / INDEX).stat().st_size / 1000:.0f} kB, painted after {painted:.0f} ms")
    print(f"2,000 rows: sorted in {min(times):.0f} ms, {np.median(times):.0f} ms in the middle")
    assert painted < 2000
    assert min(times) < 1000


TWO_THOUSAND = """() => {
  const table = document.querySelector("table.sortable");
  const rows = rowsOf(table);
  for (const row of rows.slice()) for (let k = 1; k < 50; k++) {
    const copy = row.cloneNode(true);
    for (const cell of copy.cells) if (cell.dataset.v) cell.dataset.v *= 1 + Math.random();
    rows.push(copy);
  }
  refill(table);
  return rows.length;
}"""
SORT = """(k) => {
  document.body.offsetHeight;
  const start = performance.now();
  document.querySelectorAll("thead th button")[k].click();
  document.body.offsetHeight; // laid out
  return performance.now() - start;
}"""
