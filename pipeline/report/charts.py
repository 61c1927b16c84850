"""Figures as SVG, drawn by Vega-Lite when the page is made: the page itself runs no script.

Colours are CSS variables of the page, so a chart is light or dark as the page is. Charts are as
wide as a phone; the page sets them side by side.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import Any

import vl_convert

from pipeline.report.tables import Column, Figure, Kind, shown, written

WIDTH, HEIGHT = 290, 190
MOST_POINTS = 40
"""Rows up to which a line has a point at each."""
MOST_TICKS = 5
MOST_DAYS = 5
"""Windows that are named under a chart over time."""

Spec = dict[str, Any]

_FORMATS: dict[Kind, str] = {"share": ".2~p", "times": ",.2~f", "count": "~s", "number": ",.2~f"}
_COLOURS = [f"var(--series-{n})" for n in range(1, 8)]
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 4], [10, 3], [1, 3]]


def drawn(figure: Figure) -> str | None:
    """The SVG of a figure; None where it has no shape, or nothing to draw."""
    if figure.shape is None or not figure.table.rows:
        return None
    return _svg(_text_of(_SHAPES[figure.shape](figure)))


def _text_of(spec: Spec) -> str:
    """A chart as JSON, so that one which was drawn before is not drawn again."""
    return json.dumps(spec, default=str)


@lru_cache(maxsize=256)
def _svg(spec: str) -> str:
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version="5.20")
    return svg


def _bars(figure: Figure) -> Spec:
    """Rows as horizontal bars, one a column."""
    return _chart(
        figure,
        {"type": "bar"},
        {
            "y": {**_axis(figure), "axis": {"title": None, "labelLimit": 110}},
            "x": _measure(figure),
            "yOffset": {"field": "series", "sort": None},
        },
        height={"step": 13},
    )


def _lines(figure: Figure) -> Spec:
    mark = {"type": "line", "strokeWidth": 2, "point": len(figure.table.rows) <= MOST_POINTS}
    encoding = {
        "x": _axis(figure),
        "y": {**_measure(figure), "scale": {"zero": True}},
        "strokeDash": {
            "field": "series",
            "sort": None,
            "scale": {"range": _DASHES},
        },
    }
    return _chart(figure, mark, encoding)


def _columns(figure: Figure) -> Spec:
    mark: Spec = {"type": "bar"}
    axis = _axis(figure)
    if figure.table.columns[0].kind == "day":
        slot = _slot([row[0] for row in figure.table.rows])
        mark["width"] = max(1.0, 0.8 * slot)
        axis["scale"]["padding"] = slot / 2
    return _chart(figure, mark, {"x": axis, "y": {**_measure(figure), "stack": True}})


def _heat(figure: Figure) -> Spec:
    """A grid: rows by columns, the number in each cell."""
    spec = _chart(
        figure,
        {"type": "rect", "fill": "var(--series-1)"},
        {
            "y": {**_axis(figure), "axis": {"title": None, "labelLimit": 90}},
            "x": {"field": "series", "type": "ordinal", "sort": None, "axis": {"title": None}},
            "fillOpacity": {"field": "y", "type": "quantitative", "legend": None,
                            "scale": {"domain": [0, 1], "range": [0, 0.75]}},
        },
        height={"step": 26},
    )  # fmt: skip
    spec["encoding"].pop("color")
    text = {"mark": {"type": "text", "fill": "var(--ink)"}, "encoding": {"text": {
        "field": "y", "type": "quantitative", "format": ".0%"}}}  # fmt: skip
    shared = {key: spec["encoding"].pop(key) for key in ("x", "y")}
    boxes = {"mark": spec.pop("mark"), "encoding": spec.pop("encoding")}
    return {**spec, "encoding": shared, "layer": [boxes, text]}


_SHAPES: dict[str, Callable[[Figure], Spec]] = {
    "bars": _bars,
    "lines": _lines,
    "columns": _columns,
    "heat": _heat,
}


def _chart(figure: Figure, mark: Spec, encoding: Spec, height: Any = HEIGHT) -> Spec:
    columns = series_of(figure)
    colour: Spec = {
        "field": "series",
        "type": "nominal",
        "sort": None,
        "scale": {"range": _COLOURS},
        "legend": {
            "title": None,
            "orient": "top",
            "columns": 3,
            "labelLimit": 100,
            "symbolType": "stroke" if mark["type"] == "line" else "square",
        }
        if len(columns) > 1
        else None,
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": _points(figure, columns)},
        "mark": {**mark, "aria": False},
        "encoding": {**encoding, "color": colour},
        "width": WIDTH,
        "height": height,
        "background": None,
        "config": _CONFIG,
    }


def series_of(figure: Figure) -> list[tuple[int, Column]]:
    """The columns that are drawn, each with its place; the first one is the axis."""
    named = list(enumerate(figure.table.columns))[1:]
    return [(n, c) for n, c in named if not figure.drawn or c.name in figure.drawn]


def _points(figure: Figure, columns: list[tuple[int, Column]]) -> list[Spec]:
    first = figure.table.columns[0]
    is_day = first.kind == "day"
    return [
        {
            "x": f"{row[0]:%Y-%m-%dT%H:%M:%SZ}" if is_day else written(row[0], first.kind),
            "y": None if row[n] is None else float(row[n]),
            "series": shown(column.name, 20),
        }
        for row in figure.table.rows
        for n, column in columns
    ]


def _axis(figure: Figure) -> Spec:
    first = figure.table.columns[0]
    axis: Spec
    if first.kind == "day":
        axis = {"title": None, "labelOverlap": True, "grid": False}
        axis |= _days([row[0] for row in figure.table.rows])
        return {"field": "x", "type": "temporal", "scale": {"type": "utc"}, "axis": axis}
    axis = {"title": first.name, "labelOverlap": "greedy", "labelSeparation": 6}
    axis |= {"labelAngle": 0, "grid": False}
    return {"field": "x", "type": "ordinal", "sort": None, "axis": axis}


def _measure(figure: Figure) -> Spec:
    (_, column), *others = series_of(figure)
    label = f"format(datum.value, '{_FORMATS.get(column.kind, '~s')}')"
    title = None if others else column.name
    ticks = min(MOST_TICKS, _highest(figure)) if column.kind == "count" else MOST_TICKS
    return {
        "field": "y",
        "type": "quantitative",
        # An axis' own format has one prefix for all ticks, and calls nothing 0k.
        "axis": {"title": title, "labelExpr": label, "tickCount": ticks},
    }


def _highest(figure: Figure) -> int:
    """The most that any row has in all that is drawn, at least 1: a count has no half."""
    drawn = [number for number, _ in series_of(figure)]
    return max(1, *(ceil(sum(row[n] or 0 for n in drawn)) for row in figure.table.rows))


def _days(windows: list[datetime]) -> Spec:
    """Ticks at some of the windows, named by their days, or by months where these are many."""
    some = windows[:: -(-len(windows) // MOST_DAYS)]
    name = "%b %Y" if windows[-1] - windows[0] > timedelta(days=100) else "%-d %b"
    return {"values": [round(each.timestamp() * 1000) for each in some], "format": name}


def _slot(days: list[datetime]) -> float:
    """The width that a window has, in pixels."""
    if len(days) < 2:
        return WIDTH / 8
    step = min(later - earlier for earlier, later in pairwise(days))
    return WIDTH / ((days[-1] - days[0]) / step + 1)


_TEXT = {"labelColor": "var(--quiet)", "titleColor": "var(--quiet)", "labelFontSize": 11,
         "titleFontSize": 11, "titleFontWeight": "normal"}  # fmt: skip
_LINES = {"domainColor": "var(--line)", "tickColor": "var(--line)", "gridColor": "var(--line)"}
_CONFIG: Spec = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {**_TEXT, **_LINES},
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 11, "symbolSize": 80},
    "point": {"size": 14, "filled": True},
}
