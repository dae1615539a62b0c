"""Limits, and the meters under which data is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bench.contract import ExamRead, Limits, Meter, OverBudget, Supply, Task
from bench.contract import exam as exam_module
from bench.contract.exam import close_exam, only_the_judge
from bench.contract.supply import AtHand


class Numbers(Supply):
    meter = "numbers"

    def __len__(self) -> int:
        return 100

    def take(self, wanted: Sequence[int]) -> Any:
        return [each * 10 for each in wanted]


class Free(Numbers):
    meter = None


def test_what_is_drawn_is_metered_before_it_is_given() -> None:
    meter = Meter(Limits(supplies={"numbers": 5}))
    supply = AtHand(Numbers(), meter)
    assert len(supply) == 100
    assert supply.take([1, 2, 3]) == [10, 20, 30]
    assert meter.left("numbers") == 2
    with pytest.raises(OverBudget, match="numbers: 6 is over the limit of 5"):
        supply.take([1, 2, 3])
    assert meter.left("numbers") == 0  # it is said, and no more can be drawn
    assert meter.left("others") is None
    assert AtHand(Free(), meter).take(range(50))


def test_a_limit_on_the_result_names_the_first_that_is_passed() -> None:
    limits = Limits({"a": 1.0, "b": 2.0})
    limits.check_result({"a": 1.0, "b": 2.0})
    with pytest.raises(OverBudget, match=r"b: 2\.5 is over the limit of 2"):
        limits.check_result({"a": 1.0, "b": 2.5})
    with pytest.raises(OverBudget):
        limits.check_result({"a": math.nan, "b": 1})
    with pytest.raises(KeyError, match="'b' can't be checked"):
        limits.check_result({"a": 1.0})
    limits.check_result({"a": 1.0}, later=["b"])
    assert limits.excess({"a": 1.0, "b": 3.0}) == 0.5
    assert limits.excess({"a": 0.5, "b": 1.0}) == -0.5
    assert (limits.met_by({"a": 1, "b": 2}), limits.met_by({"a": 2, "b": 2})) == (True, False)


@dataclass(kw_only=True)
class Sized(Task):
    pass


def test_a_task_says_why_a_limit_can_not_be_met() -> None:
    task = Sized(scale="tiny", seed=0, limits=Limits({"stored_ratio": 0.5}), weigh=lambda size: {"stored_ratio": size})
    assert task.still_over(0.4, "one layer") is None
    assert task.still_over(0.6, "one layer") == "stored_ratio is still 0.600 with one layer; the limit is 0.5"
    assert Sized(scale="tiny", seed=0).still_over(0.6, "one layer") is None


def test_the_exam_is_the_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam_module, "_closed", False)
    only_the_judge("the exam of boxes")
    close_exam()
    with pytest.raises(ExamRead, match="the exam of boxes belongs to the exam"):
        only_the_judge("the exam of boxes")
