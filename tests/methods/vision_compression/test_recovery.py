"""What every method does that mends what it has compressed."""

import copy

import pytest
import torch
from torch import nn

from methods.vision_compression import _recovery
from methods.vision_compression._recovery import SETTLED, SLOWER, recover, settle
from suites.vision_compression.task import CALIBRATION
from tests.methods.vision_compression.conftest import Make


def test_statistics_are_those_of_the_images_and_nothing_else_changes() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.9))
    inputs = torch.randn(32, 3, 5, 5)
    before = copy.deepcopy(model)
    settle(model.train(), inputs.split(16))
    found = before[0](inputs).transpose(0, 1).flatten(1)
    assert torch.allclose(model[1].running_mean, found.mean(1), atol=1e-5)
    assert torch.allclose(model[1].running_var, found.var(1), rtol=0.05)
    assert not any(module.training for module in model.modules())
    assert model[1].momentum == before[1].momentum
    for one, other in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("point", "labelled"), [("size-50", True), ("agree-size-50", False)])
def test_a_net_without_labels_is_settled_before_it_learns(
    compression: Make, point: str, labelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = compression(point)
    model = copy.deepcopy(task.model)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.fill_(100.0)  # of a net that is no more
    before = task.left(CALIBRATION)
    started = []
    monkeypatch.setattr(_recovery, "train", lambda trainer, steps, rate: started.append(rate))
    recover(task, model, 1e-3)
    assert before is not None
    drawn = before - (task.left(CALIBRATION) or 0)
    assert drawn == (0 if labelled else SETTLED)
    means = [module.running_mean for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(bool((mean == 100).all()) == labelled for mean in means)
    assert started == [1e-3 if labelled else 1e-3 * SLOWER]
