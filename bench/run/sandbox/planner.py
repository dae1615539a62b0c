"""Plans the runs of methods that must not be imported here: each is asked in a sandbox of its own.

`python -m bench.run.sandbox.planner FD` is the part inside; it reads what is asked as JSON from the standard input.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bench.contract import MissingAsset, SuiteInfo
from bench.contract.registry import UnknownName, load
from bench.record.environment import usable_cores
from bench.run.plan import Job, key, make_plan
from bench.run.runner import Planned
from bench.run.sandbox import NotPlanned
from bench.run.sandbox.catalogue import Catalogue
from bench.run.sandbox.launch import Confinement, launch

_SECONDS = 300.0
_LONGEST_PLAN = 1000


class NoPlan(RuntimeError):
    """A method could not be asked, or gave an answer that was not asked for; the message says what happened."""


def plan_confined(
    catalogue: Catalogue,
    confinement: Confinement,
    *,
    suite: str,
    methods: Sequence[str],
    tell: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> list[Planned]:
    """As make_plan, with the same selections. Where all methods are meant, one that can't be asked is told of and left
    out, as one that can't be imported is. Raises UnknownName, NotPlanned and MissingAsset."""
    info = catalogue.info(suite)
    options["threads"] = options.get("threads") or usable_cores()
    by_slug: dict[str, list[str]] = {}
    for name in methods or catalogue.slugs(suite):
        by_slug.setdefault(name.partition("@")[0].partition(":")[0], []).append(name)
    planned: list[Planned] = []
    for slug, names in by_slug.items():
        modules = catalogue.modules(suite, slug)
        asked = {"modules": modules, "suite": suite, "methods": names, **options}
        try:
            planned += _ask(confinement, asked, slug, info)
        except NoPlan as reason:
            if methods:
                raise NotPlanned(f"{slug} could not be planned: {reason}") from reason
            tell(f"{slug} could not be planned: {reason}")
    places = list(info.points)
    planned.sort(key=lambda each: (places.index(each.job.point), each.job.method != info.baseline))
    return planned


def _ask(confinement: Confinement, asked: dict[str, Any], slug: str, info: SuiteInfo) -> Iterator[Planned]:
    ended = launch(
        "bench.run.sandbox.planner",
        json.dumps(asked).encode(),
        timeout=_SECONDS,
        confinement=confinement,
        variables={"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        gpu=asked["device"].startswith("cuda"),
    )
    last = (ended.log.strip().splitlines() or ["no message"])[-1]
    if ended.stopped is not None:
        raise NoPlan(str(ended.stopped.reason))
    try:
        answer = json.loads(ended.answer)
        if "refused" in answer:
            raise NotPlanned(str(answer["refused"]))
        if "missing" in answer:
            raise MissingAsset(str(answer["missing"]))
        if len(answer["plan"]) > _LONGEST_PLAN:
            raise NoPlan(f"it planned more than {_LONGEST_PLAN} runs")
        found = [
            (Job(**{**job, **{name: tuple(job[name]) for name in ("modules", "workloads")}}), str(key))
            for job, key in answer["plan"]
        ]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NoPlan(last) from error
    for job, found_key in found:
        _check(job, asked, slug, info)
        yield Planned(job, found_key, info)


def _check(job: Job, asked: dict[str, Any], slug: str, info: SuiteInfo) -> None:
    """Raise NoPlan for a job that is not this method's, or was not asked for: the answer was made beside its code."""
    expected = {
        "suite": asked["suite"], "method": slug, "modules": tuple(asked["modules"]), "scale": asked["scale"],
        "device": asked["device"], "threads": asked["threads"], "workloads": tuple(asked.get("workloads", ())),
    }  # fmt: skip
    given = asdict(job)
    for name, value in expected.items():
        if given[name] != value or type(given[name]) is not type(value):
            raise NoPlan(f"it planned a run with {name} {given[name]!r}, where {value!r} was asked for")
    if job.point not in info.points or type(job.seed) is not int or (asked["seeds"] and job.seed not in asked["seeds"]):
        raise NoPlan(f"it planned a run at {job.point!r} with seed {job.seed!r}, which was not asked for")
    if job.base not in ([asked["base"]] if asked["base"] else info.bases[job.scale]) or type(job.timed) is not bool:
        raise NoPlan(f"it planned a run from base {job.base!r}, which was not asked for")
    if type(job.variant) is not str or len(job.variant) > 100:
        raise NoPlan("it planned a variant that has no name")


def main() -> None:
    """Inside: the answer is {"plan": [[job, key]...]}, {"refused": why} or {"missing": line}."""
    answer_to = int(sys.argv[1])
    os.set_inheritable(answer_to, False)
    asked = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        registry = load(tuple(asked.pop("modules")))
        jobs = make_plan(registry, **asked)
        suite = registry.suite(asked["suite"])
        missing = {each for job in jobs if (each := suite.missing(job.scale, job.base)) is not None}
        answer = {"missing": min(missing)} if missing else {"plan": [[asdict(job), key(registry, job)] for job in jobs]}
    except UnknownName as error:
        answer = {"refused": str(error)}
    with os.fdopen(answer_to, "wb") as pipe:
        pipe.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
