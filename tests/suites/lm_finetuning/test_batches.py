"""Examples side by side, and what a task gives of them."""

import numpy as np
import pytest
import torch

from bench.contract import OverBudget
from suites._language.toy import toy_model, toy_tokenizer
from suites.lm_finetuning.batches import IGNORED, Batch, collate, encoded
from suites.lm_finetuning.examples import TASKS, Example, examples
from suites.lm_finetuning.reading import all_logits, answer_logits, check_apart
from suites.lm_finetuning.supplies import Examples, OwnExamples
from tests.methods.lm_finetuning.finetuning_toys import drawn, toy_task


def test_a_batch_teaches_the_answers_alone() -> None:
    tokenizer = toy_tokenizer()
    batch = collate(tokenizer, [Example("records", "ab:", " c\n"), Example("records", "a:", " longer\n")], "cpu")
    taught = [tokenizer.decode(row[row != IGNORED]) for row in batch.labels]
    assert taught == [" c\n", " longer\n"]
    assert batch.tokens == int(batch.attention_mask.sum()) == 6 + 10
    assert batch.taught == 3 + 8


def test_parts_of_a_batch_are_its_rows_without_needless_padding() -> None:
    batch = collate(toy_tokenizer(), [Example("records", "ab:", " c\n"), Example("records", "a:", " longer\n")], "cpu")
    first, second = batch.split(1)
    assert first.input_ids.shape == (1, 6)
    assert second.input_ids.shape == (1, 10)
    assert first.tokens + second.tokens == batch.tokens
    assert first.taught + second.taught == batch.taught


def test_a_batch_in_one_row_is_read_as_its_examples_alone() -> None:
    model, task = toy_model(), toy_task()
    batch = task.validation(batch=4)[1]
    assert not batch.attention_mask.bool().all()
    padded = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    taught = batch.labels[:, 1:] != IGNORED
    torch.testing.assert_close(answer_logits(model, batch), padded[:, :-1][taught], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(all_logits(model, batch), padded[batch.attention_mask.bool()], rtol=1e-4, atol=1e-5)
    assert torch.equal(batch.wanted, batch.labels[:, 1:][taught])
    assert batch.examples.bincount().tolist() == [part.taught for part in batch.split(1)]


def test_a_model_that_lets_examples_see_each_other_is_refused() -> None:
    model, batch = toy_model(), toy_task().validation(batch=2)[0]
    check_apart(model, batch)
    forward = model.forward
    model.forward = lambda position_ids, **call: forward(**call)  # positions go on from one example to the next
    with pytest.raises(ValueError, match="does not keep the examples of one row apart"):
        check_apart(model, batch)


def test_the_first_token_of_all_is_not_learned() -> None:
    batch = collate(toy_tokenizer(), [Example("records", "", "abc"), Example("records", "a", "b")], "cpu")
    assert (batch.labels != IGNORED).tolist() == [[False, True, True], [False, True, False]]


def test_tokens_are_metered_and_never_more_than_allowed() -> None:
    task = toy_task(tokens=500)
    tokens = sum(batch.tokens for batch in task.training())
    assert 350 < tokens <= 500
    assert drawn(task)["training_tokens"] == tokens
    with pytest.raises(OverBudget):
        task.training()


def test_a_search_sees_the_beginning_of_the_training() -> None:
    task = toy_task(tokens=4000)
    search, training = task.searching(), task.training()
    assert 0 < len(search) < len(training)
    assert all(torch.equal(a.input_ids, b.input_ids) for a, b in zip(search, training, strict=False))
    assert not torch.equal(toy_task(seed=1).training()[0].input_ids, toy_task(seed=0).training()[0].input_ids)


def test_nobody_trains_on_the_validation_examples() -> None:
    task = toy_task(tokens=20_000)
    trained = {tuple(row.tolist()) for batch in task.training(batch=1) for row in batch.input_ids}
    held = {tuple(row.tolist()) for batch in task.validation(batch=1) for row in batch.input_ids}
    assert not trained & held


def test_a_batch_is_made_again_of_its_arrays() -> None:
    batch = toy_task().validation()[1]
    assert all(isinstance(each, np.ndarray | int) for each in batch.arrays)
    *arrays, tokens = batch.arrays
    again = Batch.of(*map(torch.from_numpy, arrays), tokens)
    assert all(torch.equal(getattr(again, n), getattr(batch, n)) for n in ("input_ids", "attention_mask", "labels"))
    assert (again.tokens, again.taught) == (batch.tokens, batch.taught)


def test_the_listing_tells_tasks_and_lengths_and_costs_nothing() -> None:
    task = toy_task()
    known = [example for name in TASKS for example in examples("tiny", name, "training")[:-16]]
    assert task.listed.tasks == [example.task for example in known]
    assert task.listed.tokens == [len(e.prompt + e.answer) for e in known]  # a byte is a token
    assert not drawn(task)


def test_an_example_costs_its_tokens_every_time() -> None:
    rows = encoded(toy_tokenizer(), [Example("records", "ab:", " c\n"), Example("records", "a:", " longer\n")])
    supply = Examples(rows, "training_tokens")
    assert supply.amount([0, 1, 0]) == 6 + 10 + 6
    assert supply.take([1]) == [(list(rows[1].ids), 2, "records")]
    for wanted in ([2], [-1], [0, 7]):
        with pytest.raises(ValueError, match="of 2"):
            supply.amount(wanted)


def test_own_examples_can_not_be_counted_off() -> None:
    with pytest.raises(ValueError, match="-3"):
        OwnExamples("training_tokens").amount(-3)
