"""Which slug lies in which module, read from the text of the files: nothing of a submission is imported for it."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from bench.contract import SuiteInfo
from bench.contract.registry import SlugTaken, UnknownName, read_suite_info

Entry = TypeVar("Entry")

_LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Listed:
    """A method: the module that its class lies in, and the suite that its card names."""

    module: str
    suite: str


@dataclass(frozen=True)
class Catalogue:
    """suites: slug -> (module, content of its suite.toml). methods: by slug. problems: what could not be read."""

    suites: Mapping[str, tuple[str, SuiteInfo]]
    methods: Mapping[str, Listed]
    problems: tuple[str, ...]

    def info(self, suite: str) -> SuiteInfo:
        return self._suite(suite)[1]

    def modules(self, suite: str, method: str) -> tuple[str, ...]:
        """What a run of the method imports: suite, baseline, method. Raises UnknownName."""
        module, info = self._suite(suite)
        return tuple(dict.fromkeys([module, *(self._method(slug, suite).module for slug in (info.baseline, method))]))

    def slugs(self, suite: str) -> list[str]:
        """Of the suite's methods."""
        self._suite(suite)
        return sorted(slug for slug, listed in self.methods.items() if listed.suite == suite)

    def _suite(self, slug: str) -> tuple[str, SuiteInfo]:
        if slug not in self.suites:
            raise UnknownName("suite", slug, self.suites)
        return self.suites[slug]

    def _method(self, slug: str, suite: str) -> Listed:
        listed = self.methods.get(slug)
        if listed is None:
            raise UnknownName("method", slug, self.methods)
        if listed.suite != suite:
            raise UnknownName(f"method of suite {suite} (it belongs to {listed.suite})", slug, self.slugs(suite))
        return listed


def read_catalogue(tree: Path) -> Catalogue:
    """Of the packages `methods` and `suites` in a checkout, and of what is installed and registers itself.

    Raises SlugTaken, as the registry does, so that no module can stand for another's slug.
    """
    suites: dict[str, tuple[str, SuiteInfo]] = {}
    methods: dict[str, Listed] = {}
    problems: list[str] = []
    for module, path in [*_modules(tree), *_registered()]:
        try:
            if path.is_symlink() or path.stat().st_size > _LARGEST_FILE:
                raise ValueError("is a symbolic link, or larger than a module is")
            cards = list(_cards(ast.parse(path.read_bytes())))
            settings = path.with_name("suite.toml")
            if path.name == "suite.py" and settings.is_file() and not settings.is_symlink():
                info = read_suite_info(settings)
                _claim(suites, info.slug, (module, info), module)
        except (OSError, ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
            problems.append(f"{module} can't be read: {type(error).__name__}")
            continue
        for card in cards:
            if card is None:
                problems.append(f"{module}: slug and suite of its card have to be plain strings")
            else:
                _claim(methods, card[0], Listed(module, card[1]), module)
    return Catalogue(suites, methods, tuple(problems))


def _modules(tree: Path) -> Iterator[tuple[str, Path]]:
    for package in ("methods", "suites"):
        for path in sorted((tree / package).rglob("*.py")):
            if not path.name.startswith("_"):
                yield ".".join(path.relative_to(tree).with_suffix("").parts), path


def _registered() -> Iterator[tuple[str, Path]]:
    for entry in [*entry_points(group="effbench.methods"), *entry_points(group="effbench.suites")]:
        where, origin, name = None, None, ""
        for part in entry.module.split("."):
            name = f"{name}.{part}".lstrip(".")
            spec = PathFinder.find_spec(name, where)  # unlike importlib.util's, imports no package above
            if spec is None:
                break
            where, origin = spec.submodule_search_locations, spec.origin
        if name == entry.module and origin is not None:
            yield entry.module, Path(origin)


def _cards(module: ast.Module) -> Iterator[tuple[str, str] | None]:
    """(slug, suite) of every class that has `card = ...(slug="...", suite="...")`; None where they are computed."""
    for cls in module.body:
        for line in cls.body if isinstance(cls, ast.ClassDef) else ():
            if isinstance(line, ast.Assign) and [getattr(to, "id", None) for to in line.targets] == ["card"]:
                given = {word.arg: word.value for word in getattr(line.value, "keywords", ())}
                slug, suite = (_string(given.get(name)) for name in ("slug", "suite"))
                yield (slug, suite) if slug is not None and suite is not None else None


def _string(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _claim(table: dict[str, Entry], slug: str, entry: Entry, module: str) -> None:
    if slug in table:
        raise SlugTaken(f"slug {slug!r} is taken twice, the second time in {module}; rename one of them")
    table[slug] = entry
