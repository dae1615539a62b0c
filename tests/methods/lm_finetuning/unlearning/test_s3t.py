"""S3T: a deletion switches off what has seen the example and leaves a model that never did."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.lm_finetuning.unlearning._orders import cyclic_orders, expected_prefix, matched_orders
from methods.lm_finetuning.unlearning._voters import layer_groups
from methods.lm_finetuning.unlearning.s3t import S3T, Service
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import drawn, toy_task, written_and_read

RATE = 3e-3


def task_of() -> Any:
    return toy_task(480, problem="unlearn")


def service_of(**fields: Any) -> Service:
    return Service(S3T(**fields), task_of(), RATE)


def answers(service: Service) -> Tensor:
    with torch.no_grad():
        return service.voters(input_ids=torch.arange(40).reshape(2, 20)).logits


@pytest.mark.parametrize("slice_", range(4))
@pytest.mark.parametrize("orders", [1, 2])
def test_after_a_deletion_the_model_is_one_that_never_saw_the_slice(slice_: int, orders: int) -> None:
    service, never = service_of(orders=orders), service_of(orders=orders)
    service.learn(task_of())
    before = answers(service)
    assert service.delete(service.partition[0][slice_][0])
    for shard, slices in enumerate(never.orders):
        for number, order in enumerate(slices):
            for learned in order:
                if shard == 0 and learned == slice_:
                    break
                never._learn(shard, number, never.partition[shard][learned], task_of())
    never._elect()
    assert torch.equal(answers(service), answers(never))
    assert not torch.equal(answers(service), before) or orders > 1


def test_a_deletion_trains_nothing_and_leaves_nothing_of_the_slice(trained_tokens: list[int]) -> None:
    service = service_of()
    service.learn(task_of())
    trained_tokens.clear()
    assert service.delete(service.partition[0][1][0])
    assert not trained_tokens
    for number, order in enumerate(service.orders[0]):
        for place, part in enumerate(service.parts(0, number, 4)):
            erased = all(not weight.any() for weight in service.voters.state(part))
            assert erased == (place >= order.index(1))


def test_the_order_with_the_most_groups_alive_votes() -> None:
    service = service_of()
    service.learn(task_of())
    assert [len(vote) for vote in service.voters.votes] == [4, 4]
    service.delete(service.partition[0][0][0])  # the first of one order, the third of the other
    assert service.orders[0] == [(0, 1, 2, 3), (2, 3, 0, 1)]
    assert service.voters.votes[0] == service.parts(0, 1, 2)


def test_a_dead_shard_does_not_vote_and_the_last_one_asks_for_training(trained_tokens: list[int]) -> None:
    service = service_of(orders=1)
    service.learn(task_of())
    assert service.delete(service.partition[0][0][0])
    assert service.voters.votes == [service.parts(1, 0, 4)]
    other = service.partition[1][0][0]
    left = [index for shard in service.partition for slice_ in shard for index in slice_ if index != other]
    trained_tokens.clear()
    assert not service.delete(other)
    assert [len(vote) for vote in service.voters.votes] == [4, 4]
    assert sum(trained_tokens) == sum(task_of().listed.tokens[service.pool[index]] for index in left)
    fresh = service_of(orders=1)
    fresh.partition = service.partition
    fresh.learn(task_of())
    assert torch.equal(answers(service), answers(fresh))


def test_a_slice_teaches_its_group_alone() -> None:
    service = service_of(orders=1, shards=1)
    parts = service.parts(0, 0, 4)
    service._learn(0, 0, service.partition[0][0], task_of())
    kept = [service.voters.state(part) for part in parts]
    service._learn(0, 0, service.partition[0][1], task_of())
    moved = [
        any(not torch.equal(a, b) for a, b in zip(old, service.voters.state(part), strict=True))
        for old, part in zip(kept, parts, strict=True)
    ]
    assert moved == [False, True, False, False]


def test_the_budget_holds_whatever_the_orders() -> None:
    for orders in (1, 2, 4):
        service, task = service_of(orders=orders), task_of()
        service.learn(task)
        assert 480 - 60 * orders < drawn(task)["training_tokens"] <= 480


def test_an_example_that_was_never_learned_needs_nothing() -> None:
    service = service_of()
    service.learn(task_of())
    before = answers(service)
    assert service.delete(len(service.pool) - 1)
    assert torch.equal(answers(service), before)


def test_groups_are_disjoint_and_the_first_is_at_the_top() -> None:
    model = toy_task().model
    layers = decoder_linears(model)
    groups = layer_groups(layers, 6, 4)
    assert sorted(name for group in groups for name in group) == sorted(layers)
    tops = [max(int(name.split(".")[2]) for name in group) for group in groups]
    assert tops[0] == 5
    assert tops == sorted(tops, reverse=True)


@given(st.integers(1, 5), st.integers(1, 130))
def test_cyclic_orders_are_different_and_begin_differently(slices: int, count: int) -> None:
    if count > math.factorial(slices):
        with pytest.raises(ValueError, match="orders"):
            cyclic_orders(range(slices), count)
        return
    orders = cyclic_orders(range(slices), count)
    assert len(orders) == len(set(orders)) == count
    assert all(sorted(order) == list(range(slices)) for order in orders)
    assert len({order[0] for order in orders}) == min(slices, count)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6))
def test_matched_orders_share_no_place(odds: list[float]) -> None:
    odds = [each / sum(odds) for each in odds]
    orders = matched_orders(odds, len(odds), deletions=10)
    for places in zip(*orders, strict=True):
        assert sorted(places) == list(range(len(odds)))


def test_the_best_matched_order_begins_with_what_is_least_likely_deleted() -> None:
    assert matched_orders([0.4, 0.3, 0.2, 0.1], 1, deletions=10)[0][0] == 3


def test_the_expected_prefix_is_that_of_a_simulation() -> None:
    odds, deletions = [0.1, 0.3, 0.2, 0.4], 3
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(torch.tensor(odds), 20_000 * deletions, replacement=True, generator=generator)
    found = drawn.reshape(-1, deletions).min(1).values.float().mean()
    assert expected_prefix(odds, deletions) == pytest.approx(float(found), abs=0.02)


def test_matching_goes_by_the_share_of_the_examples_that_a_slice_has() -> None:
    slices = [list(range(count)) for count in (1, 5, 2, 8)]
    found = S3T(selection="matching").orders_of(slices)
    assert found == matched_orders([1 / 16, 5 / 16, 2 / 16, 8 / 16], 2)
    assert found != cyclic_orders(range(4), 2) == S3T().orders_of(slices)


def test_the_first_place_of_an_order_has_the_topmost_blocks() -> None:
    service = service_of(orders=1)
    blocks = [
        {int(name.split(".layers.")[1].split(".")[0]) for name in service.voters.weights(part)}
        for part in service.parts(0, 0, 4)
    ]
    assert max(blocks[0]) == 5
    assert min(blocks[3]) == 0
    assert all(min(upper) > max(lower) for upper, lower in pairwise(blocks))


def test_one_seed_one_model() -> None:
    first, second = service_of(), service_of()
    first.learn(task_of())
    second.learn(task_of())
    assert torch.equal(answers(first), answers(second))


def test_more_slices_than_blocks_are_refused() -> None:
    task = toy_task(problem="unlearn")
    assert "slices" in str(S3T(slices=7).supports(task))
    assert S3T.card.problems == ("unlearn",)


def test_a_service_forgets_elsewhere_what_it_would_have_forgotten_here() -> None:
    """Once it was written to disk, without the base, and put on another copy of it."""
    task, service = task_of(), service_of(orders=1)
    service.learn(task)
    other = written_and_read(service)
    other.applied(task.model)
    assert torch.equal(answers(service), answers(other))
    for index in (service.partition[0][0][0], service.partition[1][0][0]):  # the second asks for training
        assert service.delete(index) == other.delete(index)
        assert torch.equal(answers(service), answers(other))


def test_what_is_built_is_voters_of_orders_that_were_all_learned() -> None:
    task = task_of()
    built = S3T(orders=2, rate=RATE).build(task)
    service = built.candidate
    assert [len(slices) for slices in service.partition] == [4, 4]
    assert service.alive == [[4, 4], [4, 4]]
    assert service.voters.votes == [service.parts(shard, 0, 4) for shard in range(2)]
    learned = sum(len(slice_) for shard in service.partition for slice_ in shard)
    assert sum(built.scores[0].samples) > 0
    assert len(built.scores[0].samples) >= 2 * learned / S3T().batch
    assert service.delete(service.partition[0][0][0])  # without training
    assert service.voters.votes[0] == service.parts(0, 1, 2)
