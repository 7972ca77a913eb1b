"""What a newcomer asks first of a board: when it was made, from which commits, and where repository and paper are."""

from __future__ import annotations

import importlib.metadata
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from asugnn.model import Publication
from asugnn.model_registry import list_models, model_publication
from leaderboard._util import one_line
from leaderboard.records import StoredRun

DISTRIBUTION = "asugnn-bench"
REPOSITORY_LABELS = {"repository", "source", "source code"}  # of a project's address, as packages name it
COMMITS = 4  # that are listed
LONGEST = 40  # characters of a commit that are shown
DOI = re.compile(r"10\.\d{4,9}/\S+")


def provenance_values(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """When the runs of a site were made and from which commits, the most frequent first, repository and paper.

    All of it is from records and metadata: the same runs give the same values, whenever they are shown.
    """
    dates = sorted(date for run in runs if (date := _parse_date(run.record.finished)))
    commits = Counter(one_line(run.record.commit)[:LONGEST] for run in runs if run.record.commit)
    listed = sorted(commits, key=lambda commit: (-commits[commit], commit))
    return {
        "runs": len(runs),
        "newest": _format_date(dates[-1]) if dates else "",
        "oldest": _format_date(dates[0]) if dates else "",
        "commits": [(commit, commits[commit]) for commit in listed[:COMMITS]],
        "other_commits": len(listed[COMMITS:]),
        "changed": any(commit.endswith("+") for commit in listed[:COMMITS]),
        "repository": find_repository(),
        "paper": publication_links(_paper()),
    }


def find_repository() -> str:
    """Find the address of the repository in the metadata of the package; empty where they name none."""
    try:
        stated: list[str] = importlib.metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    for line in stated:
        label, _, url = line.partition(",")
        if label.strip().lower() in REPOSITORY_LABELS and url.strip().startswith("https://"):
            return url.strip()
    return ""


def publication_links(publication: Publication | None) -> dict[str, str]:
    """Paper, code and licence of a publication with the addresses that are safe to link; empty without any."""
    if publication is None:
        return {}
    doi, code = one_line(str(publication.doi)), one_line(str(publication.code))
    return {
        "paper": one_line(str(publication.paper)),
        "doi": doi,
        "doi_url": f"https://doi.org/{quote(doi)}" if DOI.fullmatch(doi) else "",
        "code": code.removeprefix("https://"),
        "code_url": code if code.startswith("https://") else "",
        "licence": one_line(str(publication.licence)),
    }


def _paper() -> Publication | None:
    """The publication whose comparison this project repeats: that of ASUGNN."""
    return next((model_publication(entry.model) for entry in list_models(["asugnn"]) if entry.model), None)


def _parse_date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _format_date(date: datetime) -> str:
    return f"{date.day} {date:%B} {date.year}"
