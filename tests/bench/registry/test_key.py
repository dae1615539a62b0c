"""The key of a record: another where anything that goes into the run is another, and only there."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.record.environment import LIBRARIES
from bench.registry import Registry
from bench.registry.key import Run, key_of, settings_as_stored
from bench.run.plan import Selection, key, make_plan

RUN = Run(
    "toy", "toy-half", "default", "half", "tiny", "ones", 0, "cpu-x86", 1,
    {**dict.fromkeys(LIBRARIES, "1"), "a-game": "1"},
)  # fmt: skip


def with_suite(registry: Registry, **changes: Any) -> Registry:
    return replace(registry, suites={**registry.suites, "toy": replace(registry.suite("toy"), **changes)})


def with_settings(registry: Registry, settings: Any) -> Registry:
    info = registry.suite("toy")
    return with_suite(registry, problems={"shrink": replace(info.problems["shrink"], settings=settings)})


def with_method(registry: Registry, **changes: Any) -> Registry:
    half = replace(registry.method("toy", "toy-half"), **changes)
    return replace(registry, methods={**registry.methods, ("toy", "toy-half"): half})


@pytest.mark.parametrize(
    "changes",
    [
        {"variant": "third"},
        {"point": "unlimited"},
        {"scale": "embedded"},
        {"base": "twos"},
        {"seed": 1},
        {"hardware": "another"},
        {"threads": 2},
        {"method": "toy-large"},
        {"versions": {**RUN.versions, "torch": "2"}},
    ],
)
def test_another_run_has_another_key(toy_registry: Registry, changes: dict[str, Any]) -> None:
    assert key_of(toy_registry, replace(RUN, **changes), 2) != key_of(toy_registry, RUN, 2)


def test_instruments_of_another_version_too(toy_registry: Registry) -> None:
    assert key_of(toy_registry, RUN, 3) != key_of(toy_registry, RUN, 2)


def test_libraries_that_the_suite_does_not_use_do_not_count(toy_registry: Registry) -> None:
    newer = replace(RUN, versions={**RUN.versions, "a-game": "2"})
    assert key_of(toy_registry, newer, 2) == key_of(toy_registry, RUN, 2)
    uses_it = with_suite(toy_registry, libraries=("a-game",))
    assert key_of(uses_it, newer, 2) != key_of(uses_it, RUN, 2)


def test_settings_at_a_point_count_there_alone_and_a_variants_own_go_first(toy_registry: Registry) -> None:
    changed = with_method(toy_registry, at_point={"half": {"share": 0.125}})
    for variant, point, same in (
        ("default", "half", False),
        ("third", "half", True),
        ("default", "unlimited", True),
    ):
        run = replace(RUN, variant=variant, point=point)
        assert (key_of(changed, run, 2) == key_of(toy_registry, run, 2)) is same


def test_words_of_a_card_do_not_count(toy_registry: Registry) -> None:
    card = replace(toy_registry.method("toy", "toy-half").card, title="Another", notes="More words.")
    assert key_of(with_method(toy_registry, card=card), RUN, 2) == key_of(toy_registry, RUN, 2)


def test_settings_of_other_scales_do_not_count(toy_registry: Registry) -> None:
    def key_with(**settings: object) -> str:
        return key_of(with_settings(toy_registry, settings), RUN, 2)

    first = key_with(sizes={"tiny": 1, "embedded": 2}, mode={"tiny": 1, "large": 2})
    assert key_with(sizes={"tiny": 1, "embedded": 9}, mode={"tiny": 1, "large": 2}) == first
    assert key_with(sizes={"tiny": 9, "embedded": 2}, mode={"tiny": 1, "large": 2}) != first
    assert key_with(sizes={"tiny": 1, "embedded": 2}, mode={"tiny": 1, "large": 9}) != first  # not names of scales


def test_limits_of_the_point_count(toy_registry: Registry) -> None:
    points = dict(toy_registry.suite("toy").points)
    limits = replace(points["half"].limits, result={"stored_ratio": 0.7})
    changed = with_suite(toy_registry, points={**points, "half": replace(points["half"], limits=limits)})
    assert key_of(changed, RUN, 2) != key_of(toy_registry, RUN, 2)
    assert key_of(changed, replace(RUN, point="unlimited"), 2) == key_of(
        toy_registry, replace(RUN, point="unlimited"), 2
    )


def test_every_job_of_a_plan_has_a_key_of_its_own(toy_registry: Registry) -> None:
    jobs = make_plan(toy_registry, Selection("toy", ["toy-half"], scale="tiny"))
    assert len({key(toy_registry, job) for job in jobs}) == len(jobs) == 2 * 3 * 3  # variants x points x seeds


class Kind(Enum):
    A = 1


class Level(IntEnum):
    LOW = 1


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (torch.float16, "torch.float16"), (torch.device("cpu"), "cpu"),
        (np.float32(1.5), "1.5"), (np.float64(0.5), 0.5),
        (np.bool_(True), "True"), (np.arange(2), "[0 1]"),
        (math.nan, "nan"), (-math.inf, "-inf"), (10**30, str(10**30)),
        (Kind.A, "Kind.A"), (Level.LOW, 1), (Path("/x"), "/x"), (Decimal("1.1"), "1.1"), ({"b", "a"}, "{'a', 'b'}"),
        ({(1, 2): 3}, {"[1, 2]": 3}), ("\udcff", "\\udcff"), (b"\xff", "b'\\xff'"),
        (1j, "1j"), ((1, (2.5, None)), [1, [2.5, None]]),
    ],
)  # fmt: skip
def test_any_field_is_stored_as_what_json_knows(value: Any, stored: Any) -> None:
    found = settings_as_stored({"field": value})
    assert found == {"field": stored}
    assert json.loads(json.dumps(found, allow_nan=False)) == settings_as_stored(found) == found


@pytest.mark.parametrize("value", [lambda: 0, object(), (each for each in ()), [[object()]], ENDLESS])
def test_a_field_that_is_another_in_every_process_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(ValueError, match=r"field 'odd' can't be recorded: .*; give it a plain value"):
        settings_as_stored({"fine": 1, "odd": value})
