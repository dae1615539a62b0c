"""Trans-LoRA: made-up prompts, what the discriminator keeps, and what is learned from the teacher."""

import copy
from typing import Any

import pytest
import torch

from methods.lm_finetuning.transfer import _synthesis, trans_lora
from methods.lm_finetuning.transfer._discriminator import Discriminator, likeliest, realness, trained_discriminator
from methods.lm_finetuning.transfer._distillation import Distilled
from methods.lm_finetuning.transfer._synthesis import answered, form_of, write_prompts
from methods.lm_finetuning.transfer.trans_lora import TransLoRA, random_text, repeated
from methods.lm_finetuning.transfer.transfer_real_data import TransferRealData
from suites._training.learner import Moment
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import collate
from suites.lm_finetuning.examples import TASKS, Example, examples
from suites.lm_finetuning.lora import LoRA, merged, updates
from suites.lm_finetuning.prepared import Source, without_blocks
from tests.methods.lm_finetuning.finetuning_toys import drawn, make, random_lora, toy_task

SAMPLING = {"temperature": 0.9, "top_p": 0.95}


def task_of(tokens: int = 400, **fields: Any) -> Any:
    task = toy_task(tokens, problem="transfer", **fields)
    model = without_blocks(task.model)
    seeds = tuple(seed for name in TASKS for seed in examples("tiny", name, "training")[:5])
    task.source = Source(model, random_lora(model, rank=2, seed=1, scale=1.0), seeds)
    return task


def seeds_of(task: Any, name: str) -> list[Example]:
    return [seed for seed in task.source.seeds if seed.task == name]


# --- made-up examples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "beginning", "ending"), [("records", "Note:", "\nForm:"), ("problems", "Problem:", "\nAnswer:")]
)
def test_the_form_of_a_prompt_is_its_first_word_and_its_last_line(name: str, beginning: str, ending: str) -> None:
    assert form_of(examples("embedded", name, "training")[:5]) == (beginning, ending)


def test_a_form_may_be_a_character_or_nothing() -> None:
    assert form_of([Example("t", "1+2=", " 3\n"), Example("t", "4+2=", " 6\n")]) == ("", "=")
    assert form_of([Example("t", "a", " b\n"), Example("t", "c", " d\n")]) == ("", "")
    assert form_of([Example("t", "same", " b\n")] * 2) == ("", "e")


def test_prompts_have_the_form_and_are_new() -> None:
    task = task_of()
    seeds = [Example("t", f"Say {word} now\nAnswer:", " yes\n") for word in ("this", "that", "it")]
    found = write_prompts(task.model, task.tokenizer, seeds, 20, 0, **SAMPLING)
    assert len(found) == len(set(found)) > 10
    assert all(prompt.startswith("Say") and prompt.endswith("\nAnswer:") for prompt in found)
    assert not {seed.prompt for seed in seeds} & set(found)


def test_the_seed_alone_decides_what_is_made_up() -> None:
    task = task_of()
    seeds = seeds_of(task, "problems")
    torch.manual_seed(5)
    first = write_prompts(task.model, task.tokenizer, seeds, 8, 0, **SAMPLING)
    state = torch.get_rng_state()
    again = write_prompts(task.model, task.tokenizer, seeds, 8, 0, **SAMPLING)
    assert torch.equal(state, torch.get_rng_state())
    assert first == again
    assert first != write_prompts(task.model, task.tokenizer, seeds, 8, 1, **SAMPLING)


def test_what_is_read_once_for_all_rows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of()
    seeds = seeds_of(task, "problems")
    shared = write_prompts(task.model, task.tokenizer, seeds, 8, 0, **SAMPLING)
    written = _synthesis._written

    def without_cache(*args: Any, past_key_values: Any) -> list[str]:
        return written(*args)

    monkeypatch.setattr(_synthesis, "_written", without_cache)
    assert shared == write_prompts(task.model, task.tokenizer, seeds, 8, 0, **SAMPLING)


def test_answers_are_what_greedy_decoding_says_of_each_prompt_alone() -> None:
    task = task_of()
    prompts = ["3+4=", "a much longer prompt than that:", "good?"]
    found = {e.prompt: e.answer for e in answered(task.model, task.tokenizer, "t", prompts, 6)}
    for prompt in prompts:
        ids = task.tokenizer(prompt, return_tensors="pt")["input_ids"]
        said = task.model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
        line = task.tokenizer.decode(said, skip_special_tokens=True).split("\n")[0]
        assert found.get(prompt) == (f"{line}\n" if line else None)
    assert found


# --- the discriminator ------------------------------------------------------------------------------------------------


def test_an_untrained_discriminator_is_undecided() -> None:
    task = task_of()
    discriminator = Discriminator(task.source.model, rank=2, seed=0)
    assert realness(task, discriminator, ["3+4=", "good tea 5?"]) == [0.5, 0.5]


def test_the_filter_keeps_the_seeds_and_sorts_out_what_is_made_up() -> None:
    task = task_of()
    real = [seed.prompt for seed in task.source.seeds]
    made_up = [f"zz{number}qqqq#!" for number in range(12)]
    source = copy.deepcopy(task.source.model.state_dict())
    discriminator = trained_discriminator(task, task.source.model, real, made_up[:8], steps=40, rank=4, rate=3e-3)
    mixed = [*made_up, *real]
    assert likeliest(mixed, realness(task, discriminator, mixed), len(real)) == real
    assert drawn(task)["discriminator_tokens"] > 0
    assert all(torch.equal(source[name], now) for name, now in task.source.model.state_dict().items())


def test_the_likeliest_prompts_are_kept_in_their_order() -> None:
    assert likeliest(["a", "b", "c", "d"], [0.1, 0.4, 0.9, 0.2], 2) == ["b", "c"]


def test_the_filter_chooses_among_more_and_leaves_as_many() -> None:
    """Else what is compared with it would also have more, or fewer, examples."""
    found = {}
    for filtered in (True, False):
        task = task_of(tokens=4000)
        teacher = merged(task.source.model, updates(task.source.adapter))
        method = small(filtered=filtered, share=0.25)
        counts: list[int] = []
        made_up = method._made_up

        def spy(*args: Any, made_up: Any = made_up, counts: list[int] = counts) -> list[str]:
            prompts: list[str] = made_up(*args)
            if args[-1] == "samples":
                counts.append(len(prompts))
            return prompts

        object.__setattr__(method, "_made_up", spy)
        found[filtered] = (counts, len(method.synthetic(task, teacher)))
    (more, learned), (fewer, learned_too) = found[True], found[False]
    assert learned <= sum(fewer)
    assert abs(learned - learned_too) <= 1  # an answer may be empty
    assert 3 * sum(fewer) < sum(more) <= 4 * sum(fewer)  # the same prompt twice counts once


def test_prompts_that_the_discriminator_refuses_are_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def scores(task: Any, discriminator: Any, prompts: list[str]) -> list[float]:
        refused.extend(prompts[::2])
        return [float(number % 2) for number in range(len(prompts))]

    monkeypatch.setattr(trans_lora, "realness", scores)
    monkeypatch.setattr(trans_lora, "trained_discriminator", lambda *args, **kwargs: None)
    task = task_of()
    teacher = merged(task.source.model, updates(task.source.adapter))
    learned = {example.prompt for example in TransLoRA(negatives=2, share=0.25).synthetic(task, teacher)}
    assert learned
    assert refused
    assert not learned & set(refused)


# --- distillation -----------------------------------------------------------------------------------------------------


def test_the_loss_is_the_divergence_from_the_teacher_on_the_answers() -> None:
    task = task_of()
    batch = task.validation()[0]
    teacher = merged(task.source.model, updates(task.source.adapter))
    assert Distilled(teacher, teacher).loss(batch).item() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        p = teacher(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[:, :-1].softmax(-1)
        q = task.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[:, :-1].softmax(-1)
        each = (p * (p / q).log()).sum(-1)
        found = Distilled(task.copied(), teacher).loss(batch)
        torch.testing.assert_close(found, each[batch.labels[:, 1:] != -100].mean(), rtol=1e-4, atol=1e-5)


def test_the_target_comes_nearer_to_the_teacher() -> None:
    task = task_of()
    teacher = merged(task.source.model, updates(task.source.adapter))
    learner = Distilled(task.copied().requires_grad_(True), teacher)
    trainer = Trainer(learner)
    batch = task.validation()[0]
    losses = [trainer.step(batch, 1e-3, Moment(0, 10)) for _ in range(6)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(not weight.requires_grad or weight.grad is None for weight in teacher.parameters())


def test_examples_come_again_until_the_tokens_are_spent() -> None:
    task = task_of(500)
    made = [Example("t", f"{number}+1=", f" {number + 1}\n") for number in range(10)]
    found = repeated(task, made)
    spent = sum(batch.tokens for batch in task.batches_of(found))
    assert 400 < spent <= 500
    assert set(found) == set(made)
    with pytest.raises(ValueError, match="no example"):
        repeated(task, [])


def test_the_seeds_that_a_task_gives_are_the_first_examples_of_each() -> None:
    task = toy_task(problem="transfer")
    task.load_adapter = lambda: random_lora(without_blocks(task.model), rank=2, seed=1)
    assert list(task.source.seeds) == [seed for name in TASKS for seed in examples("tiny", name, "training")[:5]]
    assert not drawn(task)


def test_random_text_is_none_of_the_tasks() -> None:
    found = random_text(task_of())
    assert len(found) > 20
    assert all(len(example.prompt.split()) == 10 and len(example.answer.split()) == 40 for example in found)


# --- the whole --------------------------------------------------------------------------------------------------------


def small(**settings: Any) -> TransLoRA:
    return TransLoRA(**({"samples": 12, "negatives": 4, "discriminator_steps": 4, "rates": (1e-3,)} | settings))


@pytest.mark.parametrize("settings", [{}, {"generator": "source"}, {"prompts": "random-text"}, {"filtered": False}])
def test_one_seed_one_adapter_and_no_real_example_but_the_seeds(settings: dict[str, Any]) -> None:
    task, other = task_of(), task_of()
    real = ("training", "search", "listing")
    other.supplies = {name: supply for name, supply in other.supplies.items() if name not in real}
    first, second = (make(small(**settings), each) for each in (task, other))
    assert first.shipped.keys() == second.shipped.keys()
    assert all(torch.equal(tensor, second.shipped[name]) for name, tensor in first.shipped.items())
    assert drawn(task)["training_tokens"] <= 400
    learned = merged(task.model, updates_of(first.shipped))
    ids = collate(task.tokenizer, task.source.seeds, "cpu").input_ids
    with torch.no_grad():
        torch.testing.assert_close(learned(input_ids=ids).logits, first.model(input_ids=ids).logits)


def updates_of(shipped: Any) -> dict[str, torch.Tensor]:
    names = {name[:-2] for name in shipped}
    return {name: 2.0 * shipped[f"{name}.b"] @ shipped[f"{name}.a"] for name in sorted(names)}


def test_the_control_learns_from_the_real_examples() -> None:
    task = task_of()
    tuned = make(TransferRealData(rate=1e-3), task)
    assert tuned.validation[-1] < tuned.validation[0]


@pytest.mark.parametrize("method", [TransLoRA(), TransferRealData()], ids=lambda method: method.card.slug)
def test_it_is_for_transfers_alone(method: Any) -> None:
    assert method.supports(task_of()) is None
    assert method.card.problems == ("transfer",)


def test_what_is_built_has_learned_the_teacher_s_probabilities() -> None:
    """Where the teacher is the base itself there is nothing to learn."""
    task = task_of()
    adapter = task.source.adapter
    task.source = Source(task.model, LoRA(adapter.a, adapter.b, 0.0), task.source.seeds)
    assert make(small(), task).losses[0] == pytest.approx(0, abs=1e-5)
    assert make(small(), task_of()).losses[0] > 0.01


def test_who_writes_who_sorts_out_and_who_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target writes the samples, the source the negatives, the source sorts out, and the source with its LoRA
    answers and is learned from."""
    written, sorters, answering = [], [], []
    write, train, answer = trans_lora.write_prompts, trans_lora.trained_discriminator, trans_lora.answered

    def writing(model: Any, tokenizer: Any, seeds: Any, count: int, *rest: Any, **sampling: Any) -> list[str]:
        prompts = write(model, tokenizer, seeds, count, *rest, **sampling)
        written.append((model, count, prompts))
        return prompts

    def training(task: Any, base: Any, real: Any, made_up: Any, **settings: Any) -> Any:
        sorters.append((base, list(real), list(made_up)))
        return train(task, base, real, made_up, **settings)

    def speaking(model: Any, *rest: Any) -> list[Example]:
        answering.append(model)
        return answer(model, *rest)

    for name, spy in (("write_prompts", writing), ("trained_discriminator", training), ("answered", speaking)):
        monkeypatch.setattr(trans_lora, name, spy)
    task = task_of(tokens=4000)
    learner = make(small(samples=24, negatives=3), task).trainer.learner
    source = task.source
    assert [model is task.model for model, count, _ in written if count != 3] == [True] * len(TASKS)
    assert [model is source.model for model, count, _ in written if count == 3] == [True] * len(TASKS)
    ((base, real, made_up),) = sorters
    assert base is source.model
    assert real == [seed.prompt for seed in source.seeds]
    assert made_up == [prompt for _, count, prompts in written if count == 3 for prompt in prompts]
    ids = collate(task.tokenizer, source.seeds, "cpu").input_ids
    with torch.no_grad():
        taught = merged(source.model, updates(source.adapter))
        alone, wanted = (model(input_ids=ids).logits for model in (source.model, taught))
        for teacher in (*answering, *learner.references):
            torch.testing.assert_close(teacher(input_ids=ids).logits, wanted)
    assert len(answering) == len(TASKS)
    assert not torch.allclose(alone, wanted, atol=1e-2)


def test_what_is_built_hangs_on_who_made_the_examples_up() -> None:
    """And on their being made up at all: each variant learns from examples of its own."""
    chosen = ({}, {"generator": "source"}, {"prompts": "random-text"})
    adapters = [make(small(**settings), task_of()).shipped for settings in chosen]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert any(not torch.equal(adapters[one][name], adapters[other][name]) for name in adapters[one])
