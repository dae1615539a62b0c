"""Thin layers, PELA's losses, and that what is built comes of them."""

import pytest
import torch
from torch import nn

from bench.contract import Method
from methods.vision_compression.low_rank import pela
from methods.vision_compression.low_rank._ranks import Factored, factored, rank_at, truncated
from methods.vision_compression.low_rank.distillation import Distillation
from methods.vision_compression.low_rank.pela import PELA, NearLearner, features, in_blocks, perturbation
from methods.vision_compression.low_rank.svd import SVD, inner
from tests.methods.vision_compression.conftest import Make, images, same


@pytest.mark.parametrize("layer", [nn.Linear(20, 12), nn.Conv2d(5, 12, 3, 2, 1, bias=False)])
def test_the_squared_error_is_the_sum_of_the_dropped_squared_singular_values(layer: nn.Linear | nn.Conv2d) -> None:
    torch.manual_seed(0)
    thin = truncated(layer, 4)
    values = torch.linalg.svdvals(layer.weight.flatten(1))
    apart = float((thin.product() - layer.weight.flatten(1)).detach().square().sum())
    assert apart == pytest.approx(float(values[4:].detach().square().sum()), rel=1e-4)
    assert torch.allclose(thin.up.weight.norm(), thin.down.weight.norm(), rtol=1e-4)  # each has the roots


@pytest.mark.parametrize("base", ["cnn", "vit"])
def test_at_full_rank_it_is_the_dense_model(compression: Make, base: str) -> None:
    task = compression(base=base)
    model = task.model
    whole = {name: truncated(model.get_submodule(name), 10_000) for name in inner(model)}
    for name, each in whole.items():
        assert torch.allclose(each.product(), model.get_submodule(name).weight.flatten(1), atol=1e-5)
    thin = factored(model, [], 1.0)
    for name, each in whole.items():
        thin.set_submodule(name, each)
    assert same(thin, model, images(task))


def test_the_rank_is_the_papers() -> None:
    weight = torch.zeros(192, 64)
    for c in (1.5, 2.0, 3.0):
        assert rank_at(weight, 1 / c) == int(64 * 192 // (c * (64 + 192)))
    assert rank_at(weight, 0.0) == 1


def test_pela_takes_the_blocks_alone_with_one_matrix_for_queries_keys_and_values(compression: Make) -> None:
    names = in_blocks(compression(base="vit").model)
    assert len(names) == 3 * 4
    assert "blocks.0.attn.qkv" in names
    assert not any("head" in name or "patch" in name for name in names)


def test_the_perturbation_is_the_largest_element_and_gives_the_teacher_no_gradient(compression: Make) -> None:
    teacher = compression(base="vit").model
    model = factored(teacher, ["blocks.1.mlp.fc1"], 0.5)
    thin = model.get_submodule("blocks.1.mlp.fc1")
    largest = float((thin.product() - teacher.blocks[1].mlp.fc1.weight).abs().max())
    assert float(perturbation(model, teacher, 0.01)) == pytest.approx((largest - 0.01) ** 2, rel=1e-4)
    assert float(perturbation(model, teacher, largest)) == pytest.approx(0, abs=1e-9)
    perturbation(model, teacher, 0.01).backward()
    assert thin.up.weight.grad.abs().sum() > 0
    assert all(each.grad is None for each in teacher.parameters())


def test_the_loss_is_labels_features_and_logits(compression: Make) -> None:
    task = compression(base="vit")
    teacher, batch = task.model, task.validation()[0]
    labels = nn.functional.cross_entropy(teacher(batch.inputs), batch.labels)
    assert torch.allclose(NearLearner(teacher, teacher, 1.0, 0.0, 0.0).loss(batch), labels, atol=1e-6)
    model = factored(teacher, ["blocks.2.mlp.fc2"], 0.1)  # the last block alone is another
    with torch.no_grad():
        logits, told = model(batch.inputs), teacher(batch.inputs)
        with features(model) as given, features(teacher) as wanted:
            model(batch.inputs), teacher(batch.inputs)
    apart = [nn.functional.mse_loss(one, other) for one, other in zip(given, wanted, strict=True)]
    assert float(sum(apart[:2])) == pytest.approx(0, abs=1e-9)
    own = nn.functional.cross_entropy(logits, batch.labels)
    expected = own + apart[2] / 3 + 0.5 * nn.functional.mse_loss(logits, told)
    learner = NearLearner(model, teacher, 0.5, 0.0, 0.0)
    assert torch.allclose(learner.loss(batch), expected, atol=1e-5)
    learner.loss(batch).backward()
    assert all(each.grad is None for each in teacher.parameters())
    assert not teacher.blocks[0]._forward_hooks


@pytest.mark.parametrize("point", ["size-50", "compute-50"])
def test_pela_meets_the_limit_and_hangs_on_its_terms(
    compression: Make, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = compression(point, "vit")
    built = PELA().build(task)
    figures = task.weigh(built)
    (limit,) = task.limits.result
    assert 0.47 < figures[limit] <= 0.5
    parts = {name: each.product() for name, each in built.named_modules() if isinstance(each, Factored)}
    assert parts.keys() == set(in_blocks(task.model))
    asked = []
    real = pela.perturbation
    monkeypatch.setattr(pela, "perturbation", lambda *given: asked.append(given[2]) or real(*given))
    other = PELA(target=0.1, logits=0.0).build(compression(point, "vit"))
    assert asked == [0.1]
    assert not same(other, built, images(task))


def test_pela_is_for_transformers(compression: Make) -> None:
    assert "has none" in str(PELA().supports(compression()))
    assert "rank 1" in str(PELA().supports(compression(base="vit", stored_ratio=0.05)))


@pytest.mark.parametrize(
    ("method", "base", "point"),
    [
        (SVD(), "cnn", "compute-25"),
        (SVD(tuned=True), "cnn", "agree-size-25"),
        (SVD(), "vit", "size-50"),
        (Distillation(), "cnn", "size-10"),
        (Distillation(), "vit", "compute-50"),
    ],
)
def test_controls_spend_what_they_may(compression: Make, method: Method, base: str, point: str) -> None:
    task = compression(point, base)
    assert method.supports(task) is None
    built = method.build(task)
    assert task.limits.met_by(task.weigh(built))
    assert task.limits.excess(task.weigh(built)) > -0.4
    assert built(images(task)).shape == (6, 10)


def test_training_moves_the_thin_layers(compression: Make) -> None:
    task = compression("compute-50", passes=64)
    plain, tuned = SVD().build(task), SVD(tuned=True).build(task)
    assert not same(plain, tuned, images(task))
