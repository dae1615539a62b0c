"""Where methods can be run at tiny scale."""

from collections.abc import Iterator
from pathlib import Path

from bench.registry import Listed, open_registry
from bench.run.plan import Job, Selection, make_plan
from bench.submit.checks.budget import SHORTEST_REASON
from tests.conformance.one_process import Kept, Place

REGISTRY = open_registry()


def first_supported(listed: Listed, folder: Path, kept: Kept) -> tuple[Job, Place]:
    """Where a quick look at a method is had."""
    if listed.full_name not in kept.first:
        found = next(supported(listed, folder, kept), None)
        assert found is not None, "it supports no operating point"
        kept.first[listed.full_name] = found[0]
        return found
    job = kept.first[listed.full_name]
    return job, Place.of(REGISTRY, job, folder, kept)


def supported(listed: Listed, folder: Path, kept: Kept) -> Iterator[tuple[Job, Place]]:
    """Every variant at every point that it supports, the first variant first: on the first base on which the method can
    be run at all. Asked in this process, so that no run is begun for a refusal."""
    for base in REGISTRY.suite(listed.suite).bases["tiny"]:
        any_yet = False
        for job in _jobs(listed, base):
            place = Place.of(REGISTRY, job, folder, kept)
            reason = place.order.method.method().supports(place.task())
            if reason is None:
                any_yet = True
                yield job, place
            else:
                assert len(reason) >= SHORTEST_REASON, f"{job.label}: say in a sentence why not: {reason!r}"
        if any_yet:
            return


def _jobs(listed: Listed, base: str) -> list[Job]:
    wanted = Selection(listed.suite, [listed.slug], (), (0,), "tiny", base, threads=1, timed=False)
    order = list(listed.variants)
    return sorted(make_plan(REGISTRY, wanted), key=lambda job: order.index(job.variant))
