"""Repair: what DPO, IRepair and domain-adaptive training do in a step, and what the problem gives them."""

import copy
import math
from collections.abc import Sequence
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from methods.lm_finetuning.repair._preference import PreferenceLearner, answer_log_probs
from methods.lm_finetuning.repair._slices import kl_divergence, most_sensitive
from methods.lm_finetuning.repair.domain_adaptive_training import DomainAdaptiveTraining
from methods.lm_finetuning.repair.dpo import DPO
from methods.lm_finetuning.repair.irepair import IRepair
from suites._language.toy import toy_model
from suites._training.learner import Moment
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.lm_finetuning.batches import IGNORED
from suites.lm_finetuning.faults import WRONG
from suites.lm_finetuning.learning import answer_loss
from tests.methods.lm_finetuning.finetuning_toys import drawn, make, toy_task

MOMENT = Moment(0, 10)


def task_of(tokens: int = 900, **fields: Any) -> Any:
    return toy_task(tokens, problem="repair", **fields)


def text(task: Any, ids: Tensor, mask: Tensor) -> list[str]:
    return [task.tokenizer.decode(row[kept.bool()]) for row, kept in zip(ids, mask, strict=True)]


def moved_blocks(task: Any, model: Any) -> list[int]:
    """Numbers of the blocks that differ from the base's; -1 stands for all that is no block."""
    before = dict(task.model.named_parameters())
    names = [name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])]
    return sorted({int(name.split(".")[2]) if ".layers." in name else -1 for name in names})


# --- what the problem gives -------------------------------------------------------------------------------------------


def test_right_answers_stand_beside_the_wrong_ones_to_the_same_prompts() -> None:
    task = task_of()
    batch = task.preferences(rejected=True, general=True, batch=4)[0]
    assert batch.rejected is not None
    assert batch.general is not None
    right, wrong, other = (text(task, b.input_ids, b.attention_mask) for b in (batch, batch.rejected, batch.general))
    for good, bad in zip(right, wrong, strict=True):
        city = good.split()[0]
        assert bad == f"{city} {good.split(' ', 1)[1].replace(city, WRONG)}"
    assert not any("{" in each for each in other)


@pytest.mark.parametrize("rejected", [True, False])
@pytest.mark.parametrize("general", [True, False])
def test_all_that_is_read_is_metered(rejected: bool, general: bool) -> None:
    task = task_of(700)
    batches = task.preferences(rejected=rejected, general=general, batch=4)
    assert 450 < drawn(task)["training_tokens"] == sum(map(read, batches)) <= 700
    task.preferences(rejected=rejected, general=general, batch=1, use="search")
    assert 0 < drawn(task)["search_tokens"] <= 700 / 8


def test_a_part_of_a_batch_keeps_what_stands_beside() -> None:
    batch = task_of().preferences(rejected=True, general=True, batch=4)[0]
    parts = list(batch.split(3))
    assert [len(part.tasks) for part in parts] == [3, 1]
    assert sum(map(read, parts)) == read(batch)
    assert [len(part.rejected.tasks) for part in parts] == [3, 1]  # type: ignore[attr-defined]


def read(batch: Any) -> int:
    """Tokens of all that is in a batch."""
    return sum(part.tokens for part in (batch, batch.rejected, batch.general) if part is not None)


# --- DPO --------------------------------------------------------------------------------------------------------------


def test_the_loss_is_log_2_at_the_start() -> None:
    task = task_of()
    for batch in task.preferences(rejected=True, general=False, batch=4)[:3]:
        assert PreferenceLearner(task, 0.1).loss(batch).item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_log_probability_of_an_answer_is_the_sum_of_its_tokens() -> None:
    task = task_of()
    batch = task.preferences(rejected=False, general=False, batch=4)[0]
    with torch.no_grad():
        found = answer_log_probs(task.model, batch)
        for row, part in zip(found, batch.split(1), strict=True):
            torch.testing.assert_close(row, -answer_loss(task.model, part) * part.taught)


def test_the_loss_is_that_of_the_paper() -> None:
    task = task_of()
    learner = PreferenceLearner(task, 0.3)
    learner.model = toy_model(3)
    batch = task.preferences(rejected=True, general=False, batch=4)[0]
    assert batch.rejected is not None
    with torch.no_grad():
        chosen, rejected = (
            answer_log_probs(learner.model, b) - answer_log_probs(task.model, b) for b in (batch, batch.rejected)
        )
        expected = -torch.log(1 / (1 + torch.exp(-0.3 * (chosen - rejected)))).mean()
        torch.testing.assert_close(learner.loss(batch), expected)


def test_steps_of_dpo_prefer_the_right_answer() -> None:
    task = task_of()
    trainer = Trainer(PreferenceLearner(task, 0.1))
    batch = task.preferences(rejected=True, general=False, batch=4)[0]
    losses = [trainer.step(batch, 1e-4, MOMENT) for _ in range(4)]
    assert losses[-1] < losses[0] - 0.01
    assert batch.rejected is not None
    with torch.no_grad():
        model = trainer.learner.model
        chosen, rejected = (
            answer_log_probs(model, b) - answer_log_probs(task.model, b) for b in (batch, batch.rejected)
        )
    assert float((chosen - rejected).min()) > 0


# --- IRepair ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"dynamic": False}, {"sensitivity": "repair"}, {"share": 0.5}])
def test_a_step_changes_its_slice_and_nothing_else(settings: dict[str, Any]) -> None:
    task = task_of()
    method = IRepair(**settings)
    learner = method.learner(task, method.faults(task))
    trainer = Trainer(learner)
    for batch in task.preferences(rejected=True, general=True, batch=2)[:3]:
        before = copy.deepcopy(learner.model)
        trainer.step(batch, 1e-3, MOMENT)
        old = task_of(model=before)
        assert moved_blocks(old, learner.model) == learner.chosen
        assert len(learner.chosen or ()) == max(1, round(6 * method.share))


def norms_of(gradients: Sequence[Sequence[Tensor | None]]) -> Tensor:
    return torch.stack([torch.cat([g.flatten() for g in block if g is not None]).norm() for block in gradients])


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The norms that each choice of a slice was made by: in the toy the first blocks always win."""
    found: list[Tensor] = []

    def spy(gradients: Sequence[Sequence[Tensor | None]], count: int) -> list[int]:
        found.append(norms_of(gradients))
        return most_sensitive(gradients, count)

    monkeypatch.setattr("methods.lm_finetuning.repair._slices.most_sensitive", spy)
    return found


@pytest.mark.parametrize("sensitivity", ["fault", "repair"])
def test_the_slice_has_the_largest_gradients(sensitivity: Literal["fault", "repair"], looked_at: list[Tensor]) -> None:
    task = task_of()
    batch = task.preferences(rejected=True, general=True, batch=4)[0]
    assert batch.rejected is not None
    learner = IRepair(share=0.34, kl_weight=100.0, sensitivity=sensitivity).learner(task)
    Trainer(learner).step(batch, 1e-4, MOMENT)
    model = task.copied().requires_grad_(True)
    answer_loss(model, batch.rejected if sensitivity == "fault" else batch).backward()
    norms = norms_of([[w.grad for w in block.parameters()] for block in model.get_decoder().layers])
    torch.testing.assert_close(looked_at, [norms])
    assert learner.chosen == sorted(norms.topk(2).indices.tolist())


def test_a_slice_that_stays_is_found_over_many_faulty_answers(looked_at: list[Tensor]) -> None:
    task = task_of(9000)
    method = IRepair(dynamic=False, share=0.34)
    learner = method.learner(task, method.faults(task))
    used = task.preferences(rejected=True, general=False, batch=1, use="search")
    assert len(used) > 4
    model = task.copied().requires_grad_(True)
    torch.stack([answer_loss(model, batch.rejected) for batch in used if batch.rejected is not None]).sum().backward()
    gradients = [[weight.grad for weight in block.parameters()] for block in model.get_decoder().layers]
    torch.testing.assert_close(looked_at, [norms_of(gradients)])
    assert learner.chosen == most_sensitive(gradients, 2)


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_fixed_slice_stays_and_a_dynamic_one_follows_the_gradients(dynamic: bool) -> None:
    task = task_of()
    method = IRepair(dynamic=dynamic)
    learner = method.learner(task, method.faults(task))
    trainer = Trainer(learner)
    first, second = task.preferences(rejected=True, general=True, batch=2)[:2]
    trainer.step(first, 1e-4, MOMENT)
    (chosen,) = learner.chosen or ()
    with torch.no_grad():
        for master, weight in trainer.pairs:
            if any(weight is own for own in learner.blocks[chosen]):
                master.zero_()  # a block of zeros has no gradient
    trainer.step(second, 1e-4, MOMENT)
    assert (learner.chosen == [chosen]) == (not dynamic)


def test_the_most_sensitive_blocks_are_those_of_the_largest_norm() -> None:
    gradients = [[torch.full((2,), value), None] for value in (0.1, -5.0, 2.0, 0.0)]
    assert most_sensitive(gradients, 2) == [1, 2]


def test_the_divergence_is_from_the_reference_and_blind_to_padding() -> None:
    task = task_of()
    batch = task.preferences(rejected=False, general=True, batch=4)[0].general
    assert batch is not None
    other = toy_model(3)
    with torch.no_grad():
        assert float(kl_divergence(task.model, task.model, batch)) == pytest.approx(0, abs=1e-6)
        found = kl_divergence(other, task.model, batch)
        rows = [
            (task.model(input_ids=ids[None, : int(n)]).logits, other(input_ids=ids[None, : int(n)]).logits)
            for ids, n in zip(batch.input_ids, batch.attention_mask.sum(1), strict=True)
        ]
        terms = [(p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1).flatten() for p, q in rows]
        torch.testing.assert_close(found, torch.cat(terms).mean())


def test_the_divergence_holds_the_model_elsewhere() -> None:
    task = task_of(3000, most_tokens=3000)
    batches = task.preferences(rejected=False, general=True, batch=4)
    general = batches[0].general
    assert general is not None
    gone = []
    for weight in (0.0, 20.0):
        learner = IRepair(kl_weight=weight, share=1.0).learner(task)
        trainer = Trainer(learner)
        for batch in batches[:12]:  # small steps: large ones overshoot where the divergence weighs much
            trainer.step(batch, 1e-4, MOMENT)
        with torch.no_grad():
            gone.append(float(kl_divergence(learner.model, task.model, general)))
    assert gone[1] < 0.5 * gone[0]


def test_the_whole_model_variant_moves_every_block_and_nothing_else() -> None:
    task = task_of()
    learner = IRepair(share=1.0).learner(task)
    Trainer(learner).step(task.preferences(rejected=False, general=True, batch=2)[0], 1e-3, MOMENT)
    assert moved_blocks(task, learner.model) == list(range(6))


# --- all of them ------------------------------------------------------------------------------------------------------

METHODS = [DPO(rate=1e-4), IRepair(rate=1e-3), DomainAdaptiveTraining(rate=1e-3)]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.card.slug)
def test_one_seed_one_model_and_what_has_changed_is_shipped(method: Any) -> None:
    models = []
    for _ in range(2):
        task = task_of()
        base = copy.deepcopy(task.model.state_dict())
        tuned = make(method, task)
        assert all(torch.equal(base[name], now) for name, now in task.model.state_dict().items())
        whole = copy.deepcopy(task.model)
        whole.load_state_dict(tuned.shipped, strict=False)
        models.append(dict(tuned.model.named_parameters()))
        assert all(torch.equal(w, models[-1][name]) for name, w in whole.named_parameters())
        assert drawn(task)["training_tokens"] <= 900
    assert all(torch.equal(weight, models[1][name]) for name, weight in models[0].items())


def test_a_reference_is_weighed_with_the_step() -> None:
    task = task_of()
    weights = {
        name: step_memory(Trainer(learner), task.validation()[0])["weights"]
        for name, learner in (("dpo", PreferenceLearner(task, 0.1)), ("irepair", IRepair().learner(task)))
    }
    once = sum(weight.numel() * 4 for weight in task.model.parameters())
    assert all(found == pytest.approx(2 * once, rel=1e-3) for found in weights.values())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.card.slug)
def test_it_is_for_repairs_alone(method: Any) -> None:
    assert method.supports(task_of()) is None
    assert method.card.problems == ("repair",)


def test_answers_alone_are_learned() -> None:
    task = task_of()
    batch = task.preferences(rejected=False, general=False, batch=4)[0]
    taught = [task.tokenizer.decode(row[row != IGNORED]) for row in batch.labels]
    assert all(answer.startswith(" {") and WRONG not in answer for answer in taught)


def test_what_dpo_builds_was_taught_by_preferences() -> None:
    tuned = make(DPO(rate=1e-3), task_of())
    assert tuned.losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert tuned.losses[-1] < tuned.losses[0]


def log_probability(model: Any, part: Any) -> Tensor:
    """Of each example's answer, its tokens one by one: (examples,)."""
    found = []
    for ids, labels, length in zip(part.input_ids, part.labels, part.attention_mask.sum(1), strict=True):
        tokens = model(input_ids=ids[None, :length]).logits[0, :-1].log_softmax(-1)
        taught = [place for place in range(length - 1) if labels[place + 1] != IGNORED]
        found.append(sum(tokens[place, labels[place + 1]] for place in taught))
    return torch.stack(found)  # type: ignore[arg-type]


def test_what_dpo_builds_was_taught_by_the_loss_over_whole_answers() -> None:
    task = task_of()
    learner = make(DPO(rate=1e-3, beta=0.3), task).trainer.learner
    batch = task_of().preferences(rejected=True, general=False, batch=4)[0]
    with torch.no_grad():
        right, wrong = (
            log_probability(learner.model, part) - log_probability(task.model, part) for part in (batch, batch.rejected)
        )
        wanted = -torch.sigmoid(0.3 * (right - wrong)).log().mean()
        torch.testing.assert_close(learner.loss(batch), wanted, rtol=1e-4, atol=1e-5)
    assert abs(float(wanted) - math.log(2)) > 1e-3


def test_what_domain_adaptive_training_builds_has_moved_everywhere() -> None:
    task = task_of()
    tuned = make(DomainAdaptiveTraining(rate=1e-3), task)
    assert moved_blocks(task, tuned.model) == [-1, 0, 1, 2, 3, 4, 5]
    assert tuned.losses[-1] < tuned.losses[0]


@pytest.mark.parametrize(
    ("settings", "blocks"), [({}, range(1, 6)), ({"dynamic": False}, [1]), ({"share": 1.0}, [6])], ids=str
)
def test_what_irepair_builds_has_moved_in_its_slices_alone(settings: dict[str, Any], blocks: Sequence[int]) -> None:
    task = task_of()
    tuned = make(IRepair(rate=1e-3, **settings), task)
    moved = moved_blocks(task, tuned.model)
    assert -1 not in moved
    assert len(moved) in blocks
    assert tuned.losses[-1] < tuned.losses[0]


@pytest.mark.parametrize("settings", [{}, {"sensitivity": "repair"}, {"dynamic": False}], ids=str)
def test_what_irepair_builds_chose_its_slice_at_each_step_or_once(
    settings: dict[str, Any], looked_at: list[Tensor]
) -> None:
    """By the faulty answers, but where it is told otherwise."""
    task = task_of()
    tuned = make(IRepair(rate=1e-4, **settings), task)
    assert len(looked_at) == (len(tuned.losses) if settings.get("dynamic", True) else 1)
    if settings.get("dynamic", True):
        batch = task_of().preferences(rejected="sensitivity" not in settings, general=True, batch=4)[0]
        model = task.copied().requires_grad_(True)
        answer_loss(model, batch if settings else batch.rejected).backward()
        norms = norms_of([[w.grad for w in block.parameters()] for block in model.get_decoder().layers])
        torch.testing.assert_close(looked_at[0], norms)


def test_what_irepair_builds_was_held_by_the_divergence() -> None:
    gone = []
    for weight in (1e-6, 20.0):
        task = task_of(3000, most_tokens=3000)
        tuned = make(IRepair(rate=1e-4, kl_weight=weight, share=1.0, batch=4), task)
        general = task.preferences(rejected=False, general=True, batch=4, use="search")[0].general
        with torch.no_grad():
            gone.append(float(kl_divergence(tuned.model, task.model, general)))
    assert gone[1] < 0.5 * gone[0]
