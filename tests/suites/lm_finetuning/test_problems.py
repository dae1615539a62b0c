"""The problems: what each gives, asks and times, with the three parties in one process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.contract import Limits, Score
from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.toy import toy_model
from suites._training.loop import train
from suites._training.trainer import Trainer
from suites.lm_finetuning import prepared
from suites.lm_finetuning.answers import right
from suites.lm_finetuning.examples import TASKS, examples
from suites.lm_finetuning.learning import AnswerLearner, answer_loss
from suites.lm_finetuning.merge import PatchByTask
from suites.lm_finetuning.patches import AddedLoRA, Changed, Patch
from suites.lm_finetuning.unlearn import Service
from tests.methods.lm_finetuning.finetuning_toys import problem_of, random_lora, setting_of, toy_task, written_and_read

PROBLEMS = ("adapt", "merge", "transfer", "unlearn", "repair")
LIMITS = Limits(supplies={"training_tokens": 600})


def by_name(found: Any) -> dict[str, Score]:
    return {score.name: score for score in found}


def of(model: Any) -> Changed:
    """The patch that makes this model of any base."""
    return Changed({name: weight.detach() for name, weight in model.named_parameters()})


def examined(name: str, patch: Patch, task: Any) -> dict[str, Score]:
    problem = problem_of(name)
    served = problem.serve(written_and_read(patch), task)
    return by_name(problem.evaluate(served, problem.exam(setting_of(name, LIMITS))))


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_answer_is_right_when_greedy_decoding_says_it() -> None:
    task = toy_task(tokens=6000, most_tokens=6000)
    learner = AnswerLearner(task.copied().requires_grad_(True))
    train(Trainer(learner), task.training(("reviews",)), 2e-3)
    asked = examples("tiny", "reviews", "training")[:12]
    found = right(EffbenchLM(learner.model, task.tokenizer), asked)
    for example, answered in zip(asked, found, strict=True):
        ids = task.tokenizer(example.prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
        length = len(task.tokenizer(example.answer)["input_ids"])
        said = learner.model.generate(ids, max_new_tokens=length, do_sample=False)[0, ids.shape[1] :]
        assert answered == float(task.tokenizer.decode(said) == example.answer)
    assert sum(found) > 3


def test_the_base_forgets_nothing_and_another_model_does() -> None:
    task = toy_task()
    kept, other = examined("adapt", Changed({}), task), examined("adapt", of(toy_model(3)), task)
    assert kept["forgetting"].value == 0
    assert other["forgetting"].value != 0
    assert len(kept["accuracy"].samples) == 36


# --- what is shipped --------------------------------------------------------------------------------------------------


def test_what_is_shipped_is_counted_against_the_base() -> None:
    task = toy_task()
    lora = random_lora(task.model, 2, 0)
    numbers = sum(tensor.numel() for tensor in lora.tensors.values())
    figures = problem_of("adapt").serve(AddedLoRA(lora), task).figures()
    assert figures["shipped_bytes"] == 4 * numbers
    assert figures["shipped_ratio"] == numbers / sum(weight.numel() for weight in task.model.parameters())
    assert problem_of("adapt").serve(Changed({}), task).figures() == {"shipped_bytes": 0, "shipped_ratio": 0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_patch_makes_a_new_model_and_leaves_the_base(dtype: torch.dtype) -> None:
    base, other = toy_model().to(dtype), toy_model(3).to(dtype)
    before = {name: weight.clone() for name, weight in base.named_parameters()}
    some = {"model.norm.weight": torch.full_like(base.model.norm.weight, 2.0)}
    for patch, wanted in ((of(other), dict(other.named_parameters())), (Changed(some), before | some)):
        made = written_and_read(patch).applied(base)
        assert not made.training
        assert all(torch.equal(weight, wanted[name]) for name, weight in made.named_parameters())
        assert all(torch.equal(weight, before[name]) for name, weight in base.named_parameters())


# --- workloads --------------------------------------------------------------------------------------------------------


def test_the_step_of_another_model_than_the_scored_one_is_found_out() -> None:
    problem, task = problem_of("adapt"), toy_task()
    exam = problem.exam(setting_of("adapt", LIMITS))
    problem.evaluate(problem.serve(Changed({}), task), exam)
    train_, *speaking = problem.workloads(exam)
    assert (train_.name, train_.of, [each.name for each in speaking]) == ("train", "rig", ["prefill", "decode-b1"])
    (step,) = train_.trial(np.random.default_rng(0))
    assert step.check is not None
    rigs = [problem.serve_rig(Trainer(AnswerLearner(toy_model())), task) for _ in range(2)]
    rigs[1].candidate.learner.model.model.norm.weight.data.mul_(3)
    own, strange = (rig.step(*rig.place(step.inputs)) for rig in rigs)
    assert step.check(own, rigs[0]) is None
    assert "the scored model's" in str(step.check(strange, rigs[1]))


def test_the_served_loss_is_that_of_the_model_over_each_validation_batch() -> None:
    problem, task = problem_of("adapt"), toy_task()
    exam = problem.exam(setting_of("adapt", LIMITS))
    problem.evaluate(problem.serve(Changed({}), task), exam)
    with torch.no_grad():
        wanted = [float(answer_loss(task.model, batch)) for batch in task.validation()]
    assert exam.losses == pytest.approx(wanted)


@pytest.mark.parametrize("name", PROBLEMS[1:])
def test_only_adaptation_times_a_training(name: str) -> None:
    problem = problem_of(name)
    problem.prepare(setting_of(name, LIMITS))
    assert [each.name for each in problem.workloads(problem.exam(setting_of(name, LIMITS)))] == ["prefill", "decode-b1"]


# --- the parties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_server_needs_no_supplies_of_the_builder(name: str) -> None:
    """It has the base, the tokenizer and the validation examples from its outfit, and no training example."""
    problem, setting = problem_of(name), setting_of(name, LIMITS)
    problem.prepare(setting)
    task = problem.task(setting)
    problem.outfit(task)
    assert list(task.supplies) == ["validation"]
    served = problem.serve(Changed({}), task)
    assert served.figures()["shipped_bytes"] == 0
    rig = problem.serve_rig(Trainer(AnswerLearner(task.copied().requires_grad_(True))), task)
    assert rig.figures()["training_memory"] == task.full_memory
    builders = problem.task_at_hand(setting)
    assert [b.arrays[3] for b in builders.validation()] == [b.arrays[3] for b in task.validation()]
    ids = problem.counted(builders).inputs[0]
    assert np.array_equal(ids, builders.validation()[0].input_ids)


def test_the_search_has_a_meter_of_its_own() -> None:
    from bench.registry import open_registry

    points = open_registry().suite("lm-finetuning").points.values()
    for point in points:
        if point.problem != "merge":
            assert 0 < point.limits.supplies["search_tokens"] * 4 == point.limits.supplies["training_tokens"]


def test_the_fixed_time_is_that_of_the_scale() -> None:
    from dataclasses import replace

    setting = setting_of("adapt", LIMITS)
    assert problem_of("adapt").task(setting).seconds is None
    clocked = replace(setting, point=replace(setting.point, clock=True))
    assert problem_of("adapt").task(clocked).seconds == 1.0


# --- what each problem gives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["merge", "transfer", "repair"])
def test_every_problem_gives_what_it_says(name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    problem, setting = problem_of(name), setting_of(name, LIMITS)
    task, again = (problem.task_at_hand(setting) for _ in range(2))
    if name == "merge":
        assert set(task.loras) == set(TASKS)
        for of_task in TASKS:
            for key, tensor in task.loras[of_task].tensors.items():
                assert torch.equal(tensor, again.loras[of_task].tensors[key])
    elif name == "transfer":
        assert len(task.source.seeds) == 15
        assert len(task.source.model.get_decoder().layers) < len(task.model.get_decoder().layers)
    else:
        changed = [
            not torch.equal(a, b) for a, b in zip(task.model.parameters(), toy_model().parameters(), strict=True)
        ]
        assert any(changed)
    found = examined(name, Changed({}), task)
    assert {"accuracy", "forgetting"} <= set(found)
    assert found["forgetting"].value == 0  # against the model that was to be adapted


def test_what_was_not_prepared_is_told(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.contract import MissingAsset

    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    task = problem_of("merge").task(setting_of("merge", LIMITS))
    with pytest.raises(MissingAsset, match=r"reviews.*has not been made"):
        _ = task.loras


def test_the_smaller_source_has_its_own_cache_and_no_fifth_block() -> None:
    model = toy_model()
    smaller = prepared.without_blocks(model)
    kept = [0, 1, 2, 3, 5]
    assert len(smaller.get_decoder().layers) == len(kept)
    for block, index in zip(smaller.get_decoder().layers, kept, strict=True):
        assert torch.equal(block.mlp.up_proj.weight, model.get_decoder().layers[index].mlp.up_proj.weight)
    ids = torch.arange(8)[None]
    whole = smaller(input_ids=ids).logits
    part = smaller(input_ids=ids[:, :5], use_cache=True)
    rest = smaller(input_ids=ids[:, 5:], past_key_values=part.past_key_values).logits
    torch.testing.assert_close(whole[:, 5:], rest, rtol=1e-4, atol=1e-4)


def test_tasks_may_be_answered_by_a_model_each() -> None:
    task = toy_task(problem="merge")
    found = examined("merge", PatchByTask({name: of(toy_model(seed)) for seed, name in enumerate(TASKS)}), task)
    lost = found["forgetting"].samples
    assert len(lost) == 12
    assert set(lost[:4]) == {0.0}  # the first model is the base
    assert 0.0 not in lost[4:]


# --- deletions --------------------------------------------------------------------------------------------------------


@dataclass
class Forgetful(Service):
    """Answers as the base until it has forgotten two examples, and then as another model."""

    asked: list[int] = field(default_factory=list)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def applied(self, base: Any) -> Any:
        self.model = Changed({}).applied(base)
        return self.model

    def delete(self, index: int) -> bool:
        self.asked.append(index)
        if len(self.asked) == 3:
            self.model.load_state_dict(toy_model(3).state_dict())
        return len(self.asked) < 3


def test_deletions_are_asked_one_by_one_and_counted() -> None:
    problem, task = problem_of("unlearn"), toy_task(problem="unlearn")
    service = Forgetful()
    exam = problem.exam(setting_of("unlearn", LIMITS))
    found = by_name(problem.evaluate(problem.serve(service, task), exam))
    assert list(found["served"].samples) == [1, 1, 0, 0]
    assert len(set(service.asked)) == 4
    assert service.asked == list(exam.deletions)
    assert max(service.asked) < len(task.pool())
    assert len(found["accuracy"].samples) == 36 * (1 + 4)  # with four deletions every one is a stop
    assert found["forgetting"].value != 0  # of the model after the last
    with pytest.raises(AttributeError, match="delete"):
        problem.evaluate(problem.serve(Changed({}), task), exam)


def test_only_answers_of_the_last_model_are_doubted() -> None:
    problem, task = problem_of("unlearn"), toy_task(problem="unlearn")
    exam = problem.exam(setting_of("unlearn", LIMITS))
    served = problem.serve(Forgetful(), task)
    problem.evaluate(served, exam)
    assert exam.kept.answers
    assert problem.doubts(served, exam) is None
    assert problem.doubts(problem_of("adapt").serve(Changed({}), task), exam) is not None
