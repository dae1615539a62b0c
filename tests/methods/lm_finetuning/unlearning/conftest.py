"""What is trained on while examples are forgotten."""

import pytest

from methods.lm_finetuning.unlearning import _voters


@pytest.fixture
def trained_tokens(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each batch that any service trains on."""
    found: list[int] = []
    train = _voters.train

    def spy(trainer, batches, rate):  # type: ignore[no-untyped-def]
        found.extend(batch.tokens for batch in batches)
        return train(trainer, batches, rate)

    monkeypatch.setattr(_voters, "train", spy)
    return found
