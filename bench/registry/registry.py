"""Finds suites and methods: in suites/ and methods/ of a checkout, and what others register by entry point.

Adding one edits no central file. What can't be read is a fault that is told by the file's name; the rest works.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from bench.contract import Card, Method, OperatingPoint, Problem
from bench.registry.content import Content, Contents
from bench.registry.literals import methods_written
from bench.registry.names import AmbiguousName, UnknownName
from bench.registry.suites import BadSuite, ProblemInfo, SuiteInfo, read_suite
from bench.registry.tree import PACKAGES, Tree, WorkTree

ROOT = Path(__file__).resolve().parents[2]

_LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Listed:
    """A method as its file says, read without running it. module: dotted. name: of its class. family: the folder that
    its file lies in, e.g. "layer-dropping". place: its file, below the checkout's root where it lies there."""

    suite: str
    module: str
    name: str
    family: str
    place: PurePosixPath
    card: Card
    doc: str
    variants: Mapping[str, Mapping[str, Any]]
    at_point: Mapping[str, Mapping[str, Any]]

    @property
    def slug(self) -> str:
        return self.card.slug

    @property
    def full_name(self) -> str:
        """Unambiguous, e.g. "lm-compression/dense"."""
        return f"{self.suite}/{self.slug}"

    def settings(self, variant: str, point: str | None = None) -> dict[str, Any]:
        """What a variant, and the point, set of its fields. Raises UnknownName."""
        if variant not in self.variants:
            raise UnknownName(f"variant of {self.slug}", variant, self.variants)
        return {**self.at_point.get(point or "", {}), **self.variants[variant]}

    def is_for(self, problem: str) -> bool:
        return not self.card.problems or problem in self.card.problems

    def load(self) -> type[Method[Any]]:
        """The class. Runs the method's file."""
        loaded: type[Method[Any]] = getattr(importlib.import_module(self.module), self.name)
        return loaded

    def configured(self, variant: str, point: str | None = None) -> Method[Any]:
        """An instance with the settings of one of its variants, and those that it has at the point. Runs its file."""
        return self.load()(**self.settings(variant, point))


@dataclass(frozen=True)
class Registry:
    """Suites by slug; methods by suite and slug; faults: what could not be read, and why."""

    tree: Tree
    suites: Mapping[str, SuiteInfo]
    methods: Mapping[tuple[str, str], Listed]
    faults: tuple[str, ...]
    contents: Contents = field(repr=False)
    _known: dict[tuple[str, str | None], Content] = field(default_factory=dict, init=False, repr=False, compare=False)

    def suite(self, slug: str) -> SuiteInfo:
        if slug not in self.suites:
            raise UnknownName("suite", slug, self.suites)
        return self.suites[slug]

    def methods_of(self, suite: str) -> dict[str, Listed]:
        """By slug."""
        return {slug: listed for (its, slug), listed in sorted(self.methods.items()) if its == suite}

    def method(self, suite: str, slug: str) -> Listed:
        mine = self.methods_of(self.suite(suite).slug)
        if slug in mine:
            return mine[slug]
        others = sorted(its for its, name in self.methods if name == slug)
        belongs = f" (it belongs to {' and '.join(others)})" if others else ""
        raise UnknownName(f"method of suite {suite}{belongs}", slug, mine)

    def find(self, name: str) -> Listed:
        """The method of a slug, or of "suite/slug". Raises UnknownName, and AmbiguousName where suites share it."""
        suite, _, slug = name.rpartition("/")
        if suite:
            return self.method(suite, slug)
        found = [listed for (_, its), listed in self.methods.items() if its == slug]
        if len(found) > 1:
            raise AmbiguousName(slug, (listed.suite for listed in found))
        if not found:
            raise UnknownName("method", slug, {its for _, its in self.methods})
        return found[0]

    def point(self, suite: str, name: str) -> OperatingPoint:
        points = self.suite(suite).points
        if name not in points:
            raise UnknownName(f"operating point of {suite}", name, points)
        return points[name]

    def kinds(self, suite: str, *kinds: str) -> frozenset[str]:
        """Slugs of the suite's methods of these kinds ("method", "control", "reference")."""
        return frozenset(slug for slug, listed in self.methods_of(suite).items() if listed.card.kind in kinds)

    def baselines(self, suite: str) -> list[str]:
        """Slugs of what the suite's problems compare with."""
        return list(dict.fromkeys(problem.baseline for problem in self.suite(suite).problems.values()))

    def stochastic(self, suite: str) -> frozenset[str]:
        """Slugs of the suite's methods whose results hang on the seed."""
        return frozenset(slug for slug, listed in self.methods_of(suite).items() if listed.card.stochastic)

    def trivial(self, suite: str) -> frozenset[str]:
        """Slugs of the suite's controls whose score is the floor."""
        return frozenset(slug for slug, listed in self.methods_of(suite).items() if listed.card.trivial)

    def content(self, listed: Listed) -> Content:
        """What a method comes from, as it was when this was first asked. Raises SyntaxError and LookupError."""
        where = listed.module, listed.name
        if where not in self._known:
            self._known[where] = self.contents.of(where)
        return self._known[where]

    def problem_content(self, problem: ProblemInfo) -> Content:
        """What a problem's scores come from; likewise."""
        whole = problem.module, None
        if whole not in self._known:
            self._known[whole] = self.contents.of_module(problem.module)
        return self._known[whole]


def load_problem(info: SuiteInfo, name: str) -> Problem[Any, Any]:
    """A problem, ready for use. Runs the suite's files. Raises UnknownName, and what `ready` raises."""
    if name not in info.problems:
        raise UnknownName(f"problem of {info.slug}", name, info.problems)
    of = info.problems[name]
    return ready(importlib.import_module(of.module), name, of.settings)


def ready(module: ModuleType, name: str, settings: Mapping[str, Any]) -> Problem[Any, Any]:
    """The problem of a module, with its name and settings. Raises TypeError where the module does not define just one
    class that derives from Problem and is complete."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Problem) and value.__module__ == module.__name__
        and not getattr(value, "__abstractmethods__", None)
    ]  # fmt: skip
    if len(found) != 1:
        raise TypeError(
            f"{module.__name__} has {len(found)} classes that derive from Problem and are complete; it needs one"
        )
    made: Problem[Any, Any] = type(found[0].__name__, (found[0],), {"name": name, "settings": settings})()
    return made


@cache
def open_registry(root: Path = ROOT, *, plugins: bool = True) -> Registry:
    """What there is in the checkout at root, and what is installed and registers itself."""
    registered = _registered() if plugins else ()
    others = frozenset(module.partition(".")[0] for module in registered) - set(PACKAGES)
    tree = WorkTree(root, others)
    finder = _Finder(tree)
    for path in sorted((root / "suites").glob("*/suite.toml")):
        finder.read_suite(path, f"suites.{path.parent.name}")
    found = [(".".join(path.relative_to(root).with_suffix("").parts), path) for path in _files(root / "methods")]
    for module, path in found:
        finder.read_methods(module, path)
    for module in registered:
        finder.read_plugin(module)
    finder.check()
    return Registry(tree, finder.suites, finder.methods, tuple(finder.faults), Contents(tree))


def _files(folder: Path) -> list[Path]:
    """Modules of methods: every file and folder on the way has a plain name."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        if not any(part.startswith("_") for part in path.relative_to(folder).parts):
            found.append(path)
    return found


def _registered() -> list[str]:
    """Modules that installed packages name, each once, whatever they are named as."""
    entries = [*entry_points(group="effbench.suites"), *entry_points(group="effbench.methods")]
    return list(dict.fromkeys(entry.module for entry in entries))


@dataclass
class _Finder:
    """Reads file after file; what is wrong with one is a fault, and takes no other along. read: suites of plug-ins."""

    tree: WorkTree
    read: set[Path] = field(default_factory=set)
    suites: dict[str, SuiteInfo] = field(default_factory=dict)
    methods: dict[tuple[str, str], Listed] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def read_suite(self, path: Path, package: str) -> None:
        place = self._place(path)
        try:
            info = read_suite(self._read(path), place.parent, package)
        except (OSError, BadSuite) as error:
            self.faults.append(str(error))
            return
        if info.slug in self.suites:
            first = self.suites[info.slug].folder
            self.faults.append(f"{place}: the slug {info.slug!r} is {first / 'suite.toml'}'s; rename one of them")
        elif package.startswith("suites.") and package != f"suites.{info.slug.replace('-', '_')}":
            self.faults.append(
                f"{place}: a suite of the slug {info.slug!r} lies in suites/{info.slug.replace('-', '_')}"
            )
        else:
            self.suites[info.slug] = info

    def read_methods(self, module: str, path: Path) -> None:
        place = self._place(path)
        inside = module.startswith("methods.")
        try:
            for written in methods_written(self._read(path)):
                suite = module.split(".")[1].replace("_", "-") if inside else written.card.suite
                if suite is None:
                    raise ValueError(f'the card of {written.name} has to name its suite: Card(suite="...")')
                if inside and written.card.suite not in (None, suite):
                    raise ValueError(f"its card names the suite {written.card.suite!r}, and it lies in that of {suite}")
                family = module.split(".")[-2].replace("_", "-") if inside else "external"
                listed = Listed(
                    suite, module, written.name, family, place, written.card, written.doc, written.variants,
                    written.at_point,
                )  # fmt: skip
                self._claim(listed)
        except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
            self.faults.append(f"{place} can't be read: {type(error).__name__}: {error}")

    def _claim(self, listed: Listed) -> None:
        first = self.methods.setdefault((listed.suite, listed.slug), listed)
        if first is not listed:
            self.faults.append(
                f"{listed.place}: the slug {listed.slug!r} of suite {listed.suite} is {first.place}'s; rename one"
            )

    def read_plugin(self, module: str) -> None:
        """A package that holds a suite.toml, a module beside one, or a module of methods."""
        source = self.tree.find(module)
        if source is None:
            self.faults.append(f"entry point {module}: there is no such module")
            return
        path = Path(source.place)
        settings = path.parent / "suite.toml"
        if settings not in self.read and settings.is_file():  # methods may lie beside it and name it once more
            self.read.add(settings)
            self.read_suite(settings, module if source.package else module.rpartition(".")[0])
        if not source.package:
            self.read_methods(module, path)

    def check(self) -> None:
        """What contradicts itself between files."""
        for info in self.suites.values():
            for problem in info.problems.values():
                if self.tree.find(problem.module) is None:
                    self.faults.append(
                        f"{info.folder / 'suite.toml'}: problem {problem.name} has no module {problem.module}"
                    )
                if (info.slug, problem.baseline) not in self.methods:
                    self.faults.append(
                        f"{info.folder / 'suite.toml'}: there is no baseline {problem.baseline!r} in {info.slug}"
                    )
        for suite in sorted({suite for suite, _ in self.methods} - self.suites.keys()):
            homeless = [key for key in self.methods if key[0] == suite]
            self.faults.append(f"there is no suite {suite!r} that could be read; {len(homeless)} methods are for it")
            for key in homeless:
                del self.methods[key]
        for key, listed in list(self.methods.items()):
            reason = self._misplaced(listed)
            if reason is not None:
                self.faults.append(f"{listed.place}: {reason}")
                del self.methods[key]

    def _misplaced(self, listed: Listed) -> str | None:
        info = self.suites[listed.suite]
        for problem in listed.card.problems:
            if problem not in info.problems:
                has = f"{listed.suite} has {', '.join(info.problems)}"
                return f"the card of {listed.slug} is for the problem {problem!r}; {has}"
        for point in listed.at_point:
            if point not in info.points:
                return (
                    f"at_point of {listed.slug} names the point {point!r}; {listed.suite} has {', '.join(info.points)}"
                )
        return None

    def _place(self, path: Path) -> PurePosixPath:
        return PurePosixPath(path.relative_to(self.tree.root) if path.is_relative_to(self.tree.root) else path)

    def _read(self, path: Path) -> bytes:
        if path.is_symlink() or path.stat().st_size > _LARGEST_FILE:
            raise ValueError("it is a symbolic link, or larger than 1 MiB")
        return path.read_bytes()
