"""What a section answers: for each goal, and whatever the budget, which method is best. Plain JSON."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.analyse.choice import Choice, Chooser
from bench.analyse.compare import Improvement
from bench.analyse.floors import Floors
from bench.analyse.problems import problem_at
from bench.analyse.rows import Row, few_seeds
from bench.analyse.summary import Cost, figure, row_costs
from bench.publish.amounts import amount
from bench.publish.context import Section
from bench.publish.format import deserved, interval, number, quantity
from bench.publish.paths import board_address, record_address
from bench.registry import ProblemInfo
from bench.registry.metrics import Metric

GOALS = {
    "smaller": "Smaller", "faster": "Faster", "compute": "Less compute to run", "memory": "Less training memory",
    "training": "Faster training", "passes": "Less compute to train", "data": "Less data", "score": "Best score",
}  # fmt: skip
"""By name, in the order in which they are asked; the last where nothing is limited."""
SPEEDS = (1.2, 1.4, 2.0)
"""Times as fast as the baseline, that are asked for on the page."""
SHOWN = 3
"""Most methods that an answer names of those that are not told apart."""


def questions_of(
    section: Section, rows: Sequence[Row], stale: Mapping[Row, Sequence[str]], floors: Floors
) -> list[dict[str, Any]]:
    """The questions that can be asked of the section's rows, each with its answers. stale: of each row what is not
    today's; such a row answers nothing. floors: of all rows."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_group(section, row), []).append(row)
    return [q for group in groups.values() for q in _Asked(section, group, stale, floors).questions()]


def timed_of(section: Section, rows: Sequence[Row], stale: Mapping[Row, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The speeds that were measured here, by point and name of the row (see `key_of`): of each primary time how many
    times as fast as the baseline, and whether that is stale."""
    found = {}
    for row in rows:
        problem = problem_at(section.info, row.board.point)
        costs = [(metric, row_costs(row).get(metric.name)) for metric in _times(problem)] if row.ok else []
        speeds = [_speed(_workload(section, metric), cost) for metric, cost in costs if cost is not None and cost.value]
        if speeds:
            found[key_of(row)] = {"speeds": speeds, "stale": bool(stale.get(row))}
    return found


def key_of(row: Row) -> str:
    """Names a row of a section."""
    return f"{row.board.point}/{row.name}"


def _group(section: Section, row: Row) -> str:
    """Rows of one group sat one exam, in the same settings."""
    point = section.info.points.get(row.board.point)
    if point is None:
        return row.board.point
    return repr((point.problem, sorted(point.settings.items()), point.name if point.clock else ""))


@dataclass(frozen=True)
class _Asked:
    """What can be asked of the rows of a group."""

    section: Section
    rows: Sequence[Row]
    stale: Mapping[Row, Sequence[str]]
    floors: Floors

    @cached_property
    def problem(self) -> ProblemInfo:
        return problem_at(self.section.info, self.rows[0].board.point)

    @cached_property
    def points(self) -> list[Any]:
        """Operating points of the group, with the limits of this scale, in the suite's order."""
        here = {row.board.point for row in self.rows}
        return [p.at(self.section.place.scale) for name, p in self.section.info.points.items() if name in here]

    @cached_property
    def fresh(self) -> list[Row]:
        """Rows with a result of today that is better than guessing, and no references."""
        references = self.section.context.registry.kinds(self.section.place.suite, "reference")
        ok = [row for row in self.rows if row.ok and not self.stale.get(row) and row.method not in references]
        return [row for row in ok if self.floors.of(row) is None]

    @cached_property
    def dense(self) -> Row | None:
        """The problem's baseline, where it has a result, preferably of today."""
        found = [row for row in self.rows if row.ok and row.name == self.problem.baseline]
        return min(found, key=lambda row: bool(self.stale.get(row)), default=None)

    @cached_property
    def chooser(self) -> Chooser:
        rows = list(dict.fromkeys([*self.fresh, *([self.dense] if self.dense else [])]))
        stochastic = self.section.context.registry.stochastic(self.section.place.suite)
        return Chooser(rows, self.problem.primary, self.section.controls, stochastic)

    def questions(self) -> Iterator[dict[str, Any]]:
        """One for each cost that a point limits, each time that is measured, each allowance that differs; where there
        is none of these, one for the best score."""
        asked = 0
        for metric in self.problem.costs.values():
            limits = {p.limits.result[metric.name]: p.title for p in self.points if metric.name in p.limits.result}
            if limits and metric.goal:
                asked += 1
                yield self._question(metric.goal, metric.name, metric.title, limits, _exactly(metric), metric)
        if any(point.clock or point.settings for point in self.points):
            yield self._plain("data" if any(point.settings for point in self.points) else "training")
            return
        for name, limits in self._allowances().items():
            asked += 1
            title = name.replace("_", " ")
            yield self._question(
                _goal_of_supply(name), name, title[:1].upper() + title[1:], limits, self._allowed(name)
            )
        for metric in _times(self.problem):
            if any(metric.name in row_costs(row) for row in self.rows):
                limits = {1 / speed: f"{speed:g}× as fast" for speed in SPEEDS}
                title = _workload(self.section, metric)
                yield self._question(metric.goal or "faster", metric.name, title, limits, _measured(metric), metric)
        if not asked:
            yield self._plain("score")

    def _plain(self, goal: str) -> dict[str, Any]:
        return self._question(goal, "", "", {0.0: "; ".join(point.title for point in self.points)}, lambda row: 0.0)

    def _allowances(self) -> dict[str, dict[float, str]]:
        """What points allow to draw, where they differ in it."""
        names = dict.fromkeys(name for point in self.points for name in point.limits.supplies)
        found = {}
        for name in names:
            words = name.replace("_", " ")
            limits: dict[float, str] = {}
            for point in self.points:
                if name in point.limits.supplies:
                    limits.setdefault(float(point.limits.supplies[name]), f"{point.limits.supplies[name]:,} {words}")
            if len(limits) > 1:
                found[name] = limits
        return found

    def _allowed(self, name: str) -> Callable[[Row], float]:
        allowed = {point.name: float(point.limits.supplies.get(name, float("nan"))) for point in self.points}
        return lambda row: allowed.get(row.board.point, float("nan"))

    def _question(
        self, goal: str, name: str, title: str, limits: Mapping[float, str], cost: Callable[[Row], float],
        metric: Metric | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        info, place = self.section.info, self.section.place
        costs = {row: cost(row) for row in self.fresh}
        having = [row for row in self.fresh if not math.isnan(costs[row])]
        score = self.problem.primary
        speed = name.endswith(".ratio")
        return {
            "suite": place.suite, "scale": place.scale, "base": place.base, "hardware": self.rows[0].board.hardware,
            "problem": self.problem.title if len(info.problems) > 1 else "", "goal": goal, "metric": name,
            "group": _group(self.section, self.rows[0]), "title": title, "speed": speed,
            "clock": any(point.clock for point in self.points), "timed": sum(map(_is_timed, self.rows)),
            "unit": metric.unit if metric else "", "share": name.endswith("_ratio"),
            "score": score.title, "better": score.better, "baseline": self.problem.baseline,
            "dense": _score(self.dense, score) if self.dense else None, "parameters": self._parameters(),
            "levels": [{"limit": limit, "said": said} for limit, said in limits.items()],
            "measured": len({row.name for row in having}), "of": len({row.name for row in self.fresh}),
            "stale": len({row.name for row in self.rows if row.ok and self.stale.get(row)}),
            "least": self._least(costs, having),
            "steps": [self._step(choice, costs, metric) for choice in self.chooser.choices(costs)],
        }  # fmt: skip

    def _parameters(self) -> str:
        """Of the baseline; empty where they are not counted."""
        found = row_costs(self.dense).get("parameters") if self.dense else None
        return "" if found is None else number(found.value, 3)

    def _least(self, costs: Mapping[Row, float], having: Sequence[Row]) -> dict[str, Any] | None:
        """What comes nearest to a limit that nothing keeps."""
        least = min(having, key=lambda row: costs[row], default=None)
        return None if least is None else {"name": least.name, "cost": costs[least], "address": self._address(least)}

    def _step(self, choice: Choice, costs: Mapping[Row, float], metric: Metric | None) -> dict[str, Any]:
        control = choice.control
        return {
            "limit": choice.limit, "value": figure(choice.first[0], self.problem.primary).value, "of": choice.of,
            "more": max(0, len(choice.first) - SHOWN), "control": control.name if control else "",
            "first": [self._pick(row, choice, costs[row], metric) for row in choice.first[:SHOWN]],
        }  # fmt: skip

    def _pick(self, row: Row, choice: Choice, cost: float, metric: Metric | None) -> dict[str, Any]:
        registry, place, score = self.section.context.registry, self.section.place, self.problem.primary
        listed = registry.methods.get((place.suite, row.method))
        kind = "baseline" if row.method == self.problem.baseline else listed.card.kind if listed else "method"
        control = choice.control
        against = self.chooser.improvement(row, control) if control and control is not row else None
        dense = self.dense
        changed = self.chooser.improvement(row, dense) if dense and row.name != dense.name else None
        return {
            "name": row.name, "method": row.method, "point": row.board.point, "kind": kind, "key": key_of(row),
            "family": listed.family if listed else "", "score": _score(row, score),
            "dense": _compared(changed, score) if changed else "",
            "margin": _margin(against, score, told=control not in choice.first) if against else None,
            "bytes": _bytes(row, self.problem), "cost": _said(cost, metric), "address": self._address(row),
            "board": board_address(self.section.ranking(row.board)) + ".html",
            "few_seeds": few_seeds(row, registry.stochastic(place.suite)),
        }  # fmt: skip

    def _address(self, row: Row) -> str:
        return record_address(row.home, row.method, row.variant)


def _goal_of_supply(name: str) -> str:
    return "passes" if name.startswith(("training", "sample")) else "data"


def _times(problem: ProblemInfo) -> list[Metric]:
    """Primary costs that are times beside the baseline's."""
    return [metric for metric in problem.primaries[1:] if metric.name.endswith(".ratio")]


def _workload(section: Section, metric: Metric) -> str:
    """What a time is of."""
    found = section.info.workloads.get(metric.name.split(".")[0])
    return found.title if found else metric.title


def _is_timed(row: Row) -> bool:
    return any(record.timings for record in row.ok)


def _exactly(metric: Metric) -> Callable[[Row], float]:
    def cost(row: Row) -> float:
        found = row_costs(row).get(metric.name)
        return float("nan") if found is None or found.value is None else found.value

    return cost


def _measured(metric: Metric) -> Callable[[Row], float]:
    """The time, where it says something of the method."""

    def cost(row: Row) -> float:
        found = row_costs(row).get(metric.name)
        return float("nan") if found is None or found.value is None or found.kind != "measured" else found.value

    return cost


def _score(row: Row, score: Metric) -> dict[str, str]:
    found = figure(row, score)
    value = found.value if found.value is not None else float("nan")
    digits = max(3, deserved(value, found.low, found.high))  # paired differences are finer than the interval
    unit = score.unit or found.unit
    return {
        "text": quantity(found.value, unit, digits),
        "interval": interval(found.low, found.high, found.value, unit, digits),
    }


def _speed(title: str, cost: Cost) -> dict[str, str]:
    """A time as a speed-up: 1.42×, with its interval. title: of what was timed."""
    if cost.kind == "not realised":
        return {"title": title, "text": "no kernel here", "interval": ""}
    value = cost.value or float("nan")
    low, high = 1 / cost.high if cost.high > 0 else 0.0, 1 / cost.low if cost.low > 0 else float("inf")
    digits = deserved(1 / value, low, high, 3)
    return {
        "title": title,
        "text": f"{number(1 / value, digits)}×",
        "interval": interval(low, high, 1 / value, "", digits),
    }


def _margin(change: Improvement, score: Metric, told: bool) -> dict[str, str]:
    """Over the best control, positive is better. told: whether the two are told apart, all pairs taken together."""
    text, within = amount(change, score)
    word = "unsure" if not told else "better" if change.low > 0 else "worse" if change.high < 0 else "unsure"
    return {"text": text, "interval": within, "word": word}


def _compared(change: Improvement, score: Metric) -> str:
    """In words: 10.8 % worse."""
    text = amount(change, score)[0]
    if text.endswith(("better", "worse")):
        return text
    return f"{text.lstrip('+−')} {'better' if change.value > 0 else 'worse'}"


def _bytes(row: Row, problem: ProblemInfo) -> str:
    """What is stored or shipped; empty where the suite weighs nothing."""
    costs = row_costs(row)
    sizes = [metric.name for metric in problem.costs.values() if metric.goal == "smaller" and metric.unit == "B"]
    found = next((costs[name] for name in sizes if name in costs), None)
    return "" if found is None else quantity(found.value, "B", 3)


def _said(cost: float, metric: Metric | None) -> str:
    if metric is None:
        return ""
    if metric.name.endswith(".ratio"):
        return f"{number(1 / cost, 3)}×"
    if metric.name.endswith("_ratio"):
        return f"{number(100 * cost, 3)}\N{NO-BREAK SPACE}%"
    return quantity(cost, metric.unit, 3)
