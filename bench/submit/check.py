"""`effbench check`: every check of every subject, all failures at once; the last line and the exit code agree."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.contract.registry import Registry, UnknownName
from bench.contract.sources import sources
from bench.submit.changes import Changes
from bench.submit.checks import METHOD_CHECKS, SUBMISSION_CHECKS, SUITE_CHECKS
from bench.submit.checks.check import Check, NotChecked, Subject
from bench.submit.subject import MethodSubject, SuiteSubject
from bench.submit.trials import TrialProcess

IMPORTABLE: Check[Registry] = Check(
    "loads",
    guards="every module under methods/ and suites/ can be imported",
    mend="correct the file that is named; until then its methods do not exist",
    problems=lambda registry: registry.problems,
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
    for name in names:
        if name not in registry.methods and name not in registry.suites:
            raise UnknownName("method or suite", name, {*registry.methods, *registry.suites})
    findings = []
    for finding in _findings(registry, names, changes):
        show(finding)
        findings.append(finding)
    return findings


def touched(registry: Registry, changes: Changes) -> list[str]:
    """Slugs of the suites that a submission changes, then of the methods: its own and those of such suites."""
    files = {changes.root / path for path in changes.files}
    suites = [slug for slug, suite in sorted(registry.suites.items()) if _any_below(suite.info.folder, files)]
    methods = [
        slug
        for slug, method in sorted(registry.methods.items())
        if method.card.suite in suites or sources(sys.modules[method.__module__]) & files
    ]
    return [*suites, *(slug for slug in methods if slug not in suites)]


def show(finding: Finding) -> None:
    """Print a finding: a line if it passed, else also every problem and how to mend it."""
    took = f"  {finding.seconds:.0f} s" if finding.seconds >= 1 else ""
    print(f"{_LABEL[finding.status]:<12}{finding.subject:<28}{finding.check}{took}", flush=True)
    if finding.status == "passed":
        return
    for problem in finding.problems:
        print(f"{'':12}- {problem}")
    if finding.status == "failed":
        print(f"{'':12}guards: {finding.guards}\n{'':12}mend: {finding.mend}", flush=True)


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


def _findings(registry: Registry, names: Sequence[str], changes: Changes | None) -> Iterator[Finding]:
    yield _find("registry", IMPORTABLE, registry)
    if changes is not None:
        for submission_check in SUBMISSION_CHECKS:
            yield _find("submission", submission_check, changes)
    for slug in names:
        if slug in registry.suites:
            for suite_check in SUITE_CHECKS:
                yield _find(slug, suite_check, SuiteSubject(registry, slug))
    for slug in names:
        if slug in registry.methods:
            with TrialProcess(protected=[Path(__file__).resolve().parents[2] / "results"]) as runner:
                subject = MethodSubject(registry, slug, runner)
                for method_check in METHOD_CHECKS:
                    yield _find(slug, method_check, subject)


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
