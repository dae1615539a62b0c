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
from suites.audio_separation import voices
from suites.audio_separation.exam import RULE, look_ahead
from suites.audio_separation.learning import SeparationLearner

SUITE = open_registry(plugins=False).suite("audio-separation")


def setting(point: str = "params-50k", scale: str = "tiny", base: str = "toy-voices", seed: int = 0) -> Setting:
    return Setting(scale, base, SUITE.points[point].at(scale), seed)


def problem() -> Any:
    return load_problem(SUITE, "separate")


class Knows(nn.Module):
    """Has heard the speakers: gives them, by the mix's bytes, under some noise and in either order."""

    def __init__(self, sources: np.ndarray, beside: float = 0.0, crossed: bool = False) -> None:
        super().__init__()
        self.speakers = {each.sum(0).tobytes(): torch.from_numpy(each) for each in sources}
        self.beside, self.crossed = beside, crossed

    def forward(self, mixes: Tensor) -> Tensor:
        noise = 0.01 * torch.randn(mixes.shape[-1], generator=torch.Generator().manual_seed(0))
        found = torch.stack([self.speakers[each.numpy().tobytes()] for each in mixes]) + noise
        return (found.flip(1) if self.crossed else found) + self.beside * mixes.roll(1, 0)[:, None]


class Delayed(nn.Module):
    """Hears `ahead` samples more before it answers; all of the mix where it is None."""

    def __init__(self, ahead: int | None) -> None:
        super().__init__()
        self.ahead = ahead

    def forward(self, mixes: Tensor) -> Tensor:
        if self.ahead is None:
            answer = mixes / mixes.square().mean(-1, keepdim=True).sqrt()
        else:
            answer = nn.functional.pad(mixes, (0, self.ahead))[:, self.ahead :] + mixes
        return answer[:, None].expand(-1, 2, -1)


@pytest.mark.parametrize("crossed", [False, True])
def test_who_knows_both_speakers_is_right_everywhere(crossed: bool) -> None:
    one = problem()
    exam = one.exam(setting())
    known = np.concatenate([exam.asked.sources, exam.held])
    served = one.serve(Knows(known, crossed=crossed), one.task_at_hand(setting()))
    found = {score.name: score for score in scores_of(one, served, exam)}
    assert found["si_sdri"].value > 20
    assert found["si_sdri"].value - found["si_sdr"].value == pytest.approx(0, abs=3)
    assert len(found["si_sdri"].samples) == 36
    assert [len(found[f"si_sdri_{level}db"].samples) for level in range(6)] == [6] * 6
    assert found.keys() == SUITE.scores.keys()
    assert one.doubts(served, exam) is None
    assert exam.losses == pytest.approx([-found["si_sdr"].value] * 2, abs=6)


def scores_of(one: Any, served: Any, exam: Any) -> list[Any]:
    """Without the look-ahead, for which other mixes are asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suites.audio_separation.separate.look_ahead", lambda served, exam: [0.0])
        return [score for score in one.evaluate(served, exam) if score.name != "look_ahead"]


def test_an_answer_that_hangs_on_the_others_is_found_out() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Knows(np.concatenate([exam.asked.sources, exam.held]), beside=0.3), one.task_at_hand(setting()))
    scores_of(one, served, exam)
    doubt = one.doubts(served, exam)
    assert doubt is not None
    assert doubt[0] == RULE


@pytest.mark.parametrize(("ahead", "seconds"), [(0, 0.0), (400, 0.05), (None, 0.5)])
def test_how_far_ahead_a_separator_listens_is_found_out(ahead: int | None, seconds: float) -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(Delayed(ahead), one.task_at_hand(setting()))
    assert max(look_ahead(served, exam)) == pytest.approx(seconds, abs=0.003)
    found = {score.name: score for score in one.evaluate(served, exam)}
    assert found["look_ahead"].value == pytest.approx(seconds, abs=0.003)


class NotANumber(nn.Module):
    def forward(self, mixes: Tensor) -> Tensor:
        return torch.full((len(mixes), 2, mixes.shape[-1]), float("nan"))


def test_what_is_no_signal_is_refused() -> None:
    one = problem()
    exam = one.exam(setting())
    with pytest.raises(ValueError, match="no finite numbers"):
        one.evaluate(one.serve(NotANumber(), one.task_at_hand(setting())), exam)
    with pytest.raises(ValueError, match=r"two signals .* wanted, \(8, 2, 4000\); the model gave \(8, 4000"):
        one.evaluate(one.serve(nn.Identity(), one.task_at_hand(setting())), exam)


@pytest.mark.parametrize(
    ("mixes", "said"),
    [
        (np.zeros((1, 300), dtype=np.float32), "a mix of 0.037 s is too short"),
        (np.zeros(4_000, dtype=np.float32), r"float32 and \(n, samples\); these are float32 and \(4000,\)"),
        (np.zeros((1, 4_000)), "these are float64"),
        (np.full((1, 4_000), 1.5, dtype=np.float32), "reaches 1.5: scale it, do not clip it"),
        (np.full((1, 4_000), np.nan, dtype=np.float32), "reaches nan"),
    ],
)
def test_what_is_no_mix_is_refused(mixes: np.ndarray, said: str) -> None:
    one = problem()
    with pytest.raises(ValueError, match=said):
        one.serve(Delayed(0), one.task_at_hand(setting())).speakers(mixes)


def test_the_exam_is_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    with pytest.raises(ExamRead):
        problem().exam(setting())


def test_mixes_of_training_validation_and_exam_are_others() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    trained = {each.tobytes() for each in task.mixes(range(100)).sources.numpy()}
    held = {each.tobytes() for batch in task.validation() for each in batch.sources.numpy()}
    asked = {each.tobytes() for each in exam.asked.sources}
    assert (len(trained), len(held), len(asked)) == (100, 8, 36)
    assert not trained & held
    assert not asked & (trained | held)


def test_passes_are_metered_and_their_order_is_the_seeds() -> None:
    one = problem()
    task, same, other = (one.task_at_hand(setting(seed=seed)) for seed in (3, 3, 4))
    assert task.passes == 48
    assert np.array_equal(task.training().numbers, same.training().numbers)
    assert not np.array_equal(task.training().numbers, other.training().numbers)
    assert task.training().numbers.shape == (12, 4)
    task.mixes([0, 0, 1])
    assert task.left("sample_passes") == 1_000 - 3
    assert SUITE.points["flops-48m"].at("embedded").limits.supplies == {"sample_passes": 1_000}
    with pytest.raises(ValueError, match="mix 100 of 100"):
        task.mixes([100])


def test_what_is_missing_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = problem()
    assert one.missing("tiny", "toy-voices") is None
    monkeypatch.setitem(voices.PACKAGES, "no_such_package", "no-such-package==1.0")
    with pytest.raises(MissingAsset, match=r"run: pip install --no-deps no-such-package==1\.0"):
        one.prepare(setting(scale="embedded", base="espeak-16"))
    monkeypatch.delenv("EFFBENCH_WSJ0_2MIX", raising=False)
    with pytest.raises(MissingAsset, match="EFFBENCH_WSJ0_2MIX does not name the folder"):
        one.prepare(setting(scale="full", base="wsj0-2mix"))


def test_all_packages_with_the_exam_are_out_of_reach() -> None:
    assert set(SUITE.data) == {voices.PACKAGES[name].partition("==")[0] for name in ("espeakng_loader", "gensim")}


def test_a_rate_is_chosen_by_the_loss_over_validation_mixes() -> None:
    one = problem()
    exam = one.exam(setting())
    tuning = one.tuning(setting())
    assert tuning is not None
    assert tuning.loss(Built(Knows(exam.held))) < -15
    assert tuning.loss(Built(Delayed(0))) == pytest.approx(0, abs=1)


def small() -> nn.Module:
    torch.manual_seed(0)
    return Convolved()


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 9, padding=4), nn.PReLU(), nn.Conv1d(4, 2, 1))

    def forward(self, mixes: Tensor) -> Tensor:
        return self.layers(mixes[:, None])


def test_a_timed_answer_must_be_the_scored_models() -> None:
    one = problem()
    exam = one.exam(setting())
    served = one.serve(small(), one.task_at_hand(setting()))
    separate, block, _ = one.workloads(exam)
    assert separate.at_batch is not None
    for workload, seconds in ((separate, 0.5), (block, 0.1), (separate.at_batch(3), 1.5)):
        (step,) = workload.trial(np.random.default_rng(0))
        assert step.units == seconds
        right = served.separate(*served.place(step.inputs))
        assert step.check(right, served) is None
        assert "differ" in step.check(right + 0.1, served)


def test_a_timed_training_must_be_the_examined_models() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    one.outfit(task)
    learner = SeparationLearner(small())
    one.evaluate(one.serve(learner.model, task), exam)
    rig = one.serve_rig(Trainer(learner), task)
    (step,) = one.workloads(exam)[2].trial(np.random.default_rng(0))
    loss = rig.step(*rig.place(step.inputs))
    assert step.check(loss, rig) is None
    exam.losses[:] = [each + 5 for each in exam.losses]
    assert "the scored model's" in step.check(loss, rig)
    assert rig.figures()["training_memory"] > rig.figures()["optimizer_bytes"] > 0


def test_flops_are_of_a_second_of_audio() -> None:
    one = problem()
    step = one.counted(one.task_at_hand(setting()))
    assert step.units == 0.5
    assert step.inputs[0].shape == (1, 4_000)
