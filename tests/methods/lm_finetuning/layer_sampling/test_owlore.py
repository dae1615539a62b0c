from typing import Any

import pytest
import torch

from methods._techniques.sampling import inclusion
from methods.lm_finetuning.layer_sampling._learners import ProjectedBlocks
from methods.lm_finetuning.layer_sampling._outliers import outlier_shares
from methods.lm_finetuning.layer_sampling.owlore import OwLore
from suites._training.learner import Moment
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from tests.methods.lm_finetuning import finetuning_toys
from tests.methods.lm_finetuning.finetuning_toys import make


def toy_task(**fields: Any) -> Any:
    """With enough tokens that an eighth of them is a batch."""
    return finetuning_toys.toy_task(1500, **fields)


def with_outliers(task: Any, blocks: dict[int, int]) -> Any:
    """So many weights of these blocks' queries made large."""
    for index, count in blocks.items():
        task.model.model.layers[index].self_attn.q_proj.weight.data.view(-1)[:count] = 50.0
    return task


def test_shares_count_the_weights_that_stand_out() -> None:
    task = with_outliers(toy_task(), {1: 40, 4: 120})
    shares = outlier_shares(task.copied(), task.validation(), 13.0)
    matrices = sum(w.numel() for n, w in task.model.model.layers[0].named_parameters() if w.ndim == 2)
    assert (shares * matrices).round().tolist() == pytest.approx([0, 40, 0, 0, 120, 0])


def test_a_large_input_makes_an_outlier_of_an_ordinary_weight() -> None:
    task = toy_task()
    task.model.model.layers[2].input_layernorm.weight.data[5] = 200.0  # input 5 of queries, keys and values
    shares = outlier_shares(task.copied(), task.validation(), 13.0)
    assert shares[2] > 0
    assert shares[2] == shares.max()


def test_padding_is_not_counted() -> None:
    task = with_outliers(toy_task(), {3: 30})
    batch = task.validation()[0]
    assert not batch.attention_mask.bool().all()
    alone = list(batch.split(1))
    assert torch.equal(outlier_shares(task.copied(), [batch], 3.0), outlier_shares(task.copied(), alone, 3.0))


def test_blocks_train_as_often_as_their_scores_say() -> None:
    task = with_outliers(toy_task(), {0: 20, 2: 60, 3: 40})
    chances = inclusion(OwLore().scores(task), 1)
    assert chances.tolist() == pytest.approx([1 / 6, 0, 1 / 2, 1 / 3, 0, 0], abs=1e-3)
    learner = ProjectedBlocks(task.copied(), chances, 1, 0, rank=4, gap=100)
    seen = torch.zeros(6)
    for step in range(1, 1501):
        learner.before_step(Moment(step, 1501))
        seen[learner.active] += 1 / 1500
    assert torch.allclose(seen.double(), chances, atol=0.05)
    assert seen[[1, 4, 5]].sum() == 0


def test_what_is_built_trains_the_blocks_with_outliers() -> None:
    task = with_outliers(toy_task(), {1: 40, 4: 40})
    found = make(OwLore(blocks=2, rate=1e-3), task)
    assert {name.split(".")[2] for name in found.shipped if ".layers." in name} == {"1", "4"}


def test_what_is_built_moves_its_matrices_by_the_rank() -> None:
    task = toy_task()
    found = make(OwLore(blocks=2, period=1000, rank=4, rate=1e-2), task)
    changes = {
        name: weight - task.model.get_parameter(name) for name, weight in found.shipped.items() if "_proj" in name
    }
    assert len(changes) == 2 * 7
    assert {int(torch.linalg.matrix_rank(change, rtol=1e-3)) for change in changes.values()} == {4}


def test_without_outliers_all_blocks_are_drawn_alike() -> None:
    task = toy_task()
    assert OwLore().scores(task).sum() == 0  # uniform weights and normed inputs: nothing is 13 times the mean
    assert inclusion(OwLore().scores(task), 3).tolist() == pytest.approx([0.5] * 6)
    assert OwLore(by_outliers=False).scores(with_outliers(toy_task(), {1: 50})).tolist() == [1.0] * 6


def test_drawn_matrices_change_by_the_rank_and_the_rest_by_plain_adamw() -> None:
    task = toy_task()
    chances = inclusion(torch.ones(6), 2)
    learner = ProjectedBlocks(task.copied(), chances, 50, 0, rank=4, gap=100)
    trainer = Trainer(learner)
    batches = task.training()
    for step in range(3):
        trainer.step(batches[step], 1e-2, Moment(step, 3))
    base = dict(task.model.named_parameters())
    for name, weight in learner.model.named_parameters():
        change = weight.detach() - base[name]
        asleep = ".layers." in name and int(name.split(".")[2]) not in learner.active
        if asleep:
            assert not change.any(), name
        elif "_proj" in name:
            assert torch.linalg.matrix_rank(change, rtol=1e-3) == 4, name
        else:
            assert change.any(), name
    shapes = {state["exp_avg"].shape for state in trainer.optimizer.state.values()}  # type: ignore[union-attr]
    assert (4, 192) in shapes or (192, 4) in shapes
    assert (258, 64) in shapes
    assert not any(set(shape) == {192, 64} for shape in shapes)


def test_what_supports_expects_is_what_a_step_holds() -> None:
    task = toy_task(result={"training_memory_ratio": 0.5})
    method = OwLore(rank=8, rate=1e-3)
    assert method.supports(task) is None
    found = make(method, task)
    assert task.memory_ratio(found.trainer) <= 0.5
    assert 0 < len(found.trainer.learner.active) <= 5  # type: ignore[attr-defined]
    measured = step_memory(found.trainer, task.validation()[0])
    assert measured["optimizer"] < 8 * sum(w.numel() for w in found.trainer.learner.trained())
    for result in ({"shipped_ratio": 0.5}, {"training_memory_ratio": 0.15}):
        tight = toy_task(result=result)
        assert method.supports(tight)


def test_the_seed_alone_decides() -> None:
    found = [make(OwLore(rate=1e-2), task) for task in (toy_task(), toy_task())]
    assert found[0].shipped.keys() == found[1].shipped.keys()
    assert all(torch.equal(found[0].shipped[name], found[1].shipped[name]) for name in found[0].shipped)
