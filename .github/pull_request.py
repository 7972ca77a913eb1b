"""Calls of the workflow `judge` to GitHub: download the archive of a proposal, comment on its pull request.

    pull_request.py fetch RUN ARCHIVE.zip    download the archive `proposed` of a run of the workflow `propose`
    pull_request.py comment FILE.md          write or replace the comment on the pull request of OWNER, BRANCH and SHA

It needs only the standard library, and from the runner GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ARCHIVE_BYTES = 60_000_000
AUTHOR = "github-actions[bot]"


def fetch(run: str, archive: Path) -> str:
    """Download the archive of a run, if there is one of up to `ARCHIVE_BYTES` bytes; return a line for the log."""
    if not run.isdecimal():
        raise SystemExit(f"'{run}' is not the number of a run")
    artifacts = call(f"/actions/runs/{run}/artifacts?name=proposed&per_page=1")["artifacts"]
    if not artifacts or artifacts[0]["size_in_bytes"] > ARCHIVE_BYTES:
        return "there is no archive, or it is too large"
    with open_url(f"/actions/artifacts/{int(artifacts[0]['id'])}/zip") as response:
        content = response.read(ARCHIVE_BYTES + 1)
    if len(content) > ARCHIVE_BYTES:
        return "the archive is too large"
    archive.write_bytes(content)
    return f"{len(content):,} bytes"


def comment(file: Path, owner: str, branch: str, sha: str) -> str:
    """Comment on the open pull request whose latest commit is `sha`; return a line for the log.

    The commit comes from GitHub's own event, never from the archive, in which a proposer could name another.
    """
    text = file.read_text(encoding="utf-8")
    mark = text.partition("\n")[0]
    query = urllib.parse.urlencode({"state": "open", "head": f"{owner}:{branch}", "per_page": 100})
    numbers = [int(pull["number"]) for pull in call(f"/pulls?{query}") if pull["head"]["sha"] == sha]
    if not numbers:
        return "no open pull request has this commit: it was closed, or a later commit was pushed"
    for number in numbers:
        comments = call(f"/issues/{number}/comments?per_page=100")
        own = [c for c in comments if c["user"]["login"] == AUTHOR and c["body"].startswith(mark)]
        if own:
            call(f"/issues/comments/{int(own[0]['id'])}", "PATCH", {"body": text})
        else:
            call(f"/issues/{number}/comments", "POST", {"body": text})
    return f"commented on {', '.join(f'#{number}' for number in numbers)}"


def call(path: str, method: str = "GET", body: dict[str, str] | None = None) -> Any:
    """Call GitHub and return its JSON response as Python objects."""
    with open_url(path, method, body) as response:
        return json.load(response)


def open_url(path: str, method: str = "GET", body: dict[str, str] | None = None) -> Any:
    """Open a response of GitHub about this repository."""
    url = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}{path}"
    content = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, content, {"Accept": "application/vnd.github+json"}, method=method)
    # Not sent on where a response redirects: archives are on another host, which must not see the token.
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
