"""LoRA recovery: the compression stays as it is, and the loss falls."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from methods.lm_compression._recovery import next_token_loss
from methods.lm_compression.recovery import lora_recovery
from methods.lm_compression.recovery.lora_recovery import COMPRESSIONS, LoRARecovery
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import text_of

ToyTask = Callable[..., CausalLMTask]
FAST = sorted(set(COMPRESSIONS) - {"dense", "finercut"})  # finercut scores every sub-layer once a step


@pytest.mark.parametrize("after", FAST)
def test_what_is_recovered_has_the_form_of_the_compression(after: str, toy_task: ToyTask) -> None:
    task = toy_task("size-75")
    compressed = COMPRESSIONS[after].build(task)
    recovered = LoRARecovery(after=after).build(task)
    shapes = [{name: tensor.shape for name, tensor in m.state_dict().items()} for m in (compressed, recovered)]
    assert shapes[0] == shapes[1]
    assert task.limits.met_by(task.weigh(recovered))
    assert not all(torch.equal(recovered.state_dict()[key], tensor) for key, tensor in compressed.state_dict().items())


@pytest.mark.parametrize(
    "after", ["attention-drop-block", "layer-truncation", "random-block-drop", "svd", "unified-layer-skipping"]
)
def test_what_is_trained_is_what_the_compression_gives(
    after: str, toy_task: ToyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the weight: as many blocks are left by several of them."""
    given: list[Any] = []
    monkeypatch.setattr(lora_recovery, "lora_recovery", lambda model, task, **_: given.append(model) or model)
    LoRARecovery(after=after).build(toy_task("size-75"))
    compressed = COMPRESSIONS[after].build(toy_task("size-75")).state_dict()
    (found,) = [model.state_dict() for model in given]
    assert found.keys() == compressed.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in compressed.items())


def test_the_dense_model_learns_on_a_copy(toy_task: ToyTask) -> None:
    task = toy_task("unlimited")
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    recovered = LoRARecovery(learning_rate=1e-2).build(task)
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in task.model.parameters())
    text = text_of(task, "training")[:2048].view(32, 64)
    with torch.no_grad():
        assert next_token_loss(recovered, text) < next_token_loss(task.model, text) - 0.5


def test_one_seed_one_model(toy_task: ToyTask) -> None:
    models = [LoRARecovery(after="svd").build(toy_task("size-75", seed)) for seed in (1, 1, 2)]
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_limits_are_those_of_the_compression(toy_task: ToyTask) -> None:
    for point in ("unlimited", "size-25"):
        task = toy_task(point)
        for after, method in COMPRESSIONS.items():
            assert LoRARecovery(after=after).supports(task) == method.supports(task)
