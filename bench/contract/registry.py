"""Finds methods and suites: every module under methods/ and suites/, and what others register by entry point.

Adding one edits no central file. A module that cannot be imported is a problem that is reported by name; the rest work.
"""

import difflib
import importlib
import logging
import pkgutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from bench.contract.limits import Limits, OperatingPoint
from bench.contract.method import Method
from bench.contract.sources import imported
from bench.contract.suite import Metric, Suite, SuiteInfo


class UnknownName(LookupError):
    """A suite, method, variant, point or scale that does not exist; the message names the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class SlugTaken(ValueError):
    """Two cards, or two suites, carry the same slug."""


@dataclass(frozen=True)
class Registry:
    """All methods (class by slug) and suites (instance by slug) that could be loaded, and what could not."""

    methods: Mapping[str, type[Method[Any]]]
    suites: Mapping[str, Suite[Any]]
    problems: tuple[str, ...]

    def method(self, slug: str) -> type[Method[Any]]:
        if slug not in self.methods:
            raise UnknownName("method", slug, self.methods)
        return self.methods[slug]

    def suite(self, slug: str) -> Suite[Any]:
        if slug not in self.suites:
            raise UnknownName("suite", slug, self.suites)
        return self.suites[slug]

    def point(self, suite: str, name: str) -> OperatingPoint:
        points = self.suite(suite).info.points
        if name not in points:
            raise UnknownName(f"operating point of {suite}", name, points)
        return points[name]

    @cached_property
    def controls(self) -> frozenset[str]:
        """Slugs of the controls that a method is to beat."""
        return frozenset(slug for slug, method in self.methods.items() if method.card.kind == "control")

    @cached_property
    def stochastic(self) -> frozenset[str]:
        """Slugs of the methods whose results hang on the seed."""
        return frozenset(slug for slug, method in self.methods.items() if method.card.stochastic)

    def methods_of(self, suite: str) -> dict[str, type[Method[Any]]]:
        return {slug: cls for slug, cls in sorted(self.methods.items()) if cls.card.suite == suite}


def family(method: type[Method[Any]]) -> str:
    """The folder that the method's file lies in, e.g. "layer-dropping"."""
    return method.__module__.split(".")[-2].replace("_", "-") if "." in method.__module__ else "external"


def configured(method: type[Method[Any]], variant: str, point: str | None = None) -> Method[Any]:
    """An instance of the method with the settings of one of its variants, and those that it has at the point."""
    if variant not in method.variants:
        raise UnknownName(f"variant of {method.card.slug}", variant, method.variants)
    return method(**{**method.at_point.get(point or "", {}), **method.variants[variant]})


def hyperparameters(method: Method[Any]) -> dict[str, Any]:
    """The fields of a configured method."""
    return {field.name: getattr(method, field.name) for field in fields(method)}  # type: ignore[arg-type]


def suite_package(suite: Suite[Any]) -> str:
    """The package that the suite's module lies in, e.g. "suites.lm_compression"."""
    return type(suite).__module__.rpartition(".")[0]


def suite_files(suite: Suite[Any]) -> set[Path]:
    """Files that the suite's scores come from: the code and the data in its folder, and what the code imports."""
    code, folder = sorted(suite.info.folder.rglob("*.py")), suite.info.folder
    modules = [".".join((suite_package(suite), *path.relative_to(folder).with_suffix("").parts)) for path in code]
    return {*code, *folder.rglob("*.yaml"), *imported(name.removesuffix(".__init__") for name in modules)}


def import_all(suite: Suite[Any]) -> None:
    """Import every module in the suite's folder that is not imported yet."""
    for found in pkgutil.walk_packages([str(suite.info.folder)], suite_package(suite) + "."):
        importlib.import_module(found.name)


@cache
def load(only: tuple[str, ...] = ()) -> Registry:
    """The registry of this process. `only`: import just these modules, so that a run meets no method but its own."""
    for noisy in ("torchao", "torch.utils._pytree"):  # they warn at import of what nobody here asked for
        logging.getLogger(noisy).setLevel(logging.ERROR)
    problems: list[str] = []
    modules = [importlib.import_module(name) for name in only] or [
        *_modules("methods", problems),
        *_modules("suites", problems),
        *_entry_modules(problems),
    ]
    methods: dict[str, type[Method[Any]]] = {}
    suites: dict[str, Suite[Any]] = {}
    for module in modules:
        for cls in _defined_in(module):
            if issubclass(cls, Method) and "card" in vars(cls):
                _claim(methods, cls.card.slug, cls)
            elif issubclass(cls, Suite):
                try:
                    cls.info = read_suite_info(Path(str(module.__file__)).with_name("suite.toml"))
                except (OSError, ValueError, TypeError, KeyError) as error:
                    problems.append(f"{module.__name__}: its suite.toml can't be read: {error!r}")
                    continue
                _claim(suites, cls.info.slug, cls())
    return Registry(MappingProxyType(methods), MappingProxyType(suites), tuple(problems))


def read_suite_info(path: Path) -> SuiteInfo:
    """Read a suite.toml."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    allowances = data.pop("allowances", {})
    points = {name: _point(name, point, allowances) for name, point in data.pop("points").items()}
    known = {"seconds", "memory_bytes"}.union(*(point.limits.supplies for point in points.values()))
    for scale, factors in allowances.items():
        if wrong := sorted(set(factors) - known):
            raise ValueError(f"{path}: allowances.{scale}: no point limits {wrong[0]!r}; there are {sorted(known)}")
    scores = {name: Metric(name, **metric) for name, metric in data.pop("scores").items()}
    costs = {name: Metric(name, **metric) for name, metric in data.pop("costs").items()}
    if sum(metric.primary for metric in scores.values()) != 1:
        raise ValueError(f"{path}: exactly one score must be primary")
    return SuiteInfo(points=points, scores=scores, costs=costs, folder=path.parent, **data)


def _point(name: str, data: dict[str, Any], allowances: dict[str, dict[str, float]]) -> OperatingPoint:
    build = data.get("build", {})
    limits = Limits(
        result=data.get("limits", {}),
        build_seconds=build.pop("seconds", None),
        build_memory_bytes=build.pop("memory_bytes", None),
        supplies=build,
    )
    return OperatingPoint(name, data["title"], limits, data.get("settings", {}), allowances)


def _modules(package_name: str, problems: list[str]) -> Iterator[ModuleType]:
    package = importlib.import_module(package_name)
    for found in pkgutil.walk_packages(package.__path__, package_name + ".", onerror=lambda name: None):
        leaf = found.name.rsplit(".", 1)[-1]
        if leaf.startswith("_") or found.ispkg:
            continue
        if package_name == "suites" and leaf != "suite":
            continue
        try:
            yield importlib.import_module(found.name)
        except Exception as error:  # any author's module may fail in any way; it must not take the others along
            problems.append(f"{found.name} could not be imported: {type(error).__name__}: {error}")


def _entry_modules(problems: list[str]) -> Iterator[ModuleType]:
    for entry in [*entry_points(group="effbench.methods"), *entry_points(group="effbench.suites")]:
        try:
            yield importlib.import_module(entry.module)
        except Exception as error:  # as above
            problems.append(f"entry point {entry.value} could not be imported: {type(error).__name__}: {error}")


def _defined_in(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


def _claim(table: dict[str, Any], slug: str, thing: Any) -> None:
    if slug in table:
        first = table[slug] if isinstance(table[slug], type) else type(table[slug])
        second = thing if isinstance(thing, type) else type(thing)
        raise SlugTaken(
            f"slug {slug!r} is taken: {first.__module__}.{first.__qualname__} and "
            f"{second.__module__}.{second.__qualname__}; rename one of them"
        )
    table[slug] = thing
