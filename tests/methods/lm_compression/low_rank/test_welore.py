"""WeLore: one threshold, ranks that follow the spectra, and only low-rank parts that move."""

from collections.abc import Callable

import pytest
import torch

from methods._techniques.factored import FactoredLinear, truncated
from methods.lm_compression.low_rank._limits import hollowed
from methods.lm_compression.low_rank._threshold import low_ranks, normalised, ranks_by_threshold, spectra
from methods.lm_compression.low_rank.welore import WeLore
from suites._language.adapters import decoder_linears
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import drawn, limited

ToyTask = Callable[..., CausalLMTask]


def test_ranks_of_a_case_by_hand() -> None:
    # Singular values 9, 5, 3, 2, 1 -> (v - 1) / 8 = 1, .5, .25, .125, 0.
    values = normalised(torch.diag(torch.tensor([2.0, 9.0, 1.0, 5.0, 3.0])))
    torch.testing.assert_close(values, torch.tensor([1, 0.5, 0.25, 0.125, 0], dtype=torch.float64))
    of = {"steep": values, "flat": torch.tensor([1, 0.9, 0.8, 0.7, 0.0], dtype=torch.float64)}
    assert low_ranks(of, 0.25, reduction=0.5) == {}  # three of five stay: less than half is lost
    assert low_ranks(of, 0.26, reduction=0.5) == {"steep": 2}
    assert low_ranks(of, 0.75, reduction=0.5) == {"steep": 1}
    assert low_ranks(of, 0.85, reduction=0.5) == {"steep": 1, "flat": 2}
    assert low_ranks(of, 1.0, reduction=0.5) == {"steep": 1, "flat": 1}
    assert low_ranks(of, 0.26, reduction=0.6) == {}  # exactly 0.6 is lost: not more


def test_equal_singular_values_have_no_low_rank() -> None:
    assert normalised(torch.eye(6)).tolist() == [1.0] * 6


def test_a_higher_threshold_never_raises_a_rank(toy_task: ToyTask) -> None:
    of = spectra(toy_task().model)
    full = {name: len(values) for name, values in of.items()}
    last = full
    for threshold in torch.linspace(0, 1, 21).tolist():
        ranks = full | dict(low_ranks(of, threshold, 0.5))
        assert all(ranks[name] <= last[name] for name in of)
        assert all(rank >= 1 for rank in ranks.values())
        last = ranks
    assert all(rank == 1 for rank in last.values())


@pytest.mark.parametrize("point", ["size-75", "size-25", "compute-75"])
def test_limits_are_met_by_the_lowest_threshold(point: str, toy_task: ToyTask) -> None:
    task = toy_task(point)
    candidate = WeLore(tune="nothing").build(task)
    figures = task.weigh(candidate)
    assert task.limits.met_by(figures)
    ranks = {name: m.rank for name, m in candidate.named_modules() if isinstance(m, FactoredLinear)}
    assert len(set(ranks.values())) > 3  # ranks differ, or nothing was tried
    for name, rank in ranks.items():
        thin, expected = candidate.get_submodule(name), truncated(task.model.get_submodule(name), rank)
        torch.testing.assert_close(thin.up.weight @ thin.down.weight, expected.up.weight @ expected.down.weight)
    # One value less dropped, anywhere, would have been enough only if the limit were not met then.
    of = spectra(task.model)
    lowest = min(of[name][rank - 1].item() for name, rank in ranks.items())  # the least value that stays, anywhere
    highest = max(of[name][rank].item() for name, rank in ranks.items())  # the greatest that went
    assert highest < lowest or len(of) > len(ranks)
    assert dict(ranks) == dict(low_ranks(of, highest + 1e-12, 0.5))
    fewer = low_ranks(of, highest, 0.5)  # with this value back the limit must be passed
    assert dict(fewer) != ranks
    assert not task.limits.met_by(task.weigh(hollowed(task, fewer)))


def test_steep_spectra_lose_their_rank_first(toy_task: ToyTask) -> None:
    task = toy_task("size-75")
    name = "model.layers.3.mlp.gate_proj"
    layer = task.model.get_submodule(name)
    with torch.no_grad():
        layer.weight.copy_(torch.outer(layer.weight[:, 0], layer.weight[0]) + 1e-3 * layer.weight)
    ranks = ranks_by_threshold(task, 0.5)
    assert ranks[name] == 1
    assert sorted(ranks.values())[1] > 1


@pytest.mark.parametrize("tune", ["low-rank", "all"])
def test_only_the_low_rank_components_are_trained(tune: str, toy_task: ToyTask) -> None:
    """In the method; "all" moves the dense matrices too, or the comparison would be one of nothing."""
    start = WeLore(tune="nothing").build(toy_task("size-75")).state_dict()
    task = toy_task("size-75")
    candidate = WeLore(tune=tune, learning_rate=1e-3).build(task)  # type: ignore[arg-type]
    factors = {
        f"{name}.{part}.weight"
        for name, module in candidate.named_modules()
        if isinstance(module, FactoredLinear)
        for part in ("up", "down")
    }
    moved = {name for name, tensor in candidate.state_dict().items() if not torch.equal(tensor, start[name])}
    linears = {f"{name}.weight" for name in decoder_linears(candidate)}
    assert factors < linears
    assert moved == (factors if tune == "low-rank" else linears)
    assert drawn(task)["training_tokens"] > 0
    assert not any(parameter.requires_grad for parameter in candidate.parameters())


def test_lora_is_merged_into_the_factors(toy_task: ToyTask) -> None:
    plain, tuned = (WeLore(tune=tune).build(task) for tune in ("nothing", "lora") for task in [toy_task()])
    assert plain.state_dict().keys() == tuned.state_dict().keys()
    assert any(not torch.equal(plain.state_dict()[key], tuned.state_dict()[key]) for key in plain.state_dict())


def test_limits_that_the_dense_model_meets_leave_it_whole(toy_task: ToyTask) -> None:
    assert ranks_by_threshold(limited(toy_task(), stored_ratio=1.0), 0.5) == {}
