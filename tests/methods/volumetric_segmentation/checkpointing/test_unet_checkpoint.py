"""Gradient checkpointing: the same gradients, less memory, and that it is used."""

import pytest
import torch

from methods.volumetric_segmentation._network import Stage, UNet
from methods.volumetric_segmentation._training import WIDTH
from methods.volumetric_segmentation.checkpointing import unet_checkpoint
from methods.volumetric_segmentation.checkpointing.unet_checkpoint import CheckpointedStage, CheckpointedUNet
from methods.volumetric_segmentation.reversible._reversed import ReversibleStage
from suites._training.memory import step_memory
from suites._training.trainer import Trainer
from suites.volumetric_segmentation.learning import VolumeBatch, VolumeLearner, segmentation_loss
from tests.methods.volumetric_segmentation.conftest import Make


def test_gradients_are_those_of_the_plain_one(volume: VolumeBatch) -> None:
    torch.manual_seed(0)
    plain = UNet(4, 2).double()
    checkpointed = UNet(4, 2, CheckpointedStage).double()
    checkpointed.load_state_dict(plain.state_dict())
    for net in (plain, checkpointed):
        segmentation_loss(net(volume.inputs.double()), volume.labels).backward()
    for mine, theirs in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-10, atol=1e-12)


def test_a_step_takes_less_than_the_plain_ones_and_more_than_the_reversible_ones() -> None:
    images = torch.zeros(1, 4, 16, 16, 16, dtype=torch.uint8)

    def peak(stage: type[Stage], blocks: int) -> float:
        trainer = Trainer(VolumeLearner(UNet(8, blocks, stage)))
        return step_memory(trainer, VolumeBatch(images, images[:, 0]))["step"]

    assert peak(CheckpointedStage, 4) < 0.4 * peak(Stage, 4)
    assert peak(ReversibleStage, 4) < peak(CheckpointedStage, 4)


def test_what_is_built_is_checkpointed_branch_by_branch(segmentation: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = unet_checkpoint.checkpoint
    monkeypatch.setattr(
        unet_checkpoint,
        "checkpoint",
        lambda branch, *given, **how: asked.append(branch) or whole(branch, *given, **how),
    )
    task = segmentation("memory-25", passes=2)
    built = CheckpointedUNet().build(task)
    branches = {id(each) for stage in built.candidate.modules() if isinstance(stage, Stage) for block in stage.blocks
                for each in (block.f, block.g)}  # fmt: skip
    assert branches <= {id(each) for each in asked}
    assert built.figures["channels"] == WIDTH
    assert task.weigh(built)["training_memory_ratio"] <= 0.25


def test_where_the_plain_one_fits_there_is_nothing_to_save(segmentation: Make) -> None:
    assert "no memory to save" in str(CheckpointedUNet().supports(segmentation("memory-100")))
    assert CheckpointedUNet().supports(segmentation("memory-25")) is None
