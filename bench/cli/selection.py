"""Which methods of which suites a command is for."""

from collections.abc import Sequence

from bench.registry import Registry
from bench.registry.names import AmbiguousName, UnknownName, split_selection


def methods_by_suite(registry: Registry, suites: Sequence[str], methods: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Suites with the methods that are wanted of each; an empty list means all of them.

    suites: none means all. methods: "flap", "lm-compression/dense", "flap:no-bias@size-50". Raises UnknownName, and
    AmbiguousName where several of the suites have a slug.
    """
    among = [registry.suite(slug).slug for slug in suites] or sorted(registry.suites)
    if not methods:
        return [(slug, []) for slug in among]
    found: dict[str, list[str]] = {}
    for name in methods:
        found.setdefault(_suite_of(registry, name, among), []).append(name)
    return [(slug, found[slug]) for slug in among if slug in found]


def _suite_of(registry: Registry, name: str, among: Sequence[str]) -> str:
    suite, slug, _, _ = split_selection(name)
    if suite is not None:
        if registry.suite(suite).slug not in among:
            raise UnknownName("method of the chosen suites", name, (f"{each}/{slug}" for each in among))
        return suite
    having = [each for each in among if (each, slug) in registry.methods]
    if len(having) > 1:
        raise AmbiguousName(slug, having)
    if having:
        return having[0]
    if len(among) == 1:  # says which suite it belongs to, if any
        return registry.method(among[0], slug).suite
    raise UnknownName("method", slug, {known for suite, known in registry.methods if suite in among})


def at_points(
    registry: Registry, chosen: Sequence[tuple[str, list[str]]], points: Sequence[str]
) -> list[tuple[str, list[str], list[str]]]:
    """Suites that have one of the points, with their methods and those points of theirs; without points all of them.

    Raises UnknownName for a point that none of the suites has.
    """
    known = {name for suite, _ in chosen for name in registry.suites[suite].points}
    for point in points:
        if point not in known:
            raise UnknownName(f"operating point of {' and '.join(suite for suite, _ in chosen)}", point, known)
    theirs = [(suite, methods, [p for p in points if p in registry.suites[suite].points]) for suite, methods in chosen]
    return [each for each in theirs if each[2] or not points]
