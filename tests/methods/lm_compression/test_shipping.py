"""Every method of the suite: what it builds can be shipped, answers the same from disk, and weighs what was weighed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contract import Setting
from bench.registry import open_registry
from bench.run import artefact
from suites._language.served import ServedLM
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import problem, task_of_the_suite

METHODS = [
    pytest.param(slug, marks=pytest.mark.xdist_group(slug)) for slug in open_registry().methods_of("lm-compression")
]
POINTS = ("size-25", "size-50", "size-75", "compute-75", "unlimited")
PAIRS = [([1, 2, 3, 4], [5, 6]), ([1, 2, 3, 4], [9]), ([65, 66], [67, 68, 69])]


@dataclass(frozen=True)
class Built:
    """weighed: stored bytes of all that the method weighed on the way."""

    task: CausalLMTask
    candidate: Any
    weighed: set[float]


@cache
def built(slug: str) -> Built:
    """The method's first variant at the first of POINTS that it supports, on little text."""
    listed = open_registry().method("lm-compression", slug)
    method = listed.configured(next(iter(listed.variants)))
    for name in POINTS:
        point = open_registry().point("lm-compression", name).at("tiny")
        limits = replace(point.limits, supplies={"calibration_tokens": 2048, "training_tokens": 512})
        task = task_of_the_suite(Setting("tiny", "random-llama", replace(point, limits=limits), seed=0))
        if method.supports(task) is None:
            break
    weighed: set[float] = set()
    weigh = task.weigh

    def noted(candidate: Any) -> Mapping[str, float]:
        figures = weigh(candidate)
        weighed.add(figures["stored_bytes"])
        return figures

    task.weigh = noted
    return Built(task, method.build(task), weighed)


@pytest.mark.parametrize("slug", METHODS)
def test_a_candidate_answers_the_same_from_disk(slug: str, tmp_path: Path) -> None:
    task, candidate = built(slug).task, built(slug).candidate
    path = tmp_path / artefact.CANDIDATE
    size = artefact.write(candidate, path)
    assert size == path.stat().st_size == task.weigh(candidate)["stored_bytes"]
    before, after = (problem().serve(each, task) for each in (candidate, artefact.read(path, "cpu")))
    for one, other in zip(answers(before), answers(after), strict=True):
        assert torch.equal(one, other)
    assert after.figures() == before.figures()


def answers(served: ServedLM) -> list[torch.Tensor]:
    """Of everything that it can be asked."""
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    scores = [torch.from_numpy(each) for each, _ in served.score(PAIRS)]
    written = served.write([([1, 2, 3], {"until": ["zz"], "max_gen_toks": 4})], prefix=0)
    return [
        *scores,
        torch.tensor(written),
        served.follows([1, 2, 3]),
        served.prefill(ids),
        served.begin(ids),
        served.go_on(ids[:, :1]),
        served.answer(ids, 3),
        served.forward(ids),
    ]


@pytest.mark.parametrize("slug", METHODS)
def test_what_was_weighed_to_meet_the_limit_weighs_what_was_built(slug: str) -> None:
    """To the byte: else a candidate that met its limit in the search could be over it in the end."""
    made = built(slug)
    assert not made.weighed or made.task.weigh(made.candidate)["stored_bytes"] in made.weighed
