"""The dense model and the one that looks at nothing."""

import torch

from methods.vision_compression.baseline.dense import Dense
from methods.vision_compression.baseline.mean_answer import MeanAnswer
from tests.methods.vision_compression.conftest import Make, images


def test_the_dense_model_is_over_every_limit(compression: Make) -> None:
    assert "over every limit" in str(Dense().supports(compression()))
    task = compression()
    assert Dense().build(task) is task.model


def test_the_mean_answer_is_the_same_for_all_and_meets_every_limit(compression: Make) -> None:
    task = compression("size-10")
    built = MeanAnswer().build(task)
    logits = built(images(task))
    assert torch.equal(logits, logits[:1].expand_as(logits))
    inputs = task.calibration(512)
    with torch.no_grad():
        shares = task.model(inputs).softmax(-1).mean(0)
    assert torch.allclose(logits[0].softmax(-1), shares, atol=1e-5)
    assert task.limits.met_by(task.weigh(built))
