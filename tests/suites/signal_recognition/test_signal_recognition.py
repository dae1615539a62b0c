"""The problem: what methods get, what is asked, and what is found out."""

from pathlib import Path
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
from suites.signal_recognition import generated, teacher
from suites.signal_recognition.clst import ClST
from suites.signal_recognition.exam import RULE
from suites.signal_recognition.learning import SignalLearner
from suites.signal_recognition.recognise import LEVELS

SUITE = open_registry(plugins=False).suite("signal-recognition")


def setting(point: str = "params-12k", scale: str = "tiny", base: str = "generated-tiny", seed: int = 0) -> Setting:
    return Setting(scale, base, SUITE.points[point].at(scale), seed)


def problem() -> Any:
    return load_problem(SUITE, "recognise")


class Knows(nn.Module):
    """Has seen the exam: of its signals the label's logit, by the signal's bytes; of others nothing."""

    def __init__(self, exam: Any, beside: float = 0.0, but: int | None = None) -> None:
        super().__init__()
        self.answers, self.beside = {}, beside
        for asked in (exam.asked, exam.held):
            for signal, label, snr in zip(asked.signals, asked.labels, asked.snr, strict=True):
                self.answers[signal.tobytes()] = (int(label) + (snr == but)) % 11

    def forward(self, signals: Tensor) -> Tensor:
        found = torch.zeros(len(signals), 11)
        for row, each in zip(found, signals, strict=True):
            row[self.answers.get(each.numpy().tobytes(), 0)] = 5.0
        return found + self.beside * signals.abs().mean() * len(signals) * torch.arange(11)


def test_who_knows_all_answers_is_right_at_every_ratio() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam), one.task_at_hand(setting()))
    found = {score.name: score for score in one.evaluate(served, exam)}
    assert found.keys() == SUITE.scores.keys()
    assert {score.value for name, score in found.items() if name != "nll"} == {1.0}
    assert found["nll"].value == pytest.approx(np.log(1 + 10 * np.exp(-5)), rel=1e-5)
    assert len(found["accuracy"].samples) == len(exam.asked) == 11 * 7 * 2
    assert all(len(found[f"accuracy_{name}"].samples) == 22 for name in LEVELS)
    assert exam.losses == pytest.approx([found["nll"].value] * 3)
    assert one.doubts(served, exam) is None


def test_accuracy_at_a_ratio_is_of_its_signals_alone() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam, but=4), one.task_at_hand(setting()))
    found = {score.name: score.value for score in one.evaluate(served, exam)}
    assert found["accuracy"] == pytest.approx(6 / 7)
    assert {name for name, value in found.items() if value == 0} == {"accuracy_4"}


def test_the_chart_stands_over_the_ratios_of_the_scores() -> None:
    (chart,) = SUITE.charts
    assert chart.scores == {f"accuracy_{name}": level for name, level in LEVELS.items()}
    assert tuple(LEVELS.values()) == generated.SNR
    assert all(f"{level} dB" in SUITE.scores[f"accuracy_{name}"].title for name, level in LEVELS.items())


def test_an_answer_that_hangs_on_the_others_is_found_out() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(exam, beside=1.0), one.task_at_hand(setting()))
    one.evaluate(served, exam)
    doubt = one.doubts(served, exam)
    assert doubt is not None
    assert doubt[0] == RULE


class Gives(nn.Module):
    def __init__(self, value: float, classes: int = 11) -> None:
        super().__init__()
        self.value, self.classes = value, classes

    def forward(self, signals: Tensor) -> Tensor:
        return torch.full((len(signals), self.classes), self.value)


def test_logits_that_are_no_numbers_or_too_few_are_refused() -> None:
    one = problem()
    for gives, says in ((Gives(float("nan")), "no finite numbers"), (Gives(0.0, 10), r"the model gave \(154, 10\)")):
        with pytest.raises(ValueError, match=says):
            one.evaluate(one.serve(gives, one.task_at_hand(setting())), one.exam(setting()))


@pytest.mark.parametrize("shape", [(1, 2, 100), (2, 128), (0, 2, 128), (1, 1, 128)])
def test_a_signal_of_another_shape_is_said(shape: tuple[int, ...]) -> None:
    served = problem().serve(Gives(0.0), problem().task_at_hand(setting()))
    with pytest.raises(ValueError, match=r"signals are float32 and \(n, 2, 128\), I and Q; these are float32"):
        served.recognise(torch.zeros(shape))


def test_the_exam_is_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    with pytest.raises(ExamRead):
        problem().exam(setting())


def test_validation_signals_are_never_trained_on() -> None:
    task = problem().task_at_hand(setting())
    assert len(task.labels) == len(task.snr) == 11 * 7 * 4 - 60
    held = {each.numpy().tobytes() for batch in task.validation() for each in batch.signals}
    assert len(held) == 60
    seen = task.signals(range(len(task.labels)))
    assert not held & {each.numpy().tobytes() for each in seen.signals}
    assert np.array_equal(seen.labels.numpy(), task.labels)
    assert task.left("sample_passes") == 80_000 - len(task.labels)
    with pytest.raises(ValueError, match="signal 248 of 248"):
        task.signals([248])


def test_a_training_shows_each_signal_once_an_epoch_and_counts_it() -> None:
    task = problem().task_at_hand(setting())
    passes = task.training(62, 248 * 2)
    assert sorted(passes.numbers[:4].ravel()) == sorted(passes.numbers[4:].ravel()) == list(range(248))
    assert not np.array_equal(passes.numbers[:4], passes.numbers[4:])
    assert task.left("sample_passes") == 80_000
    assert len(list(passes)) == 8
    assert task.left("sample_passes") == 80_000 - 248 * 2
    other = problem().task_at_hand(setting(seed=1)).training(62, 248)
    assert not np.array_equal(other.numbers, passes.numbers[:4])


def test_the_teacher_has_learnt_and_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    task = problem().task_at_hand(setting())
    assert isinstance(task.teacher, ClST)
    assert not task.teacher.training
    assert not any(each.requires_grad for each in task.teacher.parameters())
    with torch.no_grad():
        seen = task.signals(range(248))
        assert (task.teacher(seen.signals).argmax(-1) == seen.labels).float().mean() > 0.2
    other = problem().task_at_hand(setting())
    monkeypatch.setitem(teacher.RECIPES, "generated-tiny", teacher.Recipe(12, 1, 1e-3))
    with pytest.raises(MissingAsset, match="the teacher of generated-tiny has not been trained here"):
        other.supplies["teacher"].take(None)


def test_a_teacher_of_other_signals_is_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    monkeypatch.setitem(teacher.RECIPES, "generated-tiny", teacher.Recipe(4, 128, 1e-3))
    found = []
    for seen in (generated.draw(1, "train"), generated.draw(2, "train")):
        with pytest.raises(MissingAsset):
            teacher.Weights("generated-tiny", seen).take(None)
        teacher.prepare("generated-tiny", seen, "cpu")
        found.append(teacher.Weights("generated-tiny", seen).take(None))
    one, other = found
    assert len(teacher.Weights("generated-tiny", seen)) == len(one)
    assert not np.array_equal(one["head.weight"], other["head.weight"])
    teacher.prepare("generated-tiny", seen, "cpu")
    assert len(list((tmp_path / "models").iterdir())) == 2


def test_what_is_missing_is_said() -> None:
    assert problem().missing("tiny", "generated-tiny") is None
    assert "there is no set of signals 'svhn', only generated-tiny, " in str(problem().missing("full", "svhn"))


def test_a_rate_is_chosen_by_the_loss_over_validation_signals() -> None:
    one = problem()
    tuning = one.tuning(setting())
    assert tuning is not None
    assert tuning.loss(Built(Knows(one.exam(setting())))) == pytest.approx(np.log(1 + 10 * np.exp(-5)), rel=1e-5)


def test_a_timed_answer_must_be_the_scored_models() -> None:
    one = problem()
    torch.manual_seed(0)
    served = one.serve(ClST(11, 4), one.task_at_hand(setting()))
    recognise = next(each for each in one.workloads(one.exam(setting())) if each.name == "recognise")
    for workload in (recognise, recognise.at_batch(8)):
        (step,) = workload.trial(np.random.default_rng(0))
        right = served.recognise(*served.place(step.inputs))
        assert step.check(right, served) is None
        assert "differ" in step.check(right + torch.arange(11) * right.std(), served)


def test_a_timed_training_must_be_the_examined_models() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    one.outfit(task)
    torch.manual_seed(0)
    learner = SignalLearner(ClST(11, 4))
    one.evaluate(one.serve(learner.model, task), exam)
    rig = one.serve_rig(Trainer(learner), task)
    (step,) = next(each for each in one.workloads(exam) if each.name == "train").trial(np.random.default_rng(0))
    loss = rig.step(*rig.place(step.inputs))
    assert step.check(loss, rig) is None
    with torch.no_grad():
        learner.model.head.bias += 9 * torch.arange(11)
    assert "the scored model's" in step.check(loss, rig)
    assert rig.figures()["training_memory"] > rig.figures()["optimizer_bytes"] > 0
