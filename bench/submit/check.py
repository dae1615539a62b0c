"""`effbench check`: every check of every subject, all failures at once; the last line and the exit code agree."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.registry import Listed, Registry, UnknownName
from bench.registry.names import AmbiguousName
from bench.submit.changes import Changes, touched_methods
from bench.submit.checks import METHOD_CHECKS, SUBMISSION_CHECKS, SUITE_CHECKS
from bench.submit.checks.check import Check, NotChecked, Subject
from bench.submit.subject import MethodSubject, SuiteSubject
from bench.submit.trials import Trials

READABLE: Check[Registry] = Check(
    "reads",
    guards="every card under methods/ and every suite.toml can be read, and they fit each other",
    mend="correct the file that is named; until then what it holds does not exist",
    problems=lambda registry: registry.faults,
)


@dataclass(frozen=True)
class Finding:
    """What one check says of one subject. problems: one sentence each; what is missing where it was not checked."""

    subject: str
    check: str
    status: Literal["passed", "failed", "not checked"]
    problems: tuple[str, ...]
    guards: str
    mend: str
    seconds: float


def check(
    registry: Registry, names: Sequence[str], changes: Changes | None, *, show: Callable[[Finding], None]
) -> list[Finding]:
    """Check methods and suites by name and, where they are given, the changes of a submission; `show` each finding.

    Raises UnknownName, naming the nearest, before anything is checked.
    """
    subjects = [_named(registry, name) for name in names]
    findings = []
    for finding in _findings(registry, subjects, changes):
        show(finding)
        findings.append(finding)
    return findings


def everything(registry: Registry) -> list[str]:
    """Names of all suites, then of all methods."""
    return [*sorted(registry.suites), *(listed.full_name for _, listed in sorted(registry.methods.items()))]


def touched(registry: Registry, changes: Changes) -> list[str]:
    """Names of the suites in which a submission changes a file, then of the methods that it touches (see
    `touched_methods`), or whose words it changes."""
    files = {changes.root / path for path in changes.files}
    suites = [slug for slug, info in sorted(registry.suites.items()) if _any_below(changes.root / info.folder, files)]
    runs = touched_methods(registry, changes)
    methods = [
        listed.full_name
        for (suite, slug), listed in sorted(registry.methods.items())
        if slug in runs.get(suite, ()) or changes.root / listed.place in files
    ]
    return [*suites, *methods]


def shower(names: Sequence[str]) -> Callable[[Finding], None]:
    """What prints findings of these subjects: a line if one passed, else every problem and how to mend it."""
    width = max([len("submission"), *map(len, names)]) + 2

    def show(finding: Finding) -> None:
        took = f"  {finding.seconds:.0f} s" if finding.seconds >= 1 else ""
        print(f"{_LABEL[finding.status]:<12}{finding.subject:<{width}}{finding.check}{took}", flush=True)
        if finding.status == "passed":
            return
        for problem in finding.problems:
            print(f"{'':12}- {problem}")
        if finding.status == "failed":
            print(f"{'':12}guards: {finding.guards}\n{'':12}mend: {finding.mend}", flush=True)

    return show


_LABEL = {"passed": "ok", "failed": "FAILED", "not checked": "not checked"}


def summary(findings: Sequence[Finding]) -> str:
    """The last line, "check: 11 passed, 1 failed"."""
    count = {status: sum(finding.status == status for finding in findings) for status in ("passed", "failed")}
    unchecked = len(findings) - sum(count.values())
    line = f"check: {count['passed']} passed, {count['failed']} failed"
    return line + (f", {unchecked} not checked" if unchecked else "")


def failed(findings: Sequence[Finding]) -> bool:
    """Whether the exit code is 1."""
    return any(finding.status == "failed" for finding in findings)


def _named(registry: Registry, name: str) -> tuple[str, Listed | None]:
    """The name, and the method that it means; None for a suite's. Raises UnknownName and AmbiguousName."""
    if name in registry.suites:
        return name, None
    try:
        return name, registry.find(name)
    except AmbiguousName:
        raise
    except UnknownName as unknown:
        if "/" in name:
            raise
        known = {*registry.suites, *(slug for _, slug in registry.methods)}
        raise UnknownName("method or suite", name, known) from unknown


def _findings(
    registry: Registry, subjects: Sequence[tuple[str, Listed | None]], changes: Changes | None
) -> Iterator[Finding]:
    yield _find("registry", READABLE, registry)
    if changes is not None:
        for submission_check in SUBMISSION_CHECKS:
            yield _find("submission", submission_check, changes)
    together = tuple(listed for _, listed in subjects if listed is not None)
    with Trials(registry) as runner:
        for name, listed in subjects:
            if listed is None:
                for suite_check in SUITE_CHECKS:
                    yield _find(name, suite_check, SuiteSubject(registry, name, runner))
        for name, listed in subjects:
            if listed is not None:
                subject = MethodSubject(registry, listed, runner, together=together)
                for method_check in METHOD_CHECKS:
                    yield _find(name, method_check, subject)


def _find(label: str, check: Check[Subject], subject: Subject) -> Finding:
    start = time.monotonic()
    status: Literal["passed", "failed", "not checked"]
    try:
        problems: tuple[Any, ...] = tuple(check.problems(subject))
        status = "failed" if problems else "passed"
    except NotChecked as missing:
        problems, status = (str(missing),), "not checked"
    except Exception as error:  # of the method's own code, as a rule; the other checks still have something to say
        problems, status = (f"{type(error).__name__}: {error}",), "failed"
    seconds = time.monotonic() - start
    return Finding(label, check.name, status, problems, check.guards, check.mend, seconds)


def _any_below(folder: Path, files: set[Path]) -> bool:
    return any(file.is_relative_to(folder) for file in files)
