"""The site's figures as SVG: intervals, cost, parity, residuals, ROC curve, learning history.

They are drawn when the site is built and so need no script. The script adds the names of crystals under the pointer:
it computes positions from the axes and the predictions that are stored beside a figure. Colours are in site.css.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from asugnn.crystal import Floats
from leaderboard.board import MetricValue, Row, pareto_front
from leaderboard.reports import PanelData
from leaderboard.scoring import THRESHOLD, Metric
from leaderboard.site.formatting import html_interval, html_number
from leaderboard.site.svg_axes import Axis, axes_frame, svg_figure, svg_number, svg_path, svg_text

LAYERS = 12  # paths that the points are distributed over: points of one path do not darken where they overlap
FLOOR = {"train": 0.1, "predict": 0.001}  # the lowest cost on the axis, in s and ms: lower ones are drawn there
COSTS = ("train", "predict")
KINDS = ("best", "ranked", "unranked")  # of rows, as bars and dots tell them apart
PLACES = (  # of a name, from its point: beside it, above and below, at its corners
    (8, 4, "name"),
    (-8, 4, "name end"),
    (0, -9, "name middle"),
    (0, 17, "name middle"),
    (6, -6, "name"),
    (6, 14, "name"),
    (-6, -6, "name end"),
    (-6, 14, "name end"),
)
LABELLED = 14  # rows up to which each point of a cost figure may carry its name


def interval_span(values: Sequence[MetricValue]) -> tuple[float, float] | None:
    """The range that the interval bars of a column share; values far above the others may lie beyond it."""
    defined = [v for v in values if v.value is not None]
    if not defined:
        return None
    low = min(v.value if v.low is None else v.low for v in defined if v.value is not None)
    highs = [v.value if v.high is None else v.high for v in defined if v.value is not None]
    high = min(max(highs), low + 2.5 * (float(np.median(highs)) - low) or max(highs))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def interval_bar(value: MetricValue, within: tuple[float, float], kind: str, width: int) -> Markup:
    """Draw an interval with its value as a dot; `kind` is one of `KINDS`."""
    if value.value is None:
        return Markup()
    low, high = within
    scale = Axis(low, high, 3, width - 3)
    mark = svg_number(scale.position(value.value))
    beyond = Markup('<path class="beyond" d="M{} 1l4 4l-4 4"/>').format(width - 5)
    drawn = beyond if value.value > high else Markup('<circle cx="{}" cy="5" r="3"/>').format(mark)
    if value.low is not None and value.high is not None:
        a, b = (svg_number(scale.position(v)) for v in (value.low, value.high))
        drawn = Markup('<path d="M{} 5H{}"/>').format(a, b) + drawn
    return Markup('<svg class="{}" width="{}" height="10" aria-hidden="true">{}</svg>').format(
        f"bar {kind}", width, drawn
    )


def row_keys() -> list[Markup]:
    """The bars of the legend: one of each kind, and one of a value beyond the drawn range."""
    kinds = [interval_bar(MetricValue(0.4, 0.0, 1.0), (0.0, 1.0), kind, 44) for kind in KINDS]
    return [*kinds, interval_bar(MetricValue(2.0, None, None), (0.0, 1.0), "ranked", 12)]


def rank_line(row: Row, count: int, best: bool) -> Markup:
    """Draw the ranks that a row may have, on a line of all ranks of the table; in the strong colour if it is marked."""
    if row.rank is None or row.rank_high is None:
        return Markup()
    scale = Axis(1, max(count, 2), 4, 56)
    a, b = scale.position(row.rank), scale.position(row.rank_high)
    kind = "bar best" if best else "bar"
    return Markup(
        '<svg class="{}" width="60" height="10" aria-hidden="true"><path class="all" d="M4 5H56"/>'
        '<path class="places" d="M{} 5h{}"/></svg>'
    ).format(kind, svg_number(a), svg_number(max(b - a, 0.5)))


def cost_figure(rows: Sequence[Row], metric: Metric, cost: str) -> Markup | None:
    """A metric over what it costs: `train` in seconds, or `predict` in milliseconds per crystal.

    None where no row has both.
    """
    values_of = {row.title: row.metrics[metric.name].value for row in rows}
    shown = [(r, s, v) for r in rows if (s := _row_cost(r, cost)) is not None and (v := values_of[r.title]) is not None]
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
    # Of a row on published weights most of the training is not known.
    of_front = [i for i, (row, _, _) in enumerate(shown) if cost != "train" or not row.pretrained_on]
    front = [of_front[k] for k in pareto_front([(sign * shown[i][2], shown[i][1]) for i in of_front])]
    front.sort(key=lambda i: shown[i][1])
    xs, ys = x(spent), y(values)
    if len(front) > 1:
        parts.append(Markup('<path class="front" d="{}"/>').format(_step_path(xs[front], ys[front])))
    for i, (row, spent_here, score) in enumerate(shown):
        said = f"{row.title}: {metric.title} {html_number(score)}{unit.replace(',', '')}"
        value = row.metrics[metric.name]
        said += f" ({html_interval(value)})" if value.low is not None else ""
        said += f"; {_format_cost(spent_here)} {'s to train' if cost == 'train' else 'ms per crystal'}"
        kind = f"dot{' best' if i in front else ''}{' unranked' if row.rank is None else ''}"
        place = svg_number(xs[i]), svg_number(ys[i])
        parts.append(Markup('<circle class="{}" cx="{}" cy="{}" r="4.5" data-tip="{}"/>').format(kind, *place, said))
    if len(shown) <= LABELLED:
        parts.append(_draw_names([_short_name(row) for row, _, _ in shown], xs, ys, width))
    best = ", ".join(shown[i][0].title for i in front)
    about = (
        f"{metric.title} over {across.partition(',')[0]} of {len(shown)} models; none both better and cheaper: {best}"
    )
    return svg_figure(width, height, about, Markup("").join(parts))


def parity_figure(data: PanelData, unit: str, size: int) -> Markup:
    """Predictions over labels; outliers are at the edge."""
    x, y = Axis(*data.limits, 54, size - 8), Axis(*data.limits, size - 44, 18)
    ends = np.array(data.limits)
    ideal = Markup('<path class="ideal" d="{}"/>').format(svg_path(x(ends), y(ends)))
    drawn = (
        axes_frame(x, y, f"label, {unit}", f"prediction, {unit}")
        + ideal
        + _draw_points(x(data.labels), y(data.predictions))
    )
    return _live_figure("parity", x, y, size, f"predictions over labels of {len(data.labels):,} crystals", drawn)


def residual_histogram(data: PanelData, unit: str, width: int, height: int) -> Markup:
    """How many crystals have which residual; the outermost bars count what lies beyond the axis too."""
    edges, counts, limit = data.residual_edges, data.residual_counts(), data.residual_limit
    x = Axis(-limit, limit, 54, width - 8)
    y = Axis(0, max(int(counts.max()), 1) * 1.05, height - 44, 8)
    parts = [axes_frame(x, y, f"prediction − label, {unit}", "crystals")]
    for left, right, n in zip(x(edges[:-1]).tolist(), x(edges[1:]).tolist(), counts.tolist(), strict=True):
        if n:
            top = y.position(n)
            place = (f"{v:.1f}" for v in (left + 0.5, top, right - left - 1, y.start - top))
            parts.append(Markup('<rect class="count" x="{}" y="{}" width="{}" height="{}"/>').format(*place))
    zero = svg_number(x.position(0))
    parts.append(Markup('<path class="ideal" d="M{} {}V8"/>').format(zero, svg_number(y.start)))
    about = f"histogram of residuals of {len(data.labels):,} crystals"
    if data.residual_outliers:
        about += f"; {data.residual_outliers:,} beyond the axis are in the outermost bars"
    return svg_figure(width, height, about, Markup("").join(parts))


def residual_figure(data: PanelData, unit: str, size: int) -> Markup:
    """The residual of each crystal over its label."""
    x, y = Axis(*data.limits, 54, size - 8), Axis(-data.residual_limit, data.residual_limit, size - 44, 18)
    zero = svg_number(y.position(0))
    ideal = Markup('<path class="ideal" d="M54 {}H{}"/>').format(zero, size - 8)
    drawn = axes_frame(x, y, f"label, {unit}", f"prediction − label, {unit}") + ideal
    drawn += _draw_points(x(data.labels), y(data.residuals))
    return _live_figure("residual", x, y, size, f"residuals over labels of {len(data.labels):,} crystals", drawn)


def roc_figure(models: Sequence[Sequence[PanelData]], highlighted: int, size: int) -> Markup:
    """True over false positive rate of each run of each model: one model in colour, the others in grey."""
    x, y = Axis(0, 1, 54, size - 8), Axis(0, 1, size - 44, 18)
    drawn = axes_frame(x, y, "false positive rate", "true positive rate")
    drawn += Markup('<path class="ideal" d="{}"/>').format(svg_path(x(np.array([0.0, 1])), y(np.array([0.0, 1]))))
    others = [*models[:highlighted], *models[highlighted + 1 :]]
    for kind, group in (("curve other", others), ("curve", [models[highlighted]])):
        for run in (run for runs in group for run in runs):
            false, true = run.roc
            drawn += Markup('<path class="{}" d="{}"/>').format(kind, svg_path(x(false), y(true)))
    return svg_figure(size, size, "receiver operating characteristic, beside those of the other models", drawn)


def probability_figure(data: PanelData, positive: str, size: int) -> Markup:
    """The predicted probability of class 1 for each crystal, class 1 above class 0, spread out to be seen."""
    x, y = Axis(-0.02, 1.02, 54, size - 8), Axis(-0.5, 1.5, size - 44, 18)
    drawn = axes_frame(x, y, f"probability of {positive}", "class by label", [(0.0, "0"), (1.0, "1")])
    drawn += Markup('<path class="ideal" d="M{} {}V18"/>').format(svg_number(x.position(THRESHOLD)), size - 44)
    drawn += _draw_points(x(data.predictions), y(data.labels + spread_points(len(data.labels))))
    return _live_figure("probability", x, y, size, f"probabilities of {len(data.labels):,} crystals", drawn)


def spread_points(n: int) -> Floats:
    """Offsets between -0.35 and 0.35, (n,), evenly spread and the same each time; site.js computes them too."""
    out: Floats = 0.7 * np.mod(np.arange(n) * 0.618033988749895, 1) - 0.35
    return out


def history_figure(columns: dict[str, list[float]], width: int, height: int) -> Markup | None:
    """Training loss and validation score over the epochs; None if there is nothing to draw."""
    curves = {k: np.array(columns[k]) for k in ("train", "val") if k in columns}
    drawable = np.concatenate([c[np.isfinite(c) & (c > 0)] for c in curves.values()]) if curves else np.zeros(0)
    if not len(drawable):
        return None
    epochs = max(len(c) for c in curves.values())
    x = Axis(1, max(epochs, 2), 54, width - 12)
    y = Axis.over(drawable, height - 44, 10, log=True)
    drawn = axes_frame(x, y, "epoch", "loss, score")
    for name, curve in curves.items():
        keep = np.isfinite(curve) & (curve > 0)
        xs, ys = x(np.arange(1, len(curve) + 1)[keep].astype(float)), y(curve[keep])
        drawn += Markup('<path class="curve {}" d="{}"/>').format(name, svg_path(xs, ys))
    return svg_figure(width, height, f"training loss and validation score over {epochs} epochs", drawn)


def _row_cost(row: Row, cost: str) -> float | None:
    if cost == "train":
        return row.seconds_train
    folds = {run.partition("-")[0] for run in row.runs}
    return None if row.seconds_predict is None else 1e3 * row.seconds_predict / max(row.n / len(folds), 1)


def _step_path(xs: Floats, ys: Floats) -> str:
    start = f"M{svg_number(xs[0])} {svg_number(ys[0])}"
    return start + "".join(f"H{svg_number(x)}V{svg_number(y)}" for x, y in zip(xs[1:], ys[1:], strict=True))


def _short_name(row: Row) -> str:
    """The title of a row; a star stands for published weights."""
    return f"{row.title.removesuffix(', pretrained')}*" if row.pretrained_on else row.title


def _draw_names(names: Sequence[str], xs: Floats, ys: Floats, width: int) -> Markup:
    """Write names beside their points, except where one would cover a point or another name."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in zip(xs, ys, strict=True)]
    parts = []
    for name, x, y in zip(names, xs.tolist(), ys.tolist(), strict=True):
        shown = name if len(name) <= 18 else name[:17] + "…"
        long = 6.2 * len(shown)
        for dx, dy, kind in PLACES:
            left = x + dx - (long if "end" in kind else long / 2 if "middle" in kind else 0)
            box = (left, y + dy - 10, left + long, y + dy + 2)
            if left > 56 and left + long < width and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(svg_text(x + dx, y + dy, shown, kind))
                break
    return Markup("").join(parts)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_points(xs: Floats, ys: Floats) -> Markup:
    """Draw dots at positions (n,), distributed over `LAYERS` paths."""
    kind = "points" if len(xs) <= 500 else "points many"
    dots = [f"M{svg_number(x)} {svg_number(y)}h0" for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
    return Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(kind, "".join(dots[k::LAYERS]))
        for k in range(min(LAYERS, len(dots)))
    )


def _live_figure(kind: str, x: Axis, y: Axis, size: int, about: str, drawn: Markup) -> Markup:
    """A square figure whose points are named under the pointer and by the arrow keys."""
    more = Markup(' tabindex="0" data-kind="{}" data-x="{}" data-y="{}"').format(kind, x.attribute, y.attribute)
    return svg_figure(size, size, f"{about}; arrow keys step through them from the largest error", drawn, more)


def _format_cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
