"""Proposals in pull requests: the workflows' own steps, run against a repository and an imitation of GitHub's pages.

The proposer is hostile: in names, archives, predictions and code.
"""

import base64
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt
from test_pull_request_prepare import MODEL

from asugnn.version import __version__
from leaderboard.board.ground_truth import GroundTruth, load_ground_truth
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import ColumnNames, predictions_text

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}
STEPS = [
    (flow, name, step)
    for flow, about in WORKFLOWS.items()
    for name, job in about["jobs"].items()
    for step in job["steps"]
]
RUN = {(flow, job, step["name"]): step for flow, job, step in STEPS if "run" in step}
SECRET = "hunter2-of-the-host"
EVIL = "<img src=x onerror=alert(1)> @everyone [here](http://evil.example) ```` #1 \u202e"
SPY = (
    MODEL
    + """
    def __init__(self):
        for place in (pathlib.Path("stolen"), pathlib.Path.home() / "stolen"):
            place.write_text("here I was")
        raise SystemExit(f"I see {sorted(os.environ)} {list(os.environ.values())} @everyone ```")
"""
)


def truth(task: str) -> GroundTruth:
    return load_ground_truth(parse_task(task), 0)


def write(folder: Path, about: str, **files: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "about.toml").write_text(about)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def predictions(task: str, off: float = 0.1) -> str:
    held = truth(task)
    return predictions_text(held.ids, parse_task(task).target.name, (held.y + off).tolist())


# The workflows as files ----------------------------------------------------------------------------------------------


def test_the_untrusted_workflow_has_nothing_to_steal():
    flow = WORKFLOWS["propose"]
    text = (ROOT / ".github/workflows/propose.yml").read_text()
    assert flow[True] == {"pull_request": {"paths": ["submissions/*/**"]}}  # YAML 1.1 reads `on` as true
    assert flow["permissions"] == {"contents": "read"}
    assert "secrets" not in text
    assert not any("permissions" in job for job in flow["jobs"].values())


def test_the_trusted_workflow_checks_out_its_own_code_and_only_one_job_may_write():
    flow = WORKFLOWS["judge"]
    assert list(flow[True]) == ["workflow_run"]
    assert flow["permissions"] == {}
    assert flow["jobs"]["score"]["permissions"] == {"actions": "read", "contents": "read"}
    assert flow["jobs"]["comment"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "secrets" not in json.dumps(flow["jobs"]["comment"])
    for about in WORKFLOWS.values():
        for job in about["jobs"].values():
            checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@")]
            assert not any(s["with"]["persist-credentials"] for s in checkouts)
            assert not any({"ref", "repository", "allow-unsafe-pr-checkout"} & set(s["with"]) for s in checkouts)
            assert job["timeout-minutes"] <= 120


def test_actions_are_pinned_and_no_expression_reaches_a_shell():
    used = 0
    for *_, step in STEPS:
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]), step
            used += 1
        else:
            assert "${{" not in step["run"], step
    assert used == 15


def test_only_a_tag_publishes_and_no_token_is_stored():
    jobs = WORKFLOWS["release"]["jobs"]
    assert jobs["publish"]["if"] == "github.ref_type == 'tag'"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets" not in json.dumps(WORKFLOWS["release"])


def test_the_stated_versions_agree(tmp_path: Path):
    stated_versions = runpy.run_path(str(ROOT / ".github/check_release.py"))["stated_versions"]
    versions = stated_versions(ROOT, "")
    assert set(versions.values()) == {__version__}
    (tmp_path / "asugnn").mkdir()
    for name in versions:
        (tmp_path / name).write_text("" if name == "CITATION.cff" else (ROOT / name).read_text())
    assert stated_versions(tmp_path, "v9") == {**versions, "CITATION.cff": "", "tag": "9"}


def test_ci_runs_what_a_newcomer_is_told_to_on_every_python_that_is_supported():
    flow = WORKFLOWS["ci"]
    assert flow[True] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert flow["permissions"] == {"contents": "read"}
    assert "secrets" not in (ROOT / ".github/workflows/ci.yml").read_text()
    (job,) = flow["jobs"].values()
    assert "permissions" not in job
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert all(RUN["ci", "checks", name]["run"] in lines for name in ("install", "checks"))
    pythons = [tuple(map(int, version.split("."))) for version in job["strategy"]["matrix"]["python"]]
    bounds = re.search(r"\((\d+), (\d+)\) <= sys.version_info < \((\d+), (\d+)\)", (ROOT / "install").read_text())
    assert bounds
    major, lowest, _, end = map(int, bounds.groups())
    assert pythons == [(major, minor) for minor in range(lowest, end)]


# The way of a pull request -------------------------------------------------------------------------------------------


class GitHub(BaseHTTPRequestHandler):
    """The few pages that the workflow asks for, and what it said to them."""

    archive: ClassVar[bytes] = b""
    pulls: ClassVar[list[dict[str, Any]]] = []
    comments: ClassVar[list[dict[str, Any]]] = []
    seen: ClassVar[list[tuple[str, str, str | None]]] = []
    size: ClassVar[int | None] = None

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/repos/host/bench")
        self.seen.append(("GET", self.path, self.headers.get("Authorization")))
        if path == "/actions/runs/7/artifacts":
            size = len(self.archive) if self.size is None else self.size
            found = [{"id": 9, "size_in_bytes": size}] if self.archive else []
            self.answer({"artifacts": found})
        elif path == "/actions/artifacts/9/zip":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/elsewhere")
            self.end_headers()
        elif path == "/elsewhere":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.archive)
        elif path == "/pulls":
            head = parse_qs(url.query)["head"][0]
            self.answer([pull for pull in self.pulls if pull["label"] == head])
        elif path == "/issues/12/comments":
            self.answer(self.comments)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self.seen.append(("POST", self.path, self.headers.get("Authorization")))
        if self.path != "/repos/host/bench/issues/12/comments":
            return self.send_error(404)
        self.comments.append({"id": len(self.comments) + 1, "user": {"login": "github-actions[bot]"}, "body": body})
        return self.answer({})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        number = int(self.path.rpartition("/")[2])
        next(c for c in self.comments if c["id"] == number)["body"] = body
        self.answer({})

    def answer(self, said: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[dict[str, str]]:
    GitHub.archive, GitHub.pulls, GitHub.comments, GitHub.seen, GitHub.size = b"", [], [], [], None
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    yield {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "host/bench", "GITHUB_TOKEN": "token"}
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository with this code and, after its first commit, five proposals; and that commit."""
    home = tmp_path_factory.mktemp("checkout")
    skipped = shutil.ignore_patterns("__pycache__")
    for name in ("asugnn", "baselines", "leaderboard", "splits", ".github"):
        shutil.copytree(ROOT / name, home / name, ignore=skipped)
    for name in ("noxfile.py", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, home / name)
    (home / ".venv").symlink_to(sys.prefix)
    git(home, "init", "-q")
    git(home, "add", "-A")
    git(home, "commit", "-q", "-m", "base")
    base = git(home, "rev-parse", "HEAD")
    one = home / "submissions"
    write(one / "close", 'task = "open-dft/bulk-modulus"', predictions_csv=predictions("open-dft/bulk-modulus", 0.01))
    both = 'task = ["open-dft/bulk-modulus", "open-dft/metal"]\nmodel = "Mean"'
    write(one / "average", both, model_py=MODEL)
    write(one / "spy", 'task = "open-dft/metal"\nmodel = "Mean"', model_py=SPY)
    evil = f"id,bulk-modulus\n{EVIL},1\n```,2\n"
    write(one / "evil", 'task = "open-dft/bulk-modulus"', predictions_csv=evil)
    write(one / "nothing", 'task = "open-dft/bulk-modulus"')
    git(home, "add", "-A")
    git(home, "commit", "-q", "-m", "propose")
    return home, base


def git(home: Path, *words: str) -> str:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=home, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def step(flow: str, job: str, name: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a step of a workflow as a runner does: its text, by bash -e, with the variables that it names."""
    about = RUN[flow, job, name]
    assert set(about.get("env", {})) <= env.keys()
    kept = {k: v for k, v in os.environ.items() if k not in {"BENCH_DATA", "BENCH_SOLUTION"}}
    more = {"PYTHONPATH": str(home), "RUNNER_TEMP": str(home.parent / "temp"), **env}
    Path(more["RUNNER_TEMP"]).mkdir(exist_ok=True)
    words = ["bash", "-e", "-c", about["run"]]
    return subprocess.run(words, cwd=home, env={**kept, **more}, capture_output=True, text=True, check=False)


def rendered(comment: str) -> tuple[str, str]:
    """The comment as HTML, and the same without what stands as code."""
    html = MarkdownIt("gfm-like", {"linkify": False}).render(comment)
    return html, re.sub(r"<code[^>]*>.*?</code>", "", html, flags=re.DOTALL)


@pytest.fixture(scope="module")
def prepared(checkout: tuple[Path, str]) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """What the first workflow says, and the archive that it leaves."""
    home, base = checkout
    done = step("propose", "prepare", "prepare", home, BASE=base, SOLUTION=SECRET, GITHUB_TOKEN=SECRET)
    archive = shutil.make_archive(str(home.parent / "proposed"), "zip", home / "proposed")
    return done, Path(archive).read_bytes()


def test_a_pull_request_is_scored_and_answered(checkout, prepared, github, tmp_path: Path):
    home, _ = checkout
    done, GitHub.archive = prepared
    assert done.returncode == 1  # three of the five could not be prepared or trained: the contributor's check is red
    sha = git(home, "rev-parse", "HEAD")
    GitHub.pulls = [{"number": 12, "label": "stranger:a b&c=$(x)", "head": {"sha": sha}}]
    temp = {"RUNNER_TEMP": str(tmp_path)}
    fetched = step("judge", "score", "fetch", home, RUN="7", **github, **temp)
    assert fetched.stdout.strip() == f"{len(GitHub.archive):,} bytes", fetched.stderr
    assert [token for _, path, token in GitHub.seen if path == "/elsewhere"] == [None]
    scored = step("judge", "score", "score", home, SOLUTION="", **temp)
    assert scored.returncode == 0, scored.stderr
    whose = {"OWNER": "stranger", "BRANCH": "a b&c=$(x)", "SHA": sha}
    for _ in range(2):
        said = step("judge", "comment", "comment", home, **github, **whose, **temp)
        assert said.stdout.strip() == "commented on #12", said.stderr
    (comment,) = [c["body"] for c in GitHub.comments]
    assert re.search(r"\| 1 \| \*\*`close`\*\*, submitted \| 0\.0100 ★ ", comment)
    assert "| **`average`**, submitted |" in comment
    assert comment.count("scored by the labels of the data set") == 3
    assert "there must be either predictions.csv or model.py" in comment
    html, outside = rendered(comment)
    assert html.count("<h3>") == 5
    assert html.count("<table>") == 3
    for dead in ("<a", "<img", "<script", "@everyone", "evil.example", "onerror"):
        assert dead not in outside
    assert "@everyone" in html
    assert "\u202e" not in comment


def test_the_proposers_code_sees_no_secret_and_is_ended_where_it_began(checkout, prepared):
    home, _ = checkout
    done, archive = prepared
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        fault = file.read("spy/fault.txt").decode()
    assert "I see [" in fault
    assert SECRET not in fault
    assert SECRET not in done.stdout + done.stderr
    assert not any(name in fault for name in ("GITHUB_TOKEN", "SOLUTION"))
    assert not (home / "stolen").exists()
    assert not (Path.home() / "stolen").exists()
    assert git(home, "status", "--porcelain", "--untracked-files=no") == ""


def test_the_hosts_solution_is_used_by_the_trusted_part_alone(checkout, prepared, tmp_path: Path):
    """Its labels differ from those of the data set, so a score shows which of them were taken."""
    home, _ = checkout
    task = parse_task("open-dft/bulk-modulus")
    from leaderboard.submissions.competition import export_competition

    export_competition(task, 0, tmp_path / "made", True, ColumnNames("id", "bulk-modulus"), "")
    host = tmp_path / "made" / "host"
    lines = (host / "solution.csv").read_text().splitlines()
    moved = [f"{i},{float(y) + 1.0!r},{usage}" for i, y, usage in (line.split(",") for line in lines[1:])]
    (host / "solution.csv").write_text("\n".join([lines[0], *moved]) + "\n")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(host, ".")
    temp = tmp_path / "temp"
    temp.mkdir()
    (temp / "proposed.zip").write_bytes(prepared[1])
    secret = base64.b64encode(packed.getvalue()).decode()
    scored = step("judge", "score", "score", home, SOLUTION=secret, RUNNER_TEMP=str(temp))
    assert scored.returncode == 0, scored.stderr
    comment = (temp / "comment.md").read_text()
    public = sum(line.endswith(",Public") for line in moved)
    scope = "Fold 0, scored by the public rows of the host's solution"
    assert f"{scope}: {task.name}: {task.target.meaning}; {public} public test" in comment
    assert re.search(r"`close`\*\*, submitted \| \*?\*?0\.990", comment)
    assert not any(line.split(",")[1] in comment for line in moved)


@pytest.mark.parametrize(
    ("archive", "size", "sentence"),
    [(b"", None, "there is no archive"), (b"x", 60_000_001, "it is too large"), (b"x" * 10, None, "10 bytes")],
)
def test_an_archive_is_fetched_within_bounds(
    archive: bytes, size: int, sentence: str, checkout, github, tmp_path: Path
):
    GitHub.archive, GitHub.size = archive, size
    done = step("judge", "score", "fetch", checkout[0], RUN="7", **github, RUNNER_TEMP=str(tmp_path))
    assert sentence in done.stdout
    assert (tmp_path / "proposed.zip").exists() == ("bytes" in sentence)
    scored = step("judge", "score", "score", checkout[0], SOLUTION="", RUNNER_TEMP=str(tmp_path))
    assert scored.returncode == 0
    assert "The archive of this pull request cannot be scored" in (tmp_path / "comment.md").read_text()


def test_no_comment_goes_to_another_pull_request(checkout, github, tmp_path: Path):
    (tmp_path / "comment.md").write_text("mark\n")
    GitHub.pulls = [{"number": 12, "label": "stranger:main", "head": {"sha": "0" * 40}}]
    whose = {"OWNER": "stranger", "BRANCH": "main", "SHA": "1" * 40, "RUNNER_TEMP": str(tmp_path)}
    said = step("judge", "comment", "comment", checkout[0], **github, **whose)
    assert "no open pull request has this commit" in said.stdout
    assert GitHub.comments == []


def test_a_foreign_comment_is_not_overwritten(checkout, github, tmp_path: Path):
    (tmp_path / "comment.md").write_text("mark\nnew\n")
    GitHub.comments = [{"id": 1, "user": {"login": "stranger"}, "body": "mark\nmine"}]
    GitHub.pulls = [{"number": 12, "label": "stranger:main", "head": {"sha": "0" * 40}}]
    whose = {"OWNER": "stranger", "BRANCH": "main", "SHA": "0" * 40, "RUNNER_TEMP": str(tmp_path)}
    step("judge", "comment", "comment", checkout[0], **github, **whose)
    assert [c["body"] for c in GitHub.comments] == ["mark\nmine", "mark\nnew\n"]
