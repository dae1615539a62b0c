"""The table of token frequencies."""

import numpy as np
import pytest
import torch

from bench.contract import Limits
from methods.lm_compression.baseline.unigram import Unigram, shares
from suites._language.toy import toy_gpt2, toy_model
from tests.methods.lm_compression.compression_toys import task_around

TEXT = [1, 2, 2, 3, 3, 3, 3, 250] * 4


def test_what_was_never_seen_shares_what_first_sights_keep_back() -> None:
    found = shares(np.array([0, 0, 0, 1]), 4)
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx([4 / 6 * 3 / 4, 4 / 6 * 1 / 4, 1 / 6, 1 / 6])
    assert shares(np.array([0, 0, 1]), 2) == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("base", [toy_model, toy_gpt2])
def test_it_gives_the_same_shares_of_the_training_text_whatever_was_read(base) -> None:  # type: ignore[no-untyped-def]
    task = task_around(base(), training=TEXT)
    model = Unigram(length=8).build(task)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[5, 6, 7, 8], [9, 9, 9, 250]])).logits
    wanted = torch.from_numpy(shares(np.array(TEXT), 258)).float()
    assert torch.allclose(logits.softmax(-1), wanted.expand(2, 4, -1), atol=1e-6)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(model.config, name) == getattr(task.model.config, name)
    assert model.config.max_position_embeddings == getattr(task.model.config, "max_position_embeddings", 2048)


def test_it_counts_as_much_text_as_it_may() -> None:
    few = task_around(toy_model(), training=TEXT, limits=Limits(supplies={"training_tokens": 16}))
    assert Unigram(length=8).supports(few) is None
    Unigram(length=8).build(few)
    assert few.left("training_tokens") == 0
    none = task_around(toy_model(), training=TEXT, limits=Limits(supplies={"training_tokens": 0}))
    assert "counts training text" in str(Unigram(length=8).supports(none))
