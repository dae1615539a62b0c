"""Checks of a suite: its data is complete, it has methods to compare, a README, and a tiny scale that needs nothing."""

from collections import Counter
from collections.abc import Iterator

from bench.contract import SCALES
from bench.registry.registry import load_problem
from bench.submit.checks.check import Check
from bench.submit.subject import SuiteSubject

MOST_SECONDS = 3.0
"""Of all processors, for a run of the baseline at tiny scale that is not timed: hundreds of methods are tried at each
change."""


def _info(subject: SuiteSubject) -> Iterator[str]:
    info = subject.info
    for name, problem in info.problems.items():
        if problem.baseline not in subject.registry.methods_of(subject.slug):
            yield f"baseline={problem.baseline!r} is no method of the suite"
        if not any(point.problem == name for point in info.points.values()):
            yield f"problem {name} has no operating point"
        if not problem.primaries[1:]:
            yield f"problem {name}: no cost is primary: the frontier needs one"
    for scale in SCALES:
        if not info.bases.get(scale):
            yield f"[bases] has none at scale {scale}"
        if not info.timeout.get(scale, 0) > 0:
            yield f"[timeout] has none at scale {scale}"
        missing = {"seconds", "half_width"} - set(info.timing.get(scale, {}))
        if missing:
            yield f"[timing] of scale {scale} lacks {', '.join(sorted(missing))}"
    for metric in [*info.scores.values(), *info.costs.values()]:
        if not metric.title:
            yield f"{metric.name} has no title"


def _methods(subject: SuiteSubject) -> Iterator[str]:
    kinds = Counter(listed.card.control for listed in subject.registry.methods_of(subject.slug).values())
    if kinds[True] < 2:
        yield f"{kinds[True]} controls: two at least, what anyone would try first (the baseline is one)"
    if kinds[False] < 1:
        yield "no method but controls"


def _readme(subject: SuiteSubject) -> Iterator[str]:
    readme = subject.folder / "README.md"
    if not readme.exists():
        yield f"{readme} is missing"
    elif not readme.read_text(encoding="utf-8").startswith("# "):
        yield f"{readme} does not begin with a title"


def _tiny(subject: SuiteSubject) -> Iterator[str]:
    missing = [
        reason
        for name in subject.info.problems
        if (reason := load_problem(subject.info, name).missing("tiny", subject.info.bases["tiny"][0])) is not None
    ]
    yield from missing
    for job in [] if missing else subject.baseline_jobs():
        trial = subject.runner(job)
        if trial.processor_seconds > MOST_SECONDS:  # what is made once has been made by now
            trial = subject.runner(job)
        if trial.outcome.status not in ("ok", "unsupported"):
            yield f"{job.label}: {trial.outcome.status}: {trial.outcome.reason}"
        elif trial.processor_seconds > MOST_SECONDS:
            yield f"{job.label} takes {trial.processor_seconds:.1f} processor seconds; {MOST_SECONDS:g} at most"


INFO = Check(
    "info",
    guards="suite.toml has all that the engine reads, for every scale",
    mend="suites/README.md explains each key",
    problems=_info,
)
METHODS = Check(
    "methods",
    guards="there is something to compare: two controls and a method",
    mend="`effbench new method SLUG --suite SUITE`; card.control=True is what makes a control",
    problems=_methods,
)
README = Check(
    "readme",
    guards="people can read what the suite measures, on which data, under which licence",
    mend="write README.md beside suite.toml, with a title",
    problems=_readme,
)
TINY = Check(
    "tiny",
    guards="every test and check runs on any machine, in little time",
    mend="make the tiny base and its data on the spot; have the exam ask less of it",
    problems=_tiny,
)
