"""Check: a method imports the contract, its own tree and what the project declares."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from bench.submit.checks.check import Check
from bench.submit.dependencies import canonical, declared_in, name_of
from bench.submit.subject import MethodSubject

ROOT = Path(__file__).resolve().parents[3]
ENGINE = "bench"
CONTRACT = "bench.contract"
ENGINE_ONLY = ("bench.contract.evaluation", "bench.contract.registry")
NETWORK = {"ftplib", "http", "imaplib", "poplib", "smtplib", "socket", "socketserver", "urllib", "xmlrpc"}


def problems(subject: MethodSubject) -> Iterator[str]:
    own = subject.method.__module__.partition(".")[0]
    suite = type(subject.registry.suite(subject.method.card.suite)).__module__.partition(".")[0]
    for file in subject.files:
        for number, module in imported_modules(file.read_text()):
            reason = _refused(module, own)
            if reason and not _within(module, suite):
                yield f"{file.name}:{number}: {module}: {reason}"


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of every absolute import, wherever it stands; `from a import b` is "a.b"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _refused(module: str, own: str) -> str | None:
    """Why a method may not import the module, or None if it may."""
    top = module.partition(".")[0]
    if top == ENGINE:
        seen = _within(module, CONTRACT) and not any(_within(module, name) for name in ENGINE_ONLY)
        return None if seen else f"of the engine a method sees what {CONTRACT} exports, and nothing else"
    if top in NETWORK:
        return "a method has no network"
    if top in sys.stdlib_module_names or top in {"methods", "suites", own}:
        return None
    return _undeclared(top, own)


def _undeclared(top: str, own: str) -> str | None:
    """Why a library is not among the declared ones, or None if it is."""
    if canonical(top) in _declared(own):  # most are imported by the name that they are installed by
        return None
    distributions = {canonical(name) for name in packages_distributions().get(top, [])}
    if not distributions:
        return "is not installed"
    if not distributions & _declared(own):
        return f"comes with {min(distributions)}, which is no declared dependency"
    return None


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@cache
def _declared(own: str) -> frozenset[str]:
    """Distributions that the project declares: ours by pyproject.toml, another's by its metadata too."""
    project = ROOT / "pyproject.toml"
    ours = declared_in(project.read_bytes()) if project.exists() else set(map(name_of, requires("effbench") or []))
    theirs = {
        name_of(requirement)
        for distribution in packages_distributions().get(own, [])
        for requirement in requires(distribution) or []
    }
    return frozenset(ours | theirs)


CHECK = Check(
    "imports",
    guards="a method sees the contract and no engine, and needs nothing that an installation would not bring",
    mend="import from bench.contract; declare a new library in pyproject.toml, say in `supports` where it is missing",
    problems=problems,
)
