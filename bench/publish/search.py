"""What can be searched for from every page: suites and methods, by name, family and paper."""

from collections.abc import Mapping

from bench.publish.paths import method_address, suite_address
from bench.registry import Registry, SuiteInfo


def searchable(registry: Registry, infos: Mapping[str, SuiteInfo]) -> list[list[str]]:
    """[address, title, slug, kind, suite, family, paper] of each."""
    suites = [
        [suite_address(slug), info.title, slug, "suite", "", info.area, ""] for slug, info in sorted(infos.items())
    ]
    methods = [
        [
            method_address(suite, slug),
            listed.card.title,
            slug,
            listed.card.kind,
            suite,
            listed.family,
            listed.card.paper,
        ]
        for (suite, slug), listed in sorted(registry.methods.items())
    ]
    return suites + methods
