"""Curves over the stream, and quality against cost, as SVG by Vega-Lite."""

import json
from collections.abc import Mapping
from typing import Any

import vl_convert

Figures = Mapping[str, float]
Spec = dict[str, Any]

SHOWN = {"hr@10": "HR@10", "ndcg@10": "NDCG@10"}


def over_time(by_tenth: Mapping[str, Mapping[int, Figures]]) -> str:
    """HR@10 and NDCG@10 of each run in each tenth of the interactions."""
    points = [
        {"run": name, "tenth": tenth, "figure": shown, "value": found[key]}
        for name, tenths in by_tenth.items()
        for tenth, found in tenths.items()
        for key, shown in SHOWN.items()
    ]
    encoding = {
        "x": {"field": "tenth", "type": "ordinal", "title": "tenth of the interactions"},
        "y": {"field": "value", "type": "quantitative", "title": None},
        "color": {"field": "run", "type": "nominal", "title": None},
        "column": {"field": "figure", "title": None, "sort": list(SHOWN.values())},
    }
    return _svg(points, {"type": "line", "point": True}, encoding)


def quality_by_cost(late: Mapping[str, Figures], cost: Mapping[str, Figures]) -> str:
    """HR@10 of each run against the tokens that it was trained on."""
    points = [
        {"run": name, "tokens": spent["tokens"], "HR@10": late[name]["hr@10"], "by": _by(name)}
        for name, spent in cost.items()
    ]
    encoding = {
        "x": {
            "field": "tokens",
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": "tokens trained on",
        },
        "y": {"field": "HR@10", "type": "quantitative"},
        "color": {"field": "by", "type": "nominal", "title": None},
        "text": {"field": "run"},
    }
    name_of = {"mark": {"type": "text", "dy": -9, "fontSize": 9}}
    dots = {"mark": {"type": "point", "filled": True, "size": 50}}
    without_text = {key: value for key, value in encoding.items() if key != "text"}
    layers = [{**dots, "encoding": without_text}, {**name_of, "encoding": encoding}]
    return _drawn({"data": {"values": points}, "layer": layers, "width": 460, "height": 300})


def _by(name: str) -> str:
    return "Stochastic Length" if name.startswith("alpha") else "c of 1/n"


def _svg(points: list[Spec], mark: Spec, encoding: Spec) -> str:
    sizes = {"width": 320, "height": 240}
    return _drawn({"data": {"values": points}, "mark": mark, "encoding": encoding, **sizes})


def _drawn(spec: Spec) -> str:
    whole = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **spec}
    svg: str = vl_convert.vegalite_to_svg(json.dumps(whole), vl_version="5.20")
    return svg
