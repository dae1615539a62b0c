"""SISA: what a deletion leaves, what it trains again, and how the voters answer."""

from typing import Any

import pytest
import torch
from torch import Tensor

from methods.lm_finetuning.unlearning._voters import Voters, split
from methods.lm_finetuning.unlearning.sisa import SISA, Service
from suites._language.adapters import decoder_linears
from suites._language.evaluation.scoring import Scorer
from tests.methods.lm_finetuning.finetuning_toys import drawn, make, toy_task, written_and_read

RATE = 3e-3


def task_of(**fields: Any) -> Any:
    return toy_task(480, problem="unlearn", **fields)


def service_of(without: tuple[int, ...] = (), **fields: Any) -> Service:
    task = task_of()
    service = Service(SISA(**fields), task, RATE)
    for slices in service.partition:
        for held in slices:
            held[:] = [index for index in held if index not in without]
    service.learn(task)
    return service


def answers(service: Any) -> Tensor:
    with torch.no_grad():
        return service.voters(input_ids=torch.arange(40).reshape(2, 20)).logits


@pytest.mark.parametrize("slice_", [0, 1, 3])
def test_after_a_deletion_the_model_is_one_that_never_saw_the_example(slice_: int) -> None:
    service = service_of()
    before = answers(service)
    index = service.partition[1][slice_][0]
    assert not service.delete(index)
    assert torch.equal(answers(service), answers(service_of(without=(index,))))
    assert not torch.equal(answers(service), before)


def test_deletions_one_after_the_other_are_forgotten_together() -> None:
    service = service_of()
    gone = (service.partition[0][2][0], service.partition[0][0][1], service.partition[1][3][0])
    for index in gone:
        service.delete(index)
    assert torch.equal(answers(service), answers(service_of(without=gone)))


def test_a_deletion_trains_its_shard_from_its_slice_on_and_nothing_else(trained_tokens: list[int]) -> None:
    service = service_of()
    other = service.voters.state("shard0")
    trained_tokens.clear()
    service.delete(service.partition[1][2][0])
    again = [service.pool[i] for slice_ in service.partition[1][2:] for i in slice_]
    assert sum(trained_tokens) == sum(task_of().listed.tokens[number] for number in again)
    assert all(torch.equal(a, b) for a, b in zip(other, service.voters.state("shard0"), strict=True))


def test_a_full_retraining_begins_anew() -> None:
    service = service_of(shards=1, slices=1)
    index = service.partition[0][0][3]
    service.delete(index)
    assert torch.equal(answers(service), answers(service_of(without=(index,), shards=1, slices=1)))
    with pytest.raises(ValueError, match="deleted before"):
        service.delete(index)


def test_the_last_example_of_a_slice_may_go() -> None:
    service = service_of()
    for index in list(service.partition[0][1]):
        service.delete(index)
    assert service.partition[0][1] == []


def test_one_seed_one_model() -> None:
    assert torch.equal(answers(service_of()), answers(service_of()))


def test_every_example_is_in_one_slice() -> None:
    parts = split(range(23), 2, 4)
    assert sorted(i for shard in parts for slice_ in shard for i in slice_) == list(range(23))
    assert {len(slice_) for shard in parts for slice_ in shard} == {2, 3}


def voters_of_two() -> Voters:
    task = task_of()
    voters = Voters(task.copied(), rank=2, alpha=4.0, most=2)
    for number in range(2):
        voters.add(f"part{number}", decoder_linears(task.model), seed=0)
        generator = torch.Generator().manual_seed(number)
        voters.restore(
            f"part{number}", [0.2 * torch.randn(w.shape, generator=generator) for w in voters.state("part0")]
        )
        voters.votes.append((f"part{number}",))
    return voters.eval()


@torch.no_grad()
def test_the_answer_is_the_mean_of_the_voters_probabilities() -> None:
    voters = voters_of_two()
    ids = torch.arange(30).reshape(2, 15)
    both = voters.votes
    together = voters(input_ids=ids).logits.softmax(-1)
    each = []
    for vote in both:
        voters.votes = [vote]
        each.append(voters(input_ids=ids).logits.softmax(-1))
    torch.testing.assert_close(together, (each[0] + each[1]) / 2)
    assert float((each[0] - each[1]).abs().max()) > 0.01


@torch.no_grad()
def test_voters_read_with_a_cache_as_without() -> None:
    voters = voters_of_two()
    ids = torch.arange(30).reshape(2, 15)
    whole = voters(input_ids=ids, use_cache=False).logits
    part = voters(input_ids=ids[:, :9], use_cache=True)
    rest = voters(input_ids=ids[:, 9:], use_cache=True, past_key_values=part.past_key_values, logits_to_keep=1).logits
    torch.testing.assert_close(whole[:, -1:], rest, rtol=1e-4, atol=1e-4)


def test_the_scorer_shares_prefixes_of_voters_too() -> None:
    scorer = Scorer(voters_of_two(), max_length=64)
    assert (scorer.path, scorer.trunks) == ("tree", True)


@torch.no_grad()
def test_without_voters_the_base_answers() -> None:
    voters = voters_of_two()
    voters.votes = []
    ids = torch.arange(20)[None]
    assert torch.equal(voters(input_ids=ids).logits, task_of().model(input_ids=ids).logits)


def test_the_candidate_is_made_of_adapters_on_one_base() -> None:
    task = task_of()
    tuned = make(SISA(rate=RATE), task)
    adapters = sum(w.numel() for w in tuned.shipped.values())
    base = sum(w.numel() for w in task.model.parameters())
    assert sum(w.numel() for w in tuned.model.parameters()) == base + adapters
    assert not tuned.patch.delete(0)
    assert drawn(task)["training_tokens"] <= 480


def test_a_service_forgets_elsewhere_what_it_would_have_forgotten_here() -> None:
    """Once it was written to disk, without the base, and put on another copy of it."""
    service = service_of()
    other = written_and_read(service)
    other.applied(task_of().model)
    assert torch.equal(answers(service), answers(other))
    for index in (service.partition[0][1][0], service.partition[1][3][1]):
        service.delete(index)
        other.delete(index)
        assert torch.equal(answers(service), answers(other))
        assert index not in other.rows


def test_what_is_built_is_two_voters_each_of_its_shard() -> None:
    task = task_of()
    service = SISA(rate=RATE).build(task).candidate
    assert [len(slices) for slices in service.partition] == [4, 4]
    assert service.voters.votes == [("shard0",), ("shard1",)]
    alone = [service.voters.state(name) for name in ("shard0", "shard1")]
    assert all(any(weight.any() for weight in state[1::2]) for state in alone)
    assert not service.delete(service.partition[0][3][0])
    assert all(torch.equal(*pair) for pair in zip(service.voters.state("shard1"), alone[1], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(service.voters.state("shard0"), alone[0], strict=True))
