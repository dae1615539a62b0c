from typing import Any

import pytest
import torch

from methods.lm_finetuning.layer_sampling._learners import SampledBlocks
from methods.lm_finetuning.layer_sampling._memory import held_bytes, sampled
from methods.lm_finetuning.layer_sampling.lisa import LISA
from suites._training.learner import Moment
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


class Watched(SampledBlocks):
    """Keeps which blocks have gradients when the weights are about to move."""

    def __init__(self, *fields: Any) -> None:
        self.with_gradient: list[list[int]] = []
        super().__init__(*fields)

    def before_update(self, moment: Moment) -> None:
        blocks = self.model.get_decoder().layers
        found = [i for i, block in enumerate(blocks) if any(w.grad is not None for w in block.parameters())]
        self.with_gradient.append(found)


@DTYPES
def test_frozen_blocks_have_no_gradient_no_copy_and_no_optimizer_state(dtype: torch.dtype) -> None:
    task = toy_task(dtype=dtype)
    learner = Watched(task.copied(), torch.full((6,), 2 / 6, dtype=torch.float64), 2, 0)
    trainer = Trainer(learner)
    draws = []
    for step, batch in enumerate(task.training()[:6]):
        trainer.step(batch, 1e-3, Moment(step, 6))
        draws.append(learner.active)
        blocks = enumerate(learner.model.model.layers)
        asleep = {id(w) for i, block in blocks if i not in learner.active for w in block.parameters()}
        assert learner.with_gradient[-1] == learner.active
        assert not {id(weight) for _, weight in trainer.pairs} & asleep
        assert trainer.optimizer is not None
        assert set(map(id, trainer.optimizer.state)) == {id(master) for master, _ in trainer.pairs}
    assert draws[0] == draws[1] != draws[2]


@DTYPES
def test_only_drawn_blocks_move_and_embedding_and_norm_always_do(dtype: torch.dtype) -> None:
    task = toy_task(dtype=dtype)
    found = make(LISA(blocks=1, period=1, rate=1e-2), task)
    base = dict(task.model.named_parameters())
    moved = {name for name, weight in found.model.named_parameters() if not torch.equal(weight, base[name])}
    assert moved <= set(found.shipped)
    assert {"model.embed_tokens.weight", "model.norm.weight"} <= set(found.shipped)
    assert "model.embed_tokens.weight" in moved
    blocks = {name.split(".")[2] for name in moved if ".layers." in name}
    assert 1 < len(blocks) <= len(found.losses)


def test_what_is_shipped_makes_the_model_from_the_base() -> None:
    task = toy_task()
    found = make(LISA(rate=1e-2), task)
    rebuilt = task.copied()
    rebuilt.load_state_dict(found.shipped, strict=False)
    ids = task.validation()[0].input_ids
    assert torch.equal(rebuilt(ids).logits, found.model(ids).logits)
    assert len(found.shipped) < len(dict(rebuilt.named_parameters()))


def test_fixed_blocks_stay() -> None:
    task = toy_task()
    found = make(LISA(period=None, rate=1e-2), task)
    assert len({name.split(".")[2] for name in found.shipped if ".layers." in name}) == 2


def test_a_sleeping_block_loses_its_moments_and_wakes_without() -> None:
    task = toy_task()
    learner = SampledBlocks(task.copied(), torch.full((6,), 1 / 6, dtype=torch.float64), 1, 3)
    trainer = Trainer(learner)
    batches = task.training()
    embedding = learner.model.get_input_embeddings().weight
    before: list[int] = []
    for step in range(9):
        trainer.step(batches[step % len(batches)], 1e-3, Moment(step, 9))
        assert trainer.optimizer is not None
        by_weight = {id(weight): trainer.optimizer.state[master]["step"].item() for master, weight in trainer.pairs}
        assert by_weight[id(embedding)] == step + 1
        in_block = [by_weight[id(w)] for w in learner.model.model.layers[learner.active[0]].parameters()]
        if learner.active != before:
            assert set(in_block) == {1}
        before = learner.active


def test_the_seed_alone_decides() -> None:
    models = [make(LISA(rate=1e-2), task).model for task in (toy_task(), toy_task(), toy_task(seed=1))]
    states = [torch.cat([w.flatten() for w in model.parameters()]) for model in models]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@DTYPES
def test_what_is_held_is_less_than_what_a_step_takes(dtype: torch.dtype) -> None:
    task = toy_task(dtype=dtype)
    trainer = Trainer(SampledBlocks(task.copied(), torch.full((6,), 2 / 6, dtype=torch.float64), 5, 0), rows=1)
    held = held_bytes(task.model, sampled(task.model, 2))
    measured = step_memory(trainer, task.validation()[0])
    assert held <= measured["total"] * 1.001
    assert held >= measured["weights"] + measured["optimizer"]


def test_points_that_are_out_of_reach_are_told() -> None:
    for result in ({"shipped_ratio": 0.5}, {"training_memory_ratio": 0.15}):
        task = toy_task(result=result)
        assert LISA().supports(task)
    task = toy_task(result={"training_memory_ratio": 0.5})
    assert LISA().supports(task) is None
    found = make(LISA(rate=1e-3), task)
    assert task.memory_ratio(found.trainer) <= 0.5
    assert LISA.card.problems == ("adapt",)
