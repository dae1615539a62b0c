"""One row a suite for the front page: what it is, how much there is of it, and its best answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.publish.coverage import distinct, results
from bench.publish.which import Json, Line, Subject, area_order
from bench.registry import SuiteInfo


@dataclass(frozen=True)
class SuiteRow:
    """A suite on the front page. results: configurations with one, however much hardware they ran on; timed, stale: how
    many of them are timed anywhere, and stale everywhere."""

    info: SuiteInfo
    what: str
    methods: int
    results: int
    timed: int
    stale: int
    subjects: Sequence[Subject]

    @property
    def best(self) -> Line | None:
        """An answer that stands for the suite: of the first question that has one the middle budget."""
        lines = [line for subject in self.subjects for line in subject.lines]
        first = next((line for line in lines if line.picks), lines[0] if lines else None)
        alike = [line for line in lines if first and line.id == first.id and line.picks]
        return alike[len(alike) // 2] if alike else first

    @property
    def lines(self) -> int:
        return sum(len(subject.lines) for subject in self.subjects)

    @property
    def spark(self) -> str:
        return next((subject.spark for subject in self.subjects if subject.spark), "")

    @property
    def bases(self) -> int:
        return len({subject.base for subject in self.subjects})


def by_area(
    infos: Mapping[str, SuiteInfo], subjects: Sequence[Subject], sections: Sequence[Json], methods: Mapping[str, int]
) -> list[tuple[str, list[SuiteRow]]]:
    """Suites by area; what has records comes first. methods: how many each suite has."""
    areas: dict[str, list[SuiteRow]] = {}
    for info in sorted(infos.values(), key=lambda info: (area_order(info.area), info.slug)):
        here = [section for section in sections if section["suite"] == info.slug]
        areas.setdefault(info.area or "other", []).append(_row(info, subjects, here, methods.get(info.slug, 0)))
    for rows in areas.values():
        rows.sort(key=lambda row: row.results == 0)
    return list(areas.items())


def _row(info: SuiteInfo, subjects: Sequence[Subject], sections: Sequence[Json], methods: int) -> SuiteRow:
    what = info.summary.strip().split(". ")[0].rstrip(".") + "."
    found, timed = distinct(sections)
    stale = sum(all(each["stale"] for each in same) for same in results(sections))
    mine = [subject for subject in subjects if subject.suite == info.slug]
    return SuiteRow(info, what, methods, found, timed, stale, mine)
