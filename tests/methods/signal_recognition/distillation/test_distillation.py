"""Distillation: what the loss is, what it leaves alone, and that each method learns by what it says."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from methods.signal_recognition.distillation import _soft_targets
from methods.signal_recognition.distillation._soft_targets import DistilledLearner, soft_target_loss
from methods.signal_recognition.distillation._students import MODELS, Kind, mobilenet, small_cnn
from methods.signal_recognition.distillation.label_smoothing import LabelSmoothing
from methods.signal_recognition.distillation.labels_only import LabelsOnly
from methods.signal_recognition.distillation.plain_kd import PlainDistillation
from methods.signal_recognition.distillation.skd import SignalKnowledgeDistillation
from suites.signal_recognition.learning import SignalBatch
from tests.methods.signal_recognition.conftest import Make

METHODS = (SignalKnowledgeDistillation, PlainDistillation, LabelsOnly, LabelSmoothing)
KINDS: tuple[Kind, ...] = ("cnn", "mobilenet")


def logits(seed: int, classes: int = 11) -> torch.Tensor:
    return 3 * torch.randn(6, classes, generator=torch.Generator().manual_seed(seed))


def gradient(temperature: float, mine: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    mine = mine.double().requires_grad_()
    soft_target_loss(mine, told.double(), temperature).backward()
    return mine.grad


def test_the_loss_is_the_divergence_of_the_definition() -> None:
    mine, told = logits(0), logits(1)
    p, q = (told / 4).softmax(-1), (mine / 4).softmax(-1)
    wanted = 16 * (p * (p / q).log()).sum(-1).mean()
    assert soft_target_loss(mine, told, 4.0).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_at_a_high_temperature_it_matches_logits() -> None:
    mine, told = logits(0).double(), logits(1).double()
    centred = [each - each.mean(-1, keepdim=True) for each in (mine, told)]
    wanted = (centred[0] - centred[1]) / 11 / len(mine)  # Hinton et al., 2015, equation 4
    assert torch.allclose(gradient(1e4, mine, told), wanted, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(gradient(1.0, mine, told), wanted, rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_who_says_what_the_teacher_says_gets_no_gradient(temperature: float) -> None:
    assert gradient(temperature, logits(0), logits(0)).abs().max() < 1e-12
    assert gradient(temperature, logits(0), logits(0) + 7.0).abs().max() < 1e-6
    assert gradient(temperature, logits(0), logits(1)).abs().max() > 0.01


def test_the_two_parts_are_as_large_as_alpha_says(recognition: Make) -> None:
    mine, told, labels = logits(0), logits(1), torch.arange(6)

    def loss(alpha: float) -> float:
        return DistilledLearner(small_cnn(11, 4), small_cnn(11, 4), 4.0, alpha).of_logits(mine, told, labels).item()

    hard, soft = cross_entropy(mine, labels).item(), soft_target_loss(mine, told, 4.0).item()
    assert loss(0.0) == pytest.approx(hard)
    assert loss(1.0) == pytest.approx(soft)
    assert loss(0.25) == pytest.approx(0.25 * soft + 0.75 * hard)


def test_nothing_flows_into_the_teacher_and_it_answers_for_these_signals() -> None:
    torch.manual_seed(0)
    student, teacher = small_cnn(11, 4), mobilenet(11, 4).eval()
    batch = SignalBatch(torch.randn(6, 2, 128), torch.arange(6))
    before = {name: each.clone() for name, each in teacher.state_dict().items()}
    loss = DistilledLearner(student, teacher, 4.0, 1.0).loss(batch)
    loss.backward()
    assert all(each.grad is None for each in teacher.parameters())
    assert all(torch.equal(each, before[name]) for name, each in teacher.state_dict().items())
    assert all(each.grad is not None for each in student.parameters())
    with torch.no_grad():
        assert loss.item() == pytest.approx(
            soft_target_loss(student(batch.signals), teacher(batch.signals), 4.0).item(), rel=1e-4
        )


def test_the_students_are_convolutions_and_depth_wise_ones() -> None:
    of = {kind: [each for each in MODELS[kind](11, 8).modules() if isinstance(each, torch.nn.Conv1d)] for kind in KINDS}
    assert [each.groups for each in of["cnn"]] == [1] * 4
    groups = [each.groups for each in of["mobilenet"]]
    assert groups == [1, 8, 1, 16, 1, 16, 1, 32, 1]
    assert all(each.kernel_size == (1,) or each.groups == each.in_channels for each in of["mobilenet"][1:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_all_train_the_same_widest_student_from_the_same_start(recognition: Make, method: type, kind: Kind) -> None:
    assert "a student is smaller than its teacher, which has 21," in str(
        method(student=kind).supports(recognition("params-100k"))
    )
    task = recognition(passes=64, parameters=3_000)
    assert method(student=kind).supports(task) is None
    built = method(student=kind, rate=1e-12).build(task)
    plain = LabelsOnly(student=kind, rate=1e-12).build(recognition(passes=64, parameters=3_000))
    for one, other in zip(built.candidate.parameters(), plain.candidate.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-9)
    width = built.candidate.layers[0][0].out_channels
    assert task.weigh(built)["parameters"] <= 3_000 < task.weigh(MODELS[kind](11, width + 1))["parameters"]
    assert task.left("sample_passes") == 80_000 - 64
    assert "parameters is still" in str(method(student=kind).supports(recognition(parameters=100)))


@pytest.mark.parametrize(
    ("method", "wanted"),
    [(SignalKnowledgeDistillation(), (4.0, 0.5)), (PlainDistillation(), (1.0, 1.0))],
    ids=["skd", "plain-kd"],
)
def test_build_learns_from_the_suites_teacher(
    recognition: Make, monkeypatch: pytest.MonkeyPatch, method: SignalKnowledgeDistillation, wanted: tuple[float, float]
) -> None:
    asked = []
    of_logits = DistilledLearner.of_logits
    monkeypatch.setattr(
        _soft_targets.DistilledLearner,
        "of_logits",
        lambda self, *given: asked.append((self.temperature, self.alpha, given[1])) or of_logits(self, *given),
    )
    task = recognition(passes=128, parameters=3_000)
    built = method.build(task)
    assert [each[:2] for each in asked] == [wanted] * 2
    batch = next(iter(recognition(passes=128, parameters=3_000).training()))
    assert torch.allclose(asked[0][2], task.teacher(batch.signals), atol=1e-5)
    assert built.rig.learner.references == (task.teacher,)


def test_labels_and_smoothed_labels_ask_no_teacher(recognition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = recognition(passes=64, parameters=3_000)
    batch = task.validation()[0]
    plain, smooth = (each.build(task).rig.learner for each in (LabelsOnly(), LabelSmoothing()))
    for learner, smoothing in ((plain, 0.0), (smooth, 0.1)):
        assert not learner.references
        with torch.no_grad():
            wanted = cross_entropy(learner.model(batch.signals), batch.labels, label_smoothing=smoothing)
            assert learner.loss(batch).item() == pytest.approx(wanted.item())
            hard = cross_entropy(learner.model(batch.signals), batch.labels)
            assert learner.validation(batch).item() == pytest.approx(hard.item())


def test_a_student_that_copies_a_teacher_comes_nearer_to_it_than_one_that_does_not(recognition: Make) -> None:
    def apart(method: SignalKnowledgeDistillation | LabelsOnly) -> float:
        task = recognition(passes=2_000, parameters=6_000)
        model = method.build(task).candidate
        signals = torch.cat([each.signals for each in task.validation()])
        with torch.no_grad():
            return soft_target_loss(model(signals), task.teacher(signals), 4.0).item()

    assert apart(SignalKnowledgeDistillation(alpha=1.0)) < 0.8 * apart(LabelsOnly())
