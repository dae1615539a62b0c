"""Any cut of a model goes through the same steps, and what a timed step says must be what the model says."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.contract import Step, Workload
from suites._language.served import ServedLM
from suites._language.workloads import Speaking
from tests.suites._language.test_served import without_blocks

LENGTHS: dict[str, Any] = {"prompt": 24, "decoded": 5, "answer": (8, 4)}
VOCABULARY = 258
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def workloads(dtype: str = "float32") -> dict[str, Workload]:
    return {each.name: each for each in Speaking(VOCABULARY, dtype).workloads(**LENGTHS)}


def served(toy: tuple[Any, Any], dropped: frozenset[int] = frozenset(), dtype: str = "float32") -> ServedLM:
    return ServedLM(None, without_blocks(toy[0], set(dropped)).to(DTYPES[dtype]), toy[1], "cpu")


def run(step: Step, by: ServedLM) -> Tensor:
    result: Tensor = getattr(by, step.call)(*by.place(step.inputs))
    return result


def phases(workload: Workload, by: ServedLM) -> list[tuple[str, float]]:
    found = []
    for step in workload.trial(np.random.default_rng(0)):
        run(step, by)
        found.append((step.phase, step.units))
    return found


def test_a_cut_model_goes_through_the_same_steps(toy: tuple[Any, Any]) -> None:
    expected = {
        "prefill": [("latency", 24)],
        "decode-b1": [("ttft", 1)] + [("tpot", 1)] * 5,
        "decode-b8": [("ttft", 8)] + [("tpot", 8)] * 5,
        "answer": [("latency", 4)],
    }
    for name, workload in workloads().items():
        for by in (served(toy), served(toy, frozenset({0, 3, 5}))):
            assert phases(workload, by) == expected[name]
    assert workloads().keys() == expected.keys()


def test_an_answer_at_another_batch_does_as_much_more(toy: tuple[Any, Any]) -> None:
    (answer,) = (workload for workload in workloads().values() if workload.at_batch is not None)
    assert answer.at_batch is not None
    (_, units), (_, more) = phases(answer, served(toy))[0], phases(answer.at_batch(3), served(toy))[0]
    assert more == 3 * units


@pytest.mark.parametrize("dropped", [frozenset(), frozenset({0, 4})])
@pytest.mark.parametrize("batch", [1, 8])
def test_decoding_with_the_cache_gives_what_a_full_pass_gives(
    toy: tuple[Any, Any], dropped: frozenset[int], batch: int
) -> None:
    by = served(toy, dropped)
    steps = list(workloads()[f"decode-b{batch}"].trial(np.random.default_rng(0)))
    results = [run(step, by) for step in steps]
    ids = torch.cat([torch.from_numpy(step.inputs[0]) for step in steps], dim=1)
    assert ids.shape == (batch, 24 + 5)
    torch.testing.assert_close(torch.cat(results, dim=1), by.forward(ids)[:, -len(steps) :], rtol=1e-4, atol=1e-4)


def test_inputs_are_fresh_with_each_draw_and_equal_for_equal_draws() -> None:
    for workload in workloads().values():
        seen = [
            np.concatenate([step.inputs[0] for step in workload.trial(np.random.default_rng(seed))], axis=1)
            for seed in (0, 0, 1)
        ]
        assert np.array_equal(seen[0], seen[1])
        assert not np.array_equal(seen[0], seen[2])
        assert seen[0].max() < VOCABULARY


# --- what a timed step says ---


class Forgetful(ServedLM):
    """Says something else than it says in the exam as soon as it is timed."""

    def _forward(self, ids: Tensor, **options: Any) -> Any:
        output = super()._forward(ids, **options)
        output.logits = output.logits.flip(-1)
        return output


class Hurried(ServedLM):
    """Leaves out one of its blocks where it is timed."""

    def _forward(self, ids: Tensor, **options: Any) -> Any:
        whole = self.model
        try:
            self.model = without_blocks(whole, {3})
            return super()._forward(ids, **options)
        finally:
            self.model = whole


class Stale(ServedLM):
    """Decodes without the text that it has read."""

    def go_on(self, ids: Tensor) -> Tensor:
        self._cache = None
        return super().go_on(ids)


def complaints(by: ServedLM, workload: Workload) -> list[str | None]:
    """Of each step's result, as an array as it comes to the judge."""
    found = []
    for step in workload.trial(np.random.default_rng(0)):
        result = run(step, by).float().numpy()
        assert step.check is not None
        found.append(step.check(result, by))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dropped", [frozenset(), frozenset({1})])
def test_an_honest_model_is_believed(toy: tuple[Any, Any], dropped: frozenset[int], dtype: str) -> None:
    by = served(toy, dropped, dtype)
    for workload in workloads(dtype).values():
        assert not any(complaints(by, workload))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [Forgetful, Hurried])
def test_a_model_that_says_something_else_when_it_is_timed_is_refused(
    toy: tuple[Any, Any], kind: type[ServedLM], dtype: str
) -> None:
    by = kind(None, without_blocks(toy[0], set()).to(DTYPES[dtype]), toy[1], "cpu")
    for workload in workloads(dtype).values():
        for found in complaints(by, workload):
            assert "differ from those of its own forward pass" in str(found)


def test_decoding_without_what_was_read_is_refused(toy: tuple[Any, Any]) -> None:
    by = Stale(None, toy[0], toy[1], "cpu")
    first, *decoded = complaints(by, workloads()["decode-b1"])
    assert first is None
    assert all(decoded)


def test_a_shift_of_all_logits_changes_no_probability(toy: tuple[Any, Any]) -> None:
    by = served(toy)
    (step,) = workloads()["prefill"].trial(np.random.default_rng(0))
    assert step.check is not None
    logits = run(step, by).numpy()
    assert step.check(logits + 100, by) is None
    assert step.check(logits * np.float32(np.nan), by) is not None
