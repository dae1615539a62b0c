"""KaSA: what is left of the weight, and what is learned in its place."""

from typing import Any

import pytest
import torch

from methods.lm_finetuning.adaptation.kasa import KaSA, NearSingular, leading
from suites._language.adapters import decoder_linears
from tests.methods.lm_finetuning.finetuning_toys import make, toy_task


def begun(**fields: Any) -> tuple[Any, Any, list[str]]:
    task = toy_task()
    targets = decoder_linears(task.model)
    return task, KaSA(**fields).begin(task.copied(), targets, task.seed, 4), targets


def test_nothing_truncated_and_no_update_is_the_base() -> None:
    task, model, _ = begun(truncate="none")
    batch = task.validation()[0]
    with torch.no_grad():
        logits = [m.eval()(input_ids=batch.input_ids).logits for m in (model, task.model)]
    assert torch.equal(*logits)


@pytest.mark.parametrize("truncate", ["inputs", "every-layer"])
def test_exactly_the_smallest_components_are_left_out(truncate: str) -> None:
    task, model, targets = begun(truncate=truncate)
    spared = 0
    for name in targets:
        weight = task.model.get_submodule(name).weight.detach()
        left = model.base_model.model.get_submodule(name).get_base_layer().weight.detach()
        if truncate == "inputs" and weight.shape[0] <= weight.shape[1] - 4:
            assert torch.equal(left, weight)
            spared += 1
            continue
        whole, kept = torch.linalg.svdvals(weight), torch.linalg.svdvals(left)
        assert torch.allclose(kept[:-4], whole[:-4], rtol=1e-4)
        assert float(kept[-4:].max()) < 1e-4 * float(whole[0])
    assert 0 < spared < len(targets) or truncate == "every-layer"


def test_few_outputs_less_than_inputs_lose_the_difference_alone() -> None:
    assert KaSA().kept(14, 16, 4) == 12
    weight = torch.randn(14, 16, generator=torch.Generator().manual_seed(0))
    left = torch.linalg.svdvals(leading(weight, 12))
    assert torch.allclose(left[:12], torch.linalg.svdvals(weight)[:12], rtol=1e-4)
    assert float(left[12:].max()) < 1e-4


def test_the_penalty_is_the_paper_s_over_the_layers() -> None:
    _, model, targets = begun(beta=0.3, gamma=0.7)
    total = 0.0
    for name in targets:
        layer = model.base_model.model.get_submodule(name)
        s, a, b = layer.lora_diag["default"], layer.lora_A["default"].weight, layer.lora_B["default"].weight
        distances = sum(torch.linalg.norm(gram - torch.eye(4)) for gram in (a @ a.T, b.T @ b))
        total += 0.3 * float((s**2).sum()) + 0.7 * float(distances)
    assert float(NearSingular(model).penalty()) == pytest.approx(total / len(targets), rel=1e-5)


def test_singular_values_train_and_are_merged_and_shipped() -> None:
    task = toy_task(tokens=1000)
    tuned = make(KaSA(rank=4, truncate="none", rate=3e-3), task)
    _, start, _ = begun(truncate="none")
    name = decoder_linears(task.model)[0]
    key = f"base_model.model.{name}.lora_diag.default"
    s = tuned.shipped[key]
    assert not torch.equal(s, dict(start.named_parameters())[key])
    a, b = (tuned.shipped[f"base_model.model.{name}.lora_{part}.default.weight"] for part in "AB")
    added = tuned.model.get_submodule(name).weight - task.model.get_submodule(name).weight
    assert torch.allclose(added, 2.0 * (b * s) @ a, atol=1e-5)


@pytest.mark.parametrize("truncate", ["inputs", "every-layer"])
def test_what_is_built_learns_beside_what_truncation_leaves(truncate: Any) -> None:
    task = toy_task(tokens=300)
    method = KaSA(rank=4, truncate=truncate, rate=3e-3)
    tuned = make(method, task)
    for name in decoder_linears(task.model):
        a, b = (tuned.shipped[f"base_model.model.{name}.lora_{part}.default.weight"] for part in "AB")
        s = tuned.shipped[f"base_model.model.{name}.lora_diag.default"]
        weight = task.model.get_submodule(name).weight
        left = leading(weight, method.kept(*weight.shape, 4))
        assert torch.allclose(tuned.model.get_submodule(name).weight, left + 2.0 * (b * s) @ a, atol=1e-4)


def test_what_is_built_is_held_by_the_penalty() -> None:
    """On s, which its own square draws to zero."""
    sizes = []
    for beta in (0.0, 1000.0):
        shipped = make(KaSA(rank=4, beta=beta, gamma=0.0, rate=3e-3), toy_task(tokens=600)).shipped
        sizes.append(sum(float(s.abs().sum()) for name, s in shipped.items() if "lora_diag" in name))
    assert sizes[1] < 0.99 * sizes[0]
