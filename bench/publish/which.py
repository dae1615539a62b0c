"""The front page: which method, for this goal and this budget? Put together from what the sections answer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

from bench.contract import SCALES
from bench.publish.paths import file_name
from bench.publish.questions import GOALS
from bench.registry import SuiteInfo
from bench.registry.suites import AREAS

SPARK = 132, 40
"""Width and height of a small frontier, in pixels."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """An answer: what was asked, and what is best there. said: the budget. hardware: where the answer hangs on it.
    picks: what is best, or cannot be told apart from it. note: why there is none. address: of the board that it stands
    on."""

    goal: str
    said: str
    hardware: str
    picks: Sequence[Json]
    more: int
    control: str
    of: int
    note: str
    address: str
    id: str


@dataclass(frozen=True)
class Subject:
    """A problem of a suite with one base: what can be asked of it, and a line for each budget."""

    suite: str
    title: str
    area: str
    problem: str
    base: str
    scale: str
    parameters: str
    score: str
    better: str
    baseline: str
    dense: Json | None
    questions: Sequence[Json]
    lines: Sequence[Line]
    spark: str

    @property
    def id(self) -> str:
        """Names it in addresses."""
        return file_name(" ".join(filter(None, (self.suite, self.problem, self.base, self.scale))))

    @property
    def name(self) -> str:
        """As people call it."""
        parameters = f" ({self.parameters} parameters)" if self.parameters else ""
        problem = f", {self.problem[:1].lower()}{self.problem[1:]}" if self.problem else ""
        return f"{self.base}{parameters}: {self.title}{problem}"


def make_subjects(infos: Mapping[str, SuiteInfo], sections: Sequence[Json]) -> list[Subject]:
    """All that can be asked, by area and suite. Toy scales only where a suite has no other."""
    found: list[Subject] = []
    for info in sorted(infos.values(), key=lambda info: (area_order(info.area), info.slug)):
        here = [section for section in sections if section["suite"] == info.slug]
        real = [section for section in here if section["scale"] != SCALES[0]] or here
        found += _subjects(info, real)
    return found


def script_of(subjects: Sequence[Subject]) -> dict[str, Any]:
    """What the page's script asks: subjects with the questions, without their answers (`answers_of`)."""
    keys = ("goal", "metric", "title", "speed", "share", "unit", "hardware", "levels", "id")
    return {
        "goals": GOALS,
        "subjects": [
            {"id": subject.id, "suite": subject.suite, "area": subject.area, "title": subject.name,
             "file": f"data/which/{file_name(subject.suite)}.js",
             "questions": [{key: question[key] for key in keys} for question in subject.questions]}
            for subject in subjects
        ],
    }  # fmt: skip


def answers_of(subjects: Sequence[Subject]) -> dict[str, Any]:
    """The answers of one suite for the page's script, by the id of the question."""
    keys = ("steps", "least", "measured", "of", "stale", "score", "baseline", "dense", "speed", "share", "unit")
    return {
        question["id"]: {key: question[key] for key in keys} for subject in subjects for question in subject.questions
    }


def area_order(name: str) -> int:
    """Sorts areas as they are shown."""
    return AREAS.index(name) if name in AREAS else len(AREAS)


def _subjects(info: SuiteInfo, sections: Sequence[Json]) -> Iterator[Subject]:
    groups: dict[tuple[str, str, str], list[Json]] = {}
    for section in sections:
        for question in section["questions"]:
            groups.setdefault((question["scale"], question["base"], question["problem"]), []).append(question)
    order = [problem.title for problem in info.problems.values()]
    for (scale, base, problem), asked in sorted(
        groups.items(), key=lambda item: (order.index(item[0][2]) if item[0][2] in order else -1, item[0])
    ):
        near = [section for section in sections if (section["scale"], section["base"]) == (scale, base)]
        questions = sorted(_distinct(asked, near), key=lambda question: list(GOALS).index(question["goal"]))
        best = max(questions, key=lambda question: (question["dense"] is not None, question["measured"]))
        yield Subject(
            info.slug, info.title, info.area, problem, base, scale, best["parameters"], best["score"], best["better"],
            best["baseline"], best["dense"], questions, list(_all_lines(questions)),
            _spark(questions),
        )  # fmt: skip


def _distinct(questions: Sequence[Json], sections: Sequence[Json]) -> Iterator[dict[str, Any]]:
    """Each question once: what does not hang on the hardware is answered where most was measured. The speeds of all
    hardware stand beside every answer."""
    groups: dict[tuple[str, ...], list[Json]] = {}
    for each in questions:
        hardware = each["hardware"] if each["speed"] or each["clock"] else ""
        groups.setdefault((each["group"], each["goal"], each["metric"], hardware), []).append(each)
    for (group, _, metric, hardware), same in groups.items():
        best = max(same, key=lambda each: (each["measured"], len(each["levels"]), each["timed"], each["hardware"]))
        ordered = sorted(sections, key=lambda section: section["hardware"] != hardware)
        steps = [
            {**step, "first": [{**pick, "speeds": _speeds(pick, ordered)} for pick in step["first"]]}
            for step in best["steps"]
        ]
        name = file_name(" ".join((best["suite"], best["base"], best["scale"], group, metric, hardware)))
        yield {**best, "steps": steps, "hardware": hardware, "id": name}


def _speeds(pick: Json, sections: Sequence[Json]) -> list[dict[str, Any]]:
    return [
        {"hardware": section["hardware"], "processor": section["processor"], **section["timed"][pick["key"]]}
        for section in sections
        if pick["key"] in section["timed"]
    ]


def _all_lines(questions: Sequence[Json]) -> Iterator[Line]:
    """By question; a speed level by level, with all hardware at each."""
    alike: dict[tuple[str, str], list[list[Line]]] = {}
    for question in questions:
        alike.setdefault((question["goal"], question["metric"]), []).append(list(_lines(question)))
    for groups in alike.values():
        for level in zip_longest(*groups):
            yield from filter(None, level)


def _lines(question: Json) -> Iterator[Line]:
    """A line for each budget; of speeds that nothing reaches one."""
    for level in question["levels"]:
        step = step_at(question, level["limit"])
        said = level["said"]
        if question["speed"]:
            said = f"{question['title']}: {said}"
        picks = step["first"] if step else []
        address = _address(question, picks[0], level["limit"]) if picks else ""
        yield Line(
            question["goal"], said, question["hardware"], picks, step["more"] if step else 0,
            step["control"] if step else "", step["of"] if step else 0, "" if step else note_of(question), address,
            question["id"],
        )  # fmt: skip
        if step is None and question["speed"]:
            return


def step_at(question: Json, limit: float) -> Json | None:
    """What is best within the limit; None where nothing keeps it."""
    within = [step for step in question["steps"] if step["limit"] <= limit * (1 + 1e-9)]
    return within[-1] if within else None


def note_of(question: Json) -> str:
    """Why there is no answer."""
    if question["least"]:
        nearest = question["least"]
        cost = f"{1 / nearest['cost']:.3g}×" if question["speed"] else f"{100 * nearest['cost']:.3g} %"
        if not question["share"] and not question["speed"]:
            cost = f"{nearest['cost']:.3g}"
        said = f"nothing measured is within it; the nearest is {nearest['name']} at {cost}"
        return f"{said}. Measured: {question['measured']} of {question['of']}" if question["speed"] else said
    if question["stale"]:
        return f"no result of today's code; {question['stale']} stale ones, of which none is named best"
    if question["of"]:
        return "not measured"
    return "no method is better than guessing"


def _address(question: Json, pick: Json, limit: float) -> str:
    """The board of an answer, with the limit that was asked for."""
    if not question["metric"] or not (question["speed"] or question["share"]):
        return str(pick["board"])
    on = f"on={quote(question['hardware'])}&" if question["speed"] else ""
    return f"{pick['board']}#{on}max.{question['metric']}={limit:.6g}"


def _spark(questions: Sequence[Json]) -> str:
    """The best score within each limit, as the path of a small picture; empty where there are no two."""
    drawn = next((q for q in questions if q["metric"] and not q["speed"] and len(q["steps"]) > 1), None)
    steps: Sequence[Json] = drawn["steps"] if drawn else []
    if drawn and drawn["share"]:  # beyond the baseline's own nobody asks
        steps = [step for step in steps if step["limit"] <= 1]
    values = [step["value"] for step in steps]
    if len(values) < 2:
        return ""
    scaled = [math.log(v) for v in values] if min(values) > 0 and max(values) / min(values) > 20 else values
    width, height = SPARK
    left, right = steps[0]["limit"], steps[-1]["limit"]
    low, high = float(min(scaled)), float(max(scaled))
    sign = 1 if next(iter(questions))["better"] == "higher" else -1

    def x(limit: float) -> str:
        return f"{3 + (limit - left) / ((right - left) or 1) * (width - 6):.1f}"

    def y(value: float) -> str:
        share = (value - low) / ((high - low) or 1)
        return f"{3 + (1 - share if sign > 0 else share) * (height - 6):.1f}"

    path = f"M{x(left)} {y(scaled[0])}"
    return path + "".join(f"H{x(step['limit'])}V{y(v)}" for step, v in zip(steps[1:], scaled[1:], strict=True))
