"""Checks: a method and a suite import what the rooms of the house allow, and what the project declares."""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from bench.registry import SuiteInfo
from bench.submit.checks.check import Check
from bench.submit.dependencies import canonical, declared_for, name_of
from bench.submit.subject import MethodSubject, SuiteSubject

ROOT = Path(__file__).resolve().parents[3]
CONTRACT = "bench.contract"
ENGINE_ONLY = ("bench.contract.exam.close_exam",)
SUITES_ONLY = ("bench.contract.cache",)
NETWORK = {"ftplib", "http", "imaplib", "poplib", "smtplib", "socket", "socketserver", "urllib", "xmlrpc"}

Rooms = Callable[[str], str | None]
"""Of a module of the house: why it may not be imported, or None."""


def of_method(subject: MethodSubject) -> Iterator[str]:
    own = subject.listed.module.partition(".")[0]
    suite = subject.info.package

    def rooms(module: str) -> str | None:
        top = module.partition(".")[0]
        if top == "bench":
            seen = _within(module, CONTRACT) and not any(_within(module, name) for name in ENGINE_ONLY + SUITES_ONLY)
            return None if seen else f"of the engine a method sees what {CONTRACT} exports, and nothing else"
        room = ".".join(module.split(".")[:2])
        if top == "methods" and room not in (f"methods.{suite.rpartition('.')[2]}", "methods._techniques"):
            return "belongs to the methods of another suite; what no suite owns lies in methods/_techniques"
        if top == "suites" and room != suite and not room.startswith("suites._"):
            return "is another suite"
        return "a method has no network" if top in NETWORK else None

    for place, text in subject.texts.items():
        for number, module in imported_modules(text):
            if (reason := _refused(module, rooms, own, subject.info)) and not _within(module, suite):
                yield f"{place.name}:{number}: {module}: {reason}"


def of_suite(subject: SuiteSubject) -> Iterator[str]:
    own = subject.info.package

    def rooms(module: str) -> str | None:
        top = module.partition(".")[0]
        if top == "bench":
            seen = _within(module, CONTRACT) and not any(_within(module, name) for name in ENGINE_ONLY)
            return None if seen else f"of the engine a suite sees {CONTRACT}, and nothing else"
        room = ".".join(module.split(".")[:2])
        if top == "suites" and room != own and not room.startswith("suites._"):
            return "is another suite; what several share lies in suites/_NAME"
        return "a suite knows no method" if top == "methods" else None

    registry = subject.registry
    places = {place for of in subject.info.problems.values() for place in registry.problem_content(of).places}
    places |= {subject.info.folder / path.relative_to(subject.folder).as_posix() for path in subject.files}
    for place in sorted(place for place in places if place.suffix == ".py"):
        for number, module in imported_modules(registry.tree.read(place).decode()):
            if reason := _refused(module, rooms, own.partition(".")[0], subject.info):
                yield f"{place.name}:{number}: {module}: {reason}"


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of every absolute import, wherever it stands; `from a import b` is "a.b"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _refused(module: str, rooms: Rooms, own: str, info: SuiteInfo) -> str | None:
    """Why the module may not be imported, or None if it may. own: the package that whoever imports it is of."""
    top = module.partition(".")[0]
    reason = rooms(module)
    if reason is not None or top in sys.stdlib_module_names or top in {"bench", "methods", "suites", own}:
        return reason
    return _undeclared(top, own, info.extra, (*info.libraries, *info.data))


def _undeclared(top: str, own: str, extra: str, of_suite: tuple[str, ...]) -> str | None:
    """Why a library is not among the declared ones, or None if it is."""
    declared = _declared(own, extra) | set(map(canonical, of_suite))
    if canonical(top) in declared:  # most are imported by the name that they are installed by
        return None
    distributions = {canonical(name) for name in packages_distributions().get(top, [])}
    if not distributions:
        return "is not installed"
    if not distributions & declared:
        return f"comes with {min(distributions)}, which is no declared dependency"
    return None


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@cache
def _declared(own: str, extra: str) -> frozenset[str]:
    """Distributions that the project declares, and its extra: ours by pyproject.toml, another's by its metadata too."""
    project = ROOT / "pyproject.toml"
    installed = map(name_of, requires("effbench") or [])
    ours = declared_for(project.read_bytes(), extra) if project.exists() else set(installed)
    theirs = {
        name_of(requirement)
        for distribution in packages_distributions().get(own, [])
        for requirement in requires(distribution) or []
    }
    return frozenset(ours | theirs)


METHOD_CHECK = Check(
    "imports",
    guards="a method sees the contract, its suite and what no suite owns, and needs what an installation would bring",
    mend="import from bench.contract; declare a library in pyproject.toml or under [requires] of suite.toml",
    problems=of_method,
)
SUITE_CHECK = Check(
    "imports",
    guards="a suite sees the contract and what suites share, and needs what an installation would bring",
    mend="move what two suites need to suites/_NAME; declare a library in pyproject.toml or under [requires]",
    problems=of_suite,
)
