"""Check: every claim has a source in the paper and can be held against records."""

import re
from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject

PLACE = re.compile(
    r"abstract|section|chapter|appendix|table|figure|equation|theorem|algorithm|page|experiment|introduction|conclusion"
    r"|\b(sec|tab|fig|eq|alg|app|thm|p|pp)\.|§|\b(readme|code)\b",
    re.IGNORECASE,
)


def problems(subject: MethodSubject) -> Iterator[str]:
    info = subject.info
    of = [problem for name, problem in info.problems.items() if subject.listed.is_for(name)]
    known = {name for problem in of for name in problem.metrics}
    baseline = of[0].baseline
    for claim in subject.listed.card.claims:
        label = f"claim {claim.text!r}"
        if not PLACE.search(claim.source):
            yield f"{label}: source={claim.source!r} names no place in the paper (abstract, section, table...)"
        if claim.metric not in known:
            yield f"{label}: metric={claim.metric!r} is no score or cost of {info.slug}"
        if claim.variant is not None and claim.variant not in subject.listed.variants:
            yield f"{label}: variant={claim.variant!r} is none of {', '.join(subject.listed.variants)}"
        for point in claim.points:
            if point not in info.points or info.problem_of(point) not in of:
                yield f"{label}: it never runs at points={point!r}; there are {', '.join(info.points)}"
        slug, _, variant = (claim.versus or baseline).partition(":")
        opponent = subject.registry.methods_of(info.slug).get(slug)
        if opponent is None:
            yield f"{label}: versus={claim.versus!r} is no method of {info.slug}"
        elif variant and variant not in opponent.variants:
            yield f"{label}: versus={claim.versus!r}: {slug} has no such variant, but {', '.join(opponent.variants)}"


CHECK = Check(
    "claims",
    guards="each claim says where the paper makes it, and speaks of figures and methods that there are",
    mend="name the section or table; take metric from the suite's suite.toml and versus from `effbench list`",
    problems=problems,
)
