"""The reversible U-Net: its blocks run backwards, its gradients are those of plain autograd, and it keeps little."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.contract import Built
from methods.volumetric_segmentation._network import Coupling, Stage, UNet
from methods.volumetric_segmentation._training import WIDTH, widest
from methods.volumetric_segmentation.baseline.unet import PlainUNet
from methods.volumetric_segmentation.baseline.unet_narrow import NarrowUNet
from methods.volumetric_segmentation.reversible import _reversed
from methods.volumetric_segmentation.reversible._reversed import ReversibleStage, RunReversed, undone
from methods.volumetric_segmentation.reversible.reversible_unet3d import ReversibleUNet3D
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner, segmentation_loss
from tests.methods.volumetric_segmentation.conftest import Make

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def lively(module: nn.Module) -> nn.Module:
    """With norms whose gains and shifts are no longer ones and zeros, so that nothing cancels."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return module


def twins(make: Callable[[type[Stage]], nn.Module], dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module]:
    """A plain one and a reversible one with the same weights."""
    torch.manual_seed(0)
    plain, reversible = lively(make(Stage)).to(dtype), make(ReversibleStage).to(dtype)
    reversible.load_state_dict(plain.state_dict())
    return plain, reversible


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("channels", [8, 5, 2])
def test_a_block_runs_backwards(dtype: torch.dtype, channels: int) -> None:
    torch.manual_seed(0)
    block = lively(Coupling(channels)).to(dtype)
    given = torch.randn(2, channels, 4, 6, 4, dtype=dtype).chunk(2, 1)
    gave = block(*given)
    for found, wanted, changed in zip(block.inverse(*gave), given, gave, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=10 * TOLERANCES[dtype])
        assert not torch.allclose(changed, wanted, atol=0.1)  # it did something


@pytest.mark.parametrize("channels", [8, 5])
def test_what_a_block_was_given_and_its_gradients_come_from_what_it_gave(channels: int) -> None:
    torch.manual_seed(0)
    block = lively(Coupling(channels)).double()
    x1, x2 = (each.requires_grad_() for each in torch.randn(1, channels, 4, 4, 4).double().chunk(2, 1))
    gave = block(x1, x2)
    upstream = [torch.randn_like(each) for each in gave]
    wanted = torch.autograd.grad(gave, [x1, x2, *block.parameters()], upstream)
    found1, found2, d1, d2, of_weights = undone(block, *(each.detach() for each in gave), *upstream)
    for mine, theirs in zip((found1, found2, d1, d2, *of_weights), (x1, x2, *wanted), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("channels", "blocks"), [(8, 1), (8, 4), (5, 2)])
def test_gradients_of_a_stage_are_those_of_autograd(channels: int, blocks: int) -> None:
    plain, reversible = twins(lambda stage: stage(channels, blocks))
    x = torch.randn(2, channels, 4, 4, 4, dtype=torch.float64)
    found = []
    for stage in (plain, reversible):
        given = x.clone().requires_grad_()
        gave = stage(given)
        found.append([gave, *torch.autograd.grad(gave.pow(3).sum(), [given, *stage.parameters()])])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-9)
    assert torch.equal(found[0][0], found[1][0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_the_network_are_those_of_autograd(dtype: torch.dtype, volume: VolumeBatch) -> None:
    plain, reversible = twins(lambda stage: UNet(4, 2, stage), dtype)
    losses = []
    for net in (plain, reversible):
        losses.append(segmentation_loss(net(volume.inputs.to(dtype)), volume.labels))
        losses[-1].backward()
    assert torch.equal(*losses)
    tolerance = 1e-3 if dtype is torch.float32 else 1e-9
    for (name, mine), theirs in zip(plain.named_parameters(), reversible.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None, name
        torch.testing.assert_close(theirs.grad, mine.grad, rtol=tolerance, atol=tolerance, msg=name)


def test_a_gradient_is_not_asked_of_a_gradient() -> None:
    stage = ReversibleStage(4, 1)
    x = torch.randn(1, 4, 4, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(stage(x).pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def kept(stage: nn.Module, channels: int) -> int:
    """Bytes that are saved for the backward pass, weights aside."""
    weights = {each.untyped_storage().data_ptr() for each in stage.parameters()}
    found: dict[int, int] = {}

    def save(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        gave = stage(torch.randn(1, channels, 8, 8, 8, requires_grad=True))
    assert gave.grad_fn is not None
    return sum(found.values())


def test_what_a_stage_keeps_does_not_grow_with_its_blocks() -> None:
    outcome = 8 * 8**3 * 4
    assert kept(ReversibleStage(8, 1), 8) == kept(ReversibleStage(8, 6), 8) == outcome
    assert kept(Stage(8, 6), 8) > 5 * kept(Stage(8, 1), 8) > 50 * outcome


def test_the_peak_of_a_step_hardly_grows_with_its_blocks(volume: VolumeBatch) -> None:
    def peak(blocks: int, stage: type[Stage]) -> float:
        return step_memory(Trainer(VolumeLearner(UNet(8, blocks, stage))), volume)["step"]

    def weights(blocks: int) -> float:
        return sum(4.0 * each.numel() for each in UNet(8, blocks).parameters())

    # A gradient for each new weight, and no activation.
    assert peak(6, ReversibleStage) - peak(2, ReversibleStage) <= 1.1 * (weights(6) - weights(2))
    assert peak(6, Stage) > 2.5 * peak(2, Stage)


def flops(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_a_step_is_one_more_forward_pass_of_the_stages() -> None:
    x = torch.randn(1, 8, 8, 8, 8, requires_grad=True)

    def step(stage: nn.Module) -> int:
        return flops(lambda: stage(x).pow(2).sum().backward())

    once = flops(lambda: Stage(8, 3)(x.detach()))
    assert once > 0
    assert step(ReversibleStage(8, 3)) == step(Stage(8, 3)) + once


def test_there_is_nothing_that_a_second_run_of_a_block_would_move() -> None:
    assert not list(UNet(8, 2, ReversibleStage).buffers())
    assert not any(isinstance(each, nn.Dropout) for each in UNet(8, 2).modules())


def test_it_learns_what_the_plain_one_learns(segmentation: Make) -> None:
    plain, reversible = (
        method.build(segmentation("memory-100")).candidate for method in (PlainUNet(), ReversibleUNet3D())
    )
    torch.manual_seed(0)
    for (name, mine), theirs in zip(plain.named_parameters(), reversible.parameters(), strict=True):
        torch.testing.assert_close(theirs, mine, rtol=0, atol=2e-2, msg=name)
    batch = segmentation().validation()[0]
    torch.testing.assert_close(reversible(batch.inputs), plain(batch.inputs), rtol=0, atol=0.2)


def test_what_is_built_is_reversible_and_keeps_its_width_where_the_plain_one_can_not(
    segmentation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone_blocks = []
    monkeypatch.setattr(_reversed, "undone", lambda block, *given: undone_blocks.append(block) or undone(block, *given))
    task = segmentation("memory-25")
    assert ReversibleUNet3D().supports(task) is None
    built = ReversibleUNet3D().build(task)
    stages = [each for each in built.candidate.modules() if isinstance(each, Stage)]
    assert len(stages) == 5
    assert all(isinstance(each, ReversibleStage) for each in stages)
    blocks = {id(block) for stage in stages for block in stage.blocks}
    assert blocks <= {id(block) for block in undone_blocks}
    assert built.figures["channels"] == WIDTH
    assert task.weigh(built)["training_memory_ratio"] <= 0.25
    assert widest(task, NarrowUNet()._training, WIDTH) < WIDTH / 2
    whole = PlainUNet()._training()
    volumes = [task.weigh(each)["largest_volume"] for each in (built, Built(whole.learner.model, rig=whole))]
    assert volumes[0] > 2 * volumes[1]


def test_nothing_is_kept_where_no_gradient_is_asked() -> None:
    stage = ReversibleStage(4, 2)
    with torch.no_grad():
        assert stage(torch.randn(1, 4, 4, 4, 4)).grad_fn is None
    assert RunReversed.apply(stage.blocks, torch.randn(1, 4, 4, 4, 4), *stage.parameters()).requires_grad
