"""The site's figures as SVG: intervals, cost, parity, residuals, ROC curve, confusion, history.

They are drawn when the site is made, so that they are there without the script, which adds what a pointer shows: it
finds positions anew from the axes and the predictions that stand beside a figure. Colours are in the style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from asugnn.crystal import Floats
from leaderboard.board import MetricValue, Row, pareto_front
from leaderboard.scoring import THRESHOLD, Metric, roc_curve
from leaderboard.site.formatting import html_interval, html_number
from leaderboard.site.svg_axes import Axis, axes_frame, svg_figure, svg_number, svg_path, svg_text

LAYERS = 12  # paths that points are dealt to: within one path they do not add up to darker places
FLOOR = {"train": 0.1, "predict": 0.001}  # the least cost that the axis shows, in s and ms: below is as good as none
COSTS = ("train", "predict")
LABELLED = 14  # rows up to which each point of a cost figure may carry its name


@dataclass(frozen=True)
class Points:
    """Labels and predictions of all runs of a row: both (n,)."""

    y: Floats
    p: Floats


def interval_span(values: Sequence[MetricValue]) -> tuple[float, float] | None:
    """What the interval bars of a column show: all intervals, but of values far beyond the rest only a part."""
    ends = [v for v in values if v.value is not None]
    if not ends:
        return None
    low = min(v.value if v.low is None else v.low for v in ends if v.value is not None)
    highs = [v.value if v.high is None else v.high for v in ends if v.value is not None]
    high = min(max(highs), low + 2.5 * (float(np.median(highs)) - low) or max(highs))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def interval_bar(value: MetricValue, within: tuple[float, float], best: bool, width: int) -> Markup:
    """An interval with its value as a mark; in the strong colour if no model is significantly better."""
    if value.value is None:
        return Markup()
    low, high = within
    scale = Axis(low, high, 3, width - 3)
    kind = "bar best" if best else "bar"
    mark = svg_number(scale.at(value.value))
    beyond = Markup('<path class="beyond" d="M{} 1l4 4l-4 4"/>').format(width - 5)
    drawn = beyond if value.value > high else Markup('<circle cx="{}" cy="5" r="3"/>').format(mark)
    if value.low is not None and value.high is not None:
        a, b = (svg_number(scale.at(v)) for v in (value.low, value.high))
        drawn = Markup('<path d="M{} 5H{}"/>').format(a, b) + drawn
    return Markup('<svg class="{}" width="{}" height="10" aria-hidden="true">{}</svg>').format(kind, width, drawn)


def rank_line(row: Row, count: int) -> Markup:
    """The ranks that a row can hold, as a line over all of the table's."""
    if row.rank is None or row.rank_high is None:
        return Markup()
    scale = Axis(1, max(count, 2), 4, 56)
    a, b = scale.at(row.rank), scale.at(row.rank_high)
    kind = "bar best" if row.rank == 1 else "bar"
    return Markup(
        '<svg class="{}" width="60" height="10" aria-hidden="true"><path class="all" d="M4 5H56"/>'
        '<path class="places" d="M{} 5h{}"/></svg>'
    ).format(kind, svg_number(a), svg_number(max(b - a, 0.5)))


def cost_figure(rows: Sequence[Row], metric: Metric, cost: str) -> Markup | None:
    """A metric over what it costs: `train` in seconds, or `predict` in milliseconds per crystal.

    None where no row has both.
    """
    values_of = {row.title: row.metrics[metric.name].value for row in rows}
    shown = [(r, s, v) for r in rows if (s := _spent(r, cost)) is not None and (v := values_of[r.title]) is not None]
    if not shown:
        return None
    first = shown[0][0]
    values = np.array([v for _, _, v in shown])
    spent = np.array([max(s, FLOOR[cost]) for _, s, _ in shown])
    width, height = 300, 236
    x = Axis.over(spent, 54, width - 12, log=True, room=0.1)
    logarithmic = not metric.higher_is_better and float(values.min()) > 0
    y = Axis.over(values, height - 44, 12, log=logarithmic, room=0.08)
    unit = f", {first.unit}" if metric.has_unit and first.unit else ""
    across = "training, s" if cost == "train" else "prediction, ms per crystal"
    parts = [axes_frame(x, y, across, f"{metric.title}{unit}")]
    sign = -1 if metric.higher_is_better else 1
    front = pareto_front([(sign * v, s) for _, s, v in shown])
    front.sort(key=lambda i: shown[i][1])
    xs, ys = x(spent), y(values)
    if len(front) > 1:
        parts.append(Markup('<path class="front" d="{}"/>').format(_steps(xs[front], ys[front])))
    for i, (row, spent_here, score) in enumerate(shown):
        said = f"{row.title}: {metric.title} {html_number(score)}{unit.replace(',', '')}"
        value = row.metrics[metric.name]
        said += f" ({html_interval(value)})" if value.low is not None else ""
        said += f"; {_brief(spent_here)} {'s to train' if cost == 'train' else 'ms per crystal'}"
        kind = "dot best" if i in front else "dot other" if row.pretrained_on else "dot"
        place = svg_number(xs[i]), svg_number(ys[i])
        parts.append(Markup('<circle class="{}" cx="{}" cy="{}" r="4.5" data-tip="{}"/>').format(kind, *place, said))
    if len(shown) <= LABELLED:
        parts.append(_names([row.title for row, _, _ in shown], xs, ys, width))
    best = ", ".join(shown[i][0].title for i in front)
    about = (
        f"{metric.title} over {across.partition(',')[0]} of {len(shown)} models; none both better and cheaper: {best}"
    )
    return svg_figure(width, height, about, Markup("").join(parts))


def parity_figure(points: Points, over: tuple[float, float], unit: str, size: int) -> tuple[Markup, int]:
    """Predictions over labels, and how many lie beyond the axes and stand at their edge."""
    x = Axis(*over, 54, size - 8)
    y = Axis(*over, size - 44, 18)
    ideal = Markup('<path class="ideal" d="{}"/>').format(svg_path(x(np.array(over)), y(np.array(over))))
    drawn = axes_frame(x, y, f"label, {unit}", f"prediction, {unit}") + ideal + _cloud(x(points.y), y(points.p))
    beyond = int(((points.p < over[0]) | (points.p > over[1])).sum())
    about = f"predictions over labels of {len(points.y):,} crystals"
    return _live("parity", x, y, size, about, drawn), beyond


def parity_limits(points: Sequence[Points]) -> tuple[float, float]:
    """The axes of parity figures: all labels, and predictions as far as half of the labels' range beyond."""
    y = np.concatenate([one.y for one in points])
    p = np.concatenate([one.p for one in points])
    room = 0.5 * (float(np.ptp(y)) or 1.0)
    low, high = max(min(y.min(), p.min()), y.min() - room), min(max(y.max(), p.max()), y.max() + room)
    pad = 0.04 * (high - low)
    return float(low - pad), float(high + pad)


def residual_histogram(points: Points, limit: float, unit: str, width: int, height: int) -> Markup:
    """How many crystals have which error; the outermost bars hold what lies beyond."""
    edges = np.linspace(-limit, limit, 42)
    counts, _ = np.histogram(np.clip(points.p - points.y, -limit, limit), edges)
    x = Axis(-limit, limit, 54, width - 8)
    y = Axis(0, max(int(counts.max()), 1) * 1.05, height - 44, 8)
    parts = [axes_frame(x, y, f"prediction − label, {unit}", "crystals")]
    for a, b, n in zip(x(edges[:-1]).tolist(), x(edges[1:]).tolist(), counts.tolist(), strict=True):
        if n:
            top = y.at(n)
            place = (f"{v:.1f}" for v in (a + 0.5, top, b - a - 1, y.start - top))
            parts.append(Markup('<rect class="count" x="{}" y="{}" width="{}" height="{}"/>').format(*place))
    zero = svg_number(x.at(0))
    parts.append(Markup('<path class="ideal" d="M{} {}V8"/>').format(zero, svg_number(y.start)))
    return svg_figure(width, height, f"histogram of errors of {len(points.y):,} crystals", Markup("").join(parts))


def residual_figure(points: Points, over: tuple[float, float], limit: float, unit: str, size: int) -> Markup:
    """The error of each crystal over its label."""
    x = Axis(*over, 54, size - 8)
    y = Axis(-limit, limit, size - 44, 18)
    zero = svg_number(y.at(0))
    ideal = Markup('<path class="ideal" d="M54 {}H{}"/>').format(zero, size - 8)
    drawn = axes_frame(x, y, f"label, {unit}", f"prediction − label, {unit}") + ideal
    drawn += _cloud(x(points.y), y(points.p - points.y))
    return _live("residual", x, y, size, f"errors over labels of {len(points.y):,} crystals", drawn)


def residual_limit(points: Sequence[Points]) -> float:
    """How far axes of errors go: twice what holds 19 of 20 crystals of the middle model."""
    middle = float(np.median([np.quantile(abs(one.p - one.y), 0.95) for one in points]))
    return min(2 * middle, 1e100) or 1.0


def roc_figure(curves: Sequence[Sequence[Points]], mine: int, size: int) -> Markup:
    """The share of class 1 that is found over the share of class 0 taken for it: one row's runs, the others in grey."""
    x, y = Axis(0, 1, 54, size - 8), Axis(0, 1, size - 44, 18)
    drawn = axes_frame(x, y, "false positive rate", "true positive rate")
    drawn += Markup('<path class="ideal" d="{}"/>').format(svg_path(x(np.array([0.0, 1])), y(np.array([0.0, 1]))))
    for kind, some in (("curve other", [*curves[:mine], *curves[mine + 1 :]]), ("curve", [curves[mine]])):
        for run in (run for runs in some for run in runs):
            false, true = roc_curve(run.y, run.p)
            drawn += Markup('<path class="{}" d="{}"/>').format(kind, svg_path(x(false), y(true)))
    return svg_figure(size, size, "receiver operating characteristic, beside those of the other models", drawn)


def confusion_counts(points: Points) -> list[list[int]]:
    """Counts by label, class 1 first, and by what is said at a probability of one half, class 1 first."""
    said = points.p >= THRESHOLD
    return [[int(((points.y == k) & (said == bool(s))).sum()) for s in (1, 0)] for k in (1, 0)]


def probability_figure(points: Points, size: int) -> Markup:
    """The probability that each crystal got, class 1 above class 0, spread out so that points can be seen."""
    x, y = Axis(-0.02, 1.02, 54, size - 8), Axis(-0.5, 1.5, size - 44, 18)
    drawn = axes_frame(x, y, "probability of class 1", "class by label", [(0.0, "0"), (1.0, "1")])
    drawn += Markup('<path class="ideal" d="M{} {}V18"/>').format(svg_number(x.at(THRESHOLD)), size - 44)
    drawn += _cloud(x(points.p), y(points.y + spread_points(len(points.y))))
    return _live("probability", x, y, size, f"probabilities of {len(points.y):,} crystals", drawn)


def spread_points(n: int) -> Floats:
    """(n,) offsets between -0.35 and 0.35, even and the same every time; the script has the same."""
    out: Floats = 0.7 * np.mod(np.arange(n) * 0.618033988749895, 1) - 0.35
    return out


def history_figure(columns: dict[str, list[float]], width: int, height: int) -> Markup | None:
    """Training loss and validation score over the epochs; None without any that can be drawn."""
    curves = {k: np.array(columns[k]) for k in ("train", "val") if k in columns}
    good = np.concatenate([c[np.isfinite(c) & (c > 0)] for c in curves.values()]) if curves else np.zeros(0)
    if not len(good):
        return None
    epochs = max(len(c) for c in curves.values())
    x = Axis(1, max(epochs, 2), 54, width - 12)
    y = Axis.over(good, height - 44, 10, log=True)
    drawn = axes_frame(x, y, "epoch", "loss, score")
    for name, curve in curves.items():
        keep = np.isfinite(curve) & (curve > 0)
        xs, ys = x(np.arange(1, len(curve) + 1)[keep].astype(float)), y(curve[keep])
        drawn += Markup('<path class="curve {}" d="{}"/>').format(name, svg_path(xs, ys))
    return svg_figure(width, height, f"training loss and validation score over {epochs} epochs", drawn)


def _spent(row: Row, cost: str) -> float | None:
    if cost == "train":
        return row.seconds_train
    return None if row.seconds_predict is None else 1e3 * row.seconds_predict / max(row.n / len(row.runs), 1)


def _steps(xs: Floats, ys: Floats) -> str:
    start = f"M{svg_number(xs[0])} {svg_number(ys[0])}"
    return start + "".join(f"H{svg_number(x)}V{svg_number(y)}" for x, y in zip(xs[1:], ys[1:], strict=True))


def _names(names: Sequence[str], xs: Floats, ys: Floats, width: int) -> Markup:
    """The names beside their points, where one fits without covering another or a point."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in zip(xs, ys, strict=True)]
    parts = []
    for name, x, y in zip(names, xs.tolist(), ys.tolist(), strict=True):
        shown = name.replace(", pretrained", "*")
        shown = shown if len(shown) <= 18 else shown[:17] + "…"
        long = 6.2 * len(shown)
        for dx, dy, kind in ((8, 4, "name"), (-8, 4, "name end"), (0, -9, "name middle"), (0, 17, "name middle")):
            left = x + dx - (long if "end" in kind else long / 2 if "middle" in kind else 0)
            box = (left, y + dy - 10, left + long, y + dy + 2)
            if left > 56 and left + long < width and not any(_meet(box, other) for other in taken):
                taken.append(box)
                parts.append(svg_text(x + dx, y + dy, shown, kind))
                break
    return Markup("").join(parts)


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _cloud(xs: Floats, ys: Floats) -> Markup:
    """Points at positions (n,), dealt to some paths of round dots."""
    kind = "points" if len(xs) <= 500 else "points many"
    dots = [f"M{svg_number(x)} {svg_number(y)}h0" for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
    return Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(kind, "".join(dots[k::LAYERS]))
        for k in range(min(LAYERS, len(dots)))
    )


def _live(kind: str, x: Axis, y: Axis, size: int, about: str, drawn: Markup) -> Markup:
    """A square figure whose points can be pointed at, by mouse and by keyboard."""
    more = Markup(' tabindex="0" data-kind="{}" data-x="{}" data-y="{}"').format(kind, x.data, y.data)
    return svg_figure(size, size, f"{about}; arrow keys go through them, the largest error first", drawn, more)


def _brief(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
