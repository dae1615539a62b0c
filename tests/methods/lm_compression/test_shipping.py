"""Every method of the suite: what it builds weighs what was weighed, and writes texts once it is shipped."""

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
PROMPTS = [[1, 2, 3, 4], [65, 66]]


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
def test_what_was_weighed_to_meet_the_limit_weighs_what_was_built(slug: str) -> None:
    """To the byte: else a candidate that met its limit in the search could be over it in the end."""
    made = built(slug)
    assert not made.weighed or made.task.weigh(made.candidate)["stored_bytes"] in made.weighed


@pytest.mark.parametrize("slug", METHODS)
def test_what_is_shipped_writes_what_the_candidate_generates(slug: str, tmp_path: Path) -> None:
    task, candidate = built(slug).task, built(slug).candidate
    artefact.write(candidate, tmp_path / artefact.CANDIDATE)
    served = problem().serve(artefact.read(tmp_path / artefact.CANDIDATE, "cpu"), task)
    assert isinstance(served, ServedLM)
    options = {"until": [task.tokenizer.eos_token], "max_gen_toks": 5}
    written = served.write([(prompt, options) for prompt in PROMPTS], prefix=0)
    for prompt, tokens in zip(PROMPTS, written, strict=True):
        ids = torch.tensor([prompt])
        expected = candidate.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
        assert tokens == expected[0, len(prompt) :].tolist()
