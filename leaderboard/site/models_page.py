"""The page of the models: a card each, with what it is, where it was published, its size, cost and training data."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from asugnn.model import Publication
from asugnn.model_registry import ModelEntry, list_models, model_publication
from leaderboard._util import one_line, safe_name
from leaderboard.board import Row
from leaderboard.data import parse_task
from leaderboard.records import PUBLISHED, SUBMITTED, PublishedReference, base_name
from leaderboard.reports import format_count
from leaderboard.site.formatting import html_range, html_seconds
from leaderboard.site.provenance import publication_links
from leaderboard.site.view_model import SiteData, address, anchor_of_row, page_of_task

PAGE = "models.html"
LONGEST = 2000  # characters of a docstring that are shown
CODE = re.compile(r"`([^`]+)`")


def card_of_row(stored: SiteData, row: Row) -> str:
    """Where the card of a row's model is, in the folder of the site; empty for what was handed in, which has none."""
    return address(PAGE, _anchor(name)) if (name := _model_of(stored, row)) else ""


def models_values(stored: SiteData) -> dict[str, Any]:
    """The values of models.html."""
    lines: dict[str, list[tuple[Row, dict[str, Any]]]] = {}  # by the name of a card
    for board in stored.boards:
        for row in board.rows:
            if name := _model_of(stored, row):
                page = address(page_of_task(parse_task(row.task), board.preset), anchor_of_row(row))
                lines.setdefault(name, []).append((row, {"row": row, "page": page}))
    installed = {entry.name: entry for entry in list_models(lines)}
    order = [*installed, *sorted(name for name in lines if name not in installed)]
    return {"cards": [_card(name, installed.get(name), lines[name]) for name in order]}


def _model_of(stored: SiteData, row: Row) -> str:
    """The name of a row's model without its settings: that of its entry point or file, or of a public board's entry."""
    if row.preset == SUBMITTED:
        return ""
    return row.model if row.preset == PUBLISHED else one_line(base_name(stored.runs(row)[0].record.entry or row.model))


def _anchor(name: str) -> str:
    return f"model-{safe_name(name)}"


def _card(name: str, entry: ModelEntry | None, lines: Sequence[tuple[Row, Mapping[str, Any]]]) -> dict[str, Any]:
    rows = [row for row, _ in lines]
    model = entry.model if entry else None
    published = next((row.published for row in rows if row.published), None)
    trained = [row.trained for row in rows if row.trained]
    return {
        "name": name,
        "anchor": _anchor(name),
        "text": _paragraphs(model) if model else [],
        "links": publication_links(_publication(entry, published)),
        "package": entry.distribution if entry and entry.model else "",
        "reason": entry.reason if entry else "",
        "published": published,
        "in_file": entry is None and published is None,
        "parameters": html_range([row.parameters for row in rows if row.parameters], lambda n: format_count(int(n))),
        "trained": html_range(trained, lambda n: f"{n:,.0f}"),
        "seconds": html_range([row.seconds_train for row in rows if row.seconds_train is not None], html_seconds),
        "pretrained": list(dict.fromkeys(row.pretrained_on for row in rows if row.pretrained_on)),
        "lines": [line for _, line in lines],
    }


def _publication(entry: ModelEntry | None, published: PublishedReference | None) -> Publication | None:
    """Where a model was published, as its class says, or the public board whose entry it is."""
    if published:
        return Publication(published.authors, published.reference.removeprefix("doi.org/"))
    return model_publication(entry.model) if entry and entry.model else None


def _paragraphs(model: type) -> list[Markup]:
    """The paragraphs of a class's docstring, with its code marked; none of the one that a dataclass gives itself."""
    docstring = inspect.cleandoc(model.__doc__ or "")
    if docstring.startswith(f"{model.__name__}("):
        return []
    parts = [" ".join(part.split()) for part in docstring[:LONGEST].split("\n\n")]
    return [Markup(CODE.sub(r"<code>\1</code>", str(escape(part)))) for part in parts if part]
