"""The pictures that a field is used to, as suite.toml declares them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.registry.metrics import Metric


@dataclass(frozen=True)
class ChartInfo:
    """A line for each method. title: of the picture; x, y: of its axes, empty where a metric's own title is meant.

    scores: for a picture of one operating point, where each score stands: all are numbers, or all are words, which
    stand side by side in this order. Else `score` against `cost` over the operating points. problem: whose they are.
    """

    name: str
    title: str
    problem: str
    x: str = ""
    y: str = ""
    scores: Mapping[str, float | str] | None = None
    score: str = ""
    cost: str = ""


def read_chart(name: str, data: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Metric]]) -> ChartInfo:
    """A table [charts.NAME]. metrics: of each problem by name. Raises ValueError with what is wrong."""
    if unknown := sorted(data.keys() - {"title", "problem", "x", "y", "scores", "score", "cost"}):
        raise ValueError(f"chart {name}: {unknown[0]!r} means nothing")
    if ("scores" in data) == ("score" in data and "cost" in data):
        raise ValueError(f"chart {name}: give it either a table of `scores`, or `score` and `cost`")
    if "title" not in data:
        raise ValueError(f"chart {name}: it has no title")
    wanted = list(data["scores"]) if "scores" in data else [data["score"], data["cost"]]
    problem = data.get("problem", next((each for each in metrics if metrics[each].keys() >= set(wanted)), None))
    if problem not in metrics:
        raise ValueError(f"chart {name}: no problem has all of {', '.join(wanted)}")
    if lacking := [each for each in wanted if each not in metrics[problem]]:
        raise ValueError(f"chart {name}: {lacking[0]!r} is no score and no cost of {problem}")
    scores = data.get("scores", {})
    if scores and (len(scores) < 2 or len({isinstance(each, str) for each in scores.values()}) > 1):
        raise ValueError(f"chart {name}: its scores, two or more, stand at numbers all, or at words all")
    return ChartInfo(**{"name": name, "problem": problem, **data})
