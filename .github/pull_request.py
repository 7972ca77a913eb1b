"""What the workflow `judge` asks GitHub for: the archive of a proposal, and a comment on its pull request.

    pull_request.py fetch RUN ARCHIVE.zip    the archive `proposed` of a run of the workflow `propose`
    pull_request.py comment FILE.md          one comment on the pull request of OWNER, BRANCH and SHA, or that one anew

The standard library alone, and the environment of a runner: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

MOST = 60_000_000  # bytes of an archive
AUTHOR = "github-actions[bot]"


def fetch(run: str, archive: Path) -> str:
    """Write the archive of a run, if it left one of no more than `MOST` bytes; returns what was done."""
    if not run.isdecimal():
        raise SystemExit(f"'{run}' is no number of a run")
    listed = call(f"/actions/runs/{run}/artifacts?name=proposed&per_page=1")["artifacts"]
    if not listed or listed[0]["size_in_bytes"] > MOST:
        return "there is no archive, or it is too large"
    with opened(f"/actions/artifacts/{int(listed[0]['id'])}/zip") as answer:
        content = answer.read(MOST + 1)
    if len(content) > MOST:
        return "the archive is too large"
    archive.write_bytes(content)
    return f"{len(content):,} bytes"


def comment(file: Path, owner: str, branch: str, sha: str) -> str:
    """Comment on the open pull request whose latest commit is `sha`; returns what was done.

    Which one that is comes from GitHub's own event, never from the archive: a proposer could name another.
    """
    text = file.read_text(encoding="utf-8")
    mark = text.partition("\n")[0]
    asked = urllib.parse.urlencode({"state": "open", "head": f"{owner}:{branch}", "per_page": 100})
    numbers = [int(pull["number"]) for pull in call(f"/pulls?{asked}") if pull["head"]["sha"] == sha]
    if not numbers:
        return "no open pull request has this commit: it was closed, or has a later one"
    for number in numbers:
        known = call(f"/issues/{number}/comments?per_page=100")
        mine = [c for c in known if c["user"]["login"] == AUTHOR and c["body"].startswith(mark)]
        if mine:
            call(f"/issues/comments/{int(mine[0]['id'])}", "PATCH", {"body": text})
        else:
            call(f"/issues/{number}/comments", "POST", {"body": text})
    return f"commented on {', '.join(f'#{number}' for number in numbers)}"


def call(path: str, method: str = "GET", body: dict[str, str] | None = None) -> Any:
    """What GitHub answers, as Python objects."""
    with opened(path, method, body) as answer:
        return json.load(answer)


def opened(path: str, method: str = "GET", body: dict[str, str] | None = None) -> Any:
    """An open answer of GitHub to a question about this repository."""
    url = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}{path}"
    content = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, content, {"Accept": "application/vnd.github+json"}, method=method)
    # Not sent on to where an answer redirects: archives lie with another host, which must not see the token.
    request.add_unredirected_header("Authorization", f"Bearer {os.environ['GITHUB_TOKEN']}")
    return urllib.request.urlopen(request, timeout=60)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fetch", run, archive]:
            print(fetch(run, Path(archive)))
        case ["comment", file]:
            print(comment(Path(file), os.environ["OWNER"], os.environ["BRANCH"], os.environ["SHA"]))
        case _:
            raise SystemExit(__doc__)
