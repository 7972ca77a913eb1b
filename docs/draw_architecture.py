"""Draw docs/architecture.svg, the rooms of the code and what each imports, from the imports: `nox -s docs`.

A room stands one floor above the highest room that it imports. Only the arrows that do not follow from others are
drawn: where a imports b and b imports c, an arrow from a to c would say nothing new.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from xml.sax.saxutils import escape

from read_imports import arrows_between_rooms, count_floors, list_modules, list_rooms, read_imports

ROOT = Path(__file__).resolve().parent.parent
WIDTH, LEFT = 390, 22  # of the picture, a phone's; of the column with the numbers of the floors
FLOOR, BOX = 68, 30  # heights
LETTER, PADDING, CORRIDOR = 7.2, 18, 12  # widths: of a letter, beside a name, of an arrow that passes a floor
STYLE = """
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #6e7781; --line: #57606a; --room: #eef4fb; --edge: #3b6ea5;
        --other: #fdf3e1; --otheredge: #9a6700; --ground: #f6f8fa }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --faint: #8d96a0; --line: #9aa4af; --room: #14283f; --edge: #6ea8e5;
          --other: #33270d; --otheredge: #d9a441; --ground: #151b23 } }
  text { font: 600 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); text-anchor: middle }
  .floor { font-weight: 400; font-size: 11px; fill: var(--faint) }
  .paper { fill: var(--paper) } .storey { fill: var(--ground) }
  .room { fill: var(--room); stroke: var(--edge); stroke-width: 1.2 }
  .other { fill: var(--other); stroke: var(--otheredge); stroke-width: 1.2 }
  .arrow { fill: none; stroke: var(--line); stroke-width: 1.2 } .head { fill: var(--line) }
"""

Arrows = Mapping[str, set[str]]
Place = tuple[int, str, str]  # floor, and a room and ""; or the rooms from and to which an arrow passes the floor


def read_house(root: Path = ROOT) -> dict[str, set[str]]:
    """The rooms that import or are imported, each with the rooms that it imports.

    The package `leaderboard` itself is no room: what it offers is in `api`.
    """
    modules = list_modules(root)
    rooms = list_rooms(modules)
    arrows = arrows_between_rooms(read_imports(modules), rooms)
    arrows.pop("leaderboard", None)
    joined = set().union(*arrows.values()) | {room for room, others in arrows.items() if others}
    return {room: arrows[room] for room in sorted(joined)}


def reduce_arrows(arrows: Arrows) -> dict[str, set[str]]:
    """The arrows that do not follow from others."""

    def below(room: str) -> set[str]:
        return set().union(arrows[room], *(below(other) for other in arrows[room]))

    return {room: others - set().union(*(below(o) for o in others)) for room, others in arrows.items()}


def trace_arrows(drawn: Arrows, floors: Mapping[str, int]) -> list[list[Place]]:
    """The places that each arrow passes, floor by floor, from the room that imports to the one that is imported."""
    return [
        [
            (floors[room], room, ""),
            *((level, room, other) for level in range(floors[room] - 1, floors[other], -1)),
            (floors[other], other, ""),
        ]
        for room in sorted(drawn)
        for other in sorted(drawn[room])
    ]


def arrange_floors(floors: Mapping[str, int], traces: Iterable[list[Place]]) -> dict[Place, float]:
    """The middle of every place, in pixels from the left.

    On each floor, places are sorted by the mean position of what they are joined to, in sweeps up and down (Sugiyama,
    Tagawa & Toda 1981), and stand with equal gaps.
    """
    joined: dict[Place, set[Place]] = {(floor, room, ""): set() for room, floor in floors.items()}
    for trace in traces:
        for upper, lower in pairwise(trace):
            joined.setdefault(upper, set()).add(lower)
            joined.setdefault(lower, set()).add(upper)
    rows = [sorted(place for place in joined if place[0] == floor) for floor in range(max(floors.values()) + 1)]
    middle: dict[Place, float] = {}
    for row in rows:
        middle |= spread_row(row)
    levels = range(len(rows))
    for sweep in range(12):
        side = 1 if sweep % 2 else -1  # which neighbours decide: those above, those below
        for level in reversed(levels) if sweep % 2 else levels:
            near = {p: [middle[q] for q in joined[p] if q[0] == level + side] for p in rows[level]}
            rows[level].sort(key=lambda p: (fmean(near[p]) if near[p] else middle[p], p))
            middle |= spread_row(rows[level])
    return middle


def spread_row(row: list[Place]) -> dict[Place, float]:
    """The middles of the places of one floor, with equal gaps between them."""
    widths = [box_width(room) if not passing else CORRIDOR for _, room, passing in row]
    gap = (WIDTH - LEFT - sum(widths)) / (len(row) + 1)
    return {place: LEFT + gap * (i + 1) + sum(widths[:i]) + widths[i] / 2 for i, place in enumerate(row)}


def short_name(room: str) -> str:
    """The name of a room as it is written in the picture: without the package that most rooms lie in."""
    return room.removeprefix("leaderboard.").replace(".", "/")


def box_width(room: str) -> float:
    """In pixels."""
    return LETTER * len(short_name(room)) + PADDING


def draw(root: Path = ROOT) -> str:
    """The picture, as SVG."""
    arrows = read_house(root)
    floors = count_floors(arrows)
    traces = trace_arrows(reduce_arrows(arrows), floors)
    middle = arrange_floors(floors, traces)
    top = max(floors.values())
    height = FLOOR * (top + 1) + 8

    def y(floor: int) -> float:
        return FLOOR * (top - floor) + 8 + FLOOR / 2

    parts = [f'<rect class="paper" width="{WIDTH}" height="{height}"/>']
    for floor in range(top + 1):
        if floor % 2 == 0:
            parts.append(f'<rect class="storey" y="{y(floor) - FLOOR / 2:g}" width="{WIDTH}" height="{FLOOR}"/>')
        parts.append(f'<text class="floor" x="{LEFT / 2 + 2:g}" y="{y(floor) + 4:g}">{floor}</text>')
    for trace in traces:
        start, end = trace[0], trace[-1]
        points = [(middle[start], y(start[0]) + BOX / 2)]
        for place in trace[1:-1]:
            points += [(middle[place], y(place[0]) - BOX / 2), (middle[place], y(place[0]) + BOX / 2)]
        points.append((middle[end], y(end[0]) - BOX / 2 - 5))
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        for (x0, y0), (x1, y1) in pairwise(points):
            half = (y0 + y1) / 2
            path += f"C{x0:.1f} {half:.1f} {x1:.1f} {half:.1f} {x1:.1f} {y1:.1f}"
        x, tip = points[-1][0], points[-1][1] + 5
        parts.append(f'<path class="arrow" d="{path}"/><path class="head" d="M{x:.1f} {tip:.1f}l-3.5 -7h7z"/>')
    for room, floor in sorted(floors.items(), key=lambda item: (-item[1], item[0])):
        width, x = box_width(room), middle[floor, room, ""]
        kind = "room" if room.startswith("leaderboard") else "other"
        parts.append(
            f'<rect class="{kind}" x="{x - width / 2:.1f}" y="{y(floor) - BOX / 2:g}" width="{width:.1f}" '
            f'height="{BOX}" rx="6"/><text x="{x:.1f}" y="{y(floor) + 4:g}">{escape(short_name(room))}</text>'
        )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title">\n<title id="title">The rooms of the code, and what each of them imports'
        f"</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def count_house(root: Path = ROOT) -> tuple[int, int, int, int]:
    """How many rooms, floors, arrows, and arrows that do not follow from others there are."""
    arrows = read_house(root)
    drawn = reduce_arrows(arrows)
    counts = [sum(len(others) for others in kind.values()) for kind in (arrows, drawn)]
    return len(arrows), max(count_floors(arrows).values()) + 1, *counts


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "architecture.svg"
    path.write_text(draw(), encoding="utf-8")
    print("{} rooms on {} floors, {} arrows between rooms, {} of them drawn".format(*count_house()))
