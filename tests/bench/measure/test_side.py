"""A side in this process: what is loaded is run, its result stays, its memory is known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bench.contract import Served, Step
from bench.measure.memory import is_out_of_memory
from bench.measure.side import SideHere, SideOutOfMemory
from tests.bench.measure.toys import Toy

MIB = 2**20


def test_inputs_are_made_ready_before_and_the_last_result_stays() -> None:
    seen: list[type] = []

    def act(x: torch.Tensor, pair: tuple[torch.Tensor, str]) -> torch.Tensor:
        seen.append(type(pair[0]))
        return x * len(pair[1])

    with SideHere(Toy(act, "cpu")) as side:
        side.load(
            [Step("s", "do", (np.ones(2), (np.ones(1), "abc"))), Step("s", "do", (np.ones(3), (np.ones(1), "x")))]
        )
        assert not seen
        side.run()
        assert seen == [torch.Tensor] * 2
        assert torch.equal(side.result(), torch.ones(3))
        side.forget()
        assert side.result() is None


def test_counting_runs_it_and_its_result_can_be_looked_at() -> None:
    weight = torch.ones(4, 4)
    with SideHere(Toy(lambda x: x @ weight, "cpu")) as side:
        side.load([Step("s", "do", (np.ones((2, 4), dtype=np.float32),))])
        assert side.work().flops == 2 * 2 * 4 * 4
        assert torch.equal(side.result(), torch.full((2, 4), 4.0))


def test_a_result_is_checked_by_the_steps_own_check() -> None:
    def check(result: int, served: Served[Callable[[], int]]) -> str | None:
        right = served.candidate() + 1
        return None if result == right else f"{result} in place of {right}"

    with SideHere(Toy(lambda: 3, "cpu")) as side:
        step = Step("s", "do", check=check)
        side.load([step])
        side.run()
        assert side.check(step) == "3 in place of 4"
        assert side.check(Step("s", "do")) is None


def test_the_peak_is_counted_anew_and_what_is_held_stands_apart() -> None:
    class Heavy(Toy):
        def resident(self) -> object:
            return {"weights": torch.ones(8 * MIB // 4)}

    with SideHere(Heavy(lambda mib: torch.ones(mib * MIB // 4).sum(), "cpu")) as side:
        for mib in (128, 48):
            side.reset_peak()
            side.load([Step("s", "do", (mib,))])
            side.run()
            assert side.peak_bytes() == pytest.approx(mib * MIB, rel=0.1)
        assert side.held_bytes() == 8 * MIB
        assert side.free_bytes() > 0


@pytest.mark.parametrize("when", ["load", "run"])
def test_a_side_that_ran_out_of_memory_goes_on_and_holds_nothing(when: str) -> None:
    alive: list[int] = []

    class Tensors:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    class Full(Toy):
        def place(self, inputs: tuple[object, ...]) -> tuple[object, ...]:
            return (self.fill(),) if inputs == ("load",) else inputs

        def fill(self) -> None:
            kept = Tensors()
            raise MemoryError(f"no room\nfor {kept}")

        def do(self, *inputs: object) -> object:
            return self.fill() if inputs == ("run",) else 7

    with SideHere(Full(lambda: None, "cpu")) as side:

        def step() -> None:
            side.load([Step("s", "do", (when,))])
            side.run()

        with pytest.raises(SideOutOfMemory, match=r"^no room$") as caught:
            step()
        assert is_out_of_memory(caught.value)
        assert not alive
        side.load([Step("s", "do")])
        side.run()
        assert side.result() == 7


def test_another_error_is_passed_on() -> None:
    def act() -> None:
        raise RuntimeError("shapes do not match")

    with SideHere(Toy(act, "cpu")) as side:
        side.load([Step("s", "do")])
        with pytest.raises(RuntimeError, match="shapes do not match"):
            side.run()
