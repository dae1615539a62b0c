"""Which problem a point is a budget on: it says how results there are read."""

from bench.registry import ProblemInfo, SuiteInfo


def problem_at(info: SuiteInfo, point: str) -> ProblemInfo:
    """The problem of a point; of one that the suite no longer has, the suite's first."""
    return info.problem_of(point) if point in info.points else next(iter(info.problems.values()))


def same_problem(info: SuiteInfo, point: str, other: str) -> bool:
    """Whether two points are budgets on one problem, in the same settings."""
    if point not in info.points or other not in info.points:
        return point == other
    mine, theirs = info.points[point], info.points[other]
    return (mine.problem, mine.settings) == (theirs.problem, theirs.settings)
