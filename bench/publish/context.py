"""What the pages of a section are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analyse.floors import Floors
from bench.analyse.rows import Board, Row
from bench.publish.catalogue import Entry
from bench.publish.freshness import Freshness
from bench.publish.pages import Pages
from bench.publish.paths import section_address
from bench.registry import Registry, SuiteInfo


@dataclass(frozen=True)
class Context:
    """What all sections share. infos: of every suite, registered or not. files: names of results files."""

    pages: Pages
    registry: Registry
    infos: Mapping[str, SuiteInfo]
    versions: Mapping[str, str]
    files: Mapping[str, str]
    freshness: Freshness
    code: str


@dataclass(frozen=True)
class Place:
    """A section as other pages link to it."""

    suite: str
    scale: str
    base: str

    @property
    def address(self) -> str:
        """Its page."""
        return section_address(self.suite, self.scale, self.base)


@dataclass(frozen=True)
class Section:
    """One scale and base of a suite, on all hardware.

    entries: all of its records, of any version of the suite, oldest first. siblings: the suite's other sections.
    """

    context: Context
    place: Place
    entries: Sequence[Entry]
    siblings: Sequence[Place]

    @property
    def info(self) -> SuiteInfo:
        return self.context.infos[self.place.suite]

    @property
    def hardware(self) -> list[str]:
        """All that has records here."""
        return sorted({entry.hardware for entry in self.entries})

    @property
    def version(self) -> str:
        """Of the suite, that is ranked."""
        return self.context.versions[self.place.suite]

    @property
    def controls(self) -> frozenset[str]:
        """Slugs of the controls that a method is to beat."""
        return self.context.registry.kinds(self.place.suite, "control")

    def is_clocked(self, point: str) -> bool:
        """Whether a time is the budget there: then a score is a machine's."""
        return point in self.info.points and self.info.points[point].clock

    def ranking(self, board: Board) -> Board:
        """The board as its page has it: of all hardware, unless a score is a machine's."""
        return board if self.is_clocked(board.point) else replace(board, hardware="")

    def floors(self, rows: Sequence[Row]) -> Floors:
        """What is no better than guessing among these rows."""
        registry, suite = self.context.registry, self.place.suite
        return Floors(rows, self.info, registry.trivial(suite), registry.stochastic(suite))

    @property
    def shared(self) -> dict[str, object]:
        """What every template of the section is given."""
        return {"info": self.info, "place": self.place, "siblings": self.siblings, "section": self.place.address}
