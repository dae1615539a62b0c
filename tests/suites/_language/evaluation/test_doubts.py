"""Answers that are no probabilities of what stands before alone are found out; honest ones never are."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from suites._language.evaluation.doubts import ASKED, Kept, doubt
from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.served import ServedLM

TEXT = "Vopokapo is a large festival near the bridge. A festival crosses the dark stone of Konobo in winter. "
PAIRS = [(TEXT[: 10 + 7 * index], TEXT[10 + 7 * index :][: 3 + index % 5]) for index in range(12)]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Changed(nn.Module):
    """A model whose logits are changed."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.wrapped, self.config = model, model.config

    def forward(self, input_ids: torch.Tensor, **call: Any) -> Any:
        output = self.wrapped(input_ids=input_ids, **call)
        output.logits = self.changed(output.logits, input_ids)
        return output

    def changed(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return logits


class Peeking(Changed):
    """Raises what it says of the next token where the next token stands in its input."""

    def changed(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        raised = nn.functional.one_hot(ids[:, 1:], logits.shape[-1]) * 0.5
        return torch.cat([logits[:, :-1] + raised.to(logits), logits[:, -1:]], 1)


class Broken(Changed):
    """Its logits are not finite."""

    def changed(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return logits * torch.inf


class Sure(ServedLM):
    """Says of whatever it is asked for that it is more likely than it is, by so many nats."""

    nats = 0.05

    def score(self, pairs: Sequence[Any], greedy: bool = True) -> list[tuple[Any, bool]]:
        return [(np.minimum(said + self.nats, 0), hit) for said, hit in super().score(pairs, greedy)]


class Certain(Sure):
    nats = np.inf


class Narrow(ServedLM):
    """Reads few tokens at once."""

    def window(self) -> int:
        return 16


def found(
    toy: tuple[Any, Any], candidate: Any = None, serve: Any = ServedLM, dtype: str = "float32", seed: int = 0
) -> Any:
    """What is doubted of answers to PAIRS and to a longer text."""
    model, tokenizer = toy
    served = serve(None, candidate or model, tokenizer, "cpu")
    kept = Kept(np.random.default_rng(seed))
    lm = EffbenchLM(served, tokenizer, kept=kept)
    encoded = [(("", ""), *lm._encode_pair(*pair)) for pair in [*PAIRS, (TEXT, TEXT)]]
    lm._loglikelihood_tokens([each for each in encoded if len(each[2]) <= served.window()], disable_tqdm=True)
    return doubt(kept, served, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(5))
def test_an_honest_model_is_believed(toy: tuple[Any, Any], dtype: str, seed: int) -> None:
    model = type(toy[0])(toy[0].config).eval()
    model.load_state_dict(toy[0].state_dict())
    assert found(toy, model.to(DTYPES[dtype]), dtype=dtype, seed=seed) is None


@pytest.mark.parametrize("seed", range(5))
def test_texts_longer_than_the_window_are_no_reason(toy: tuple[Any, Any], seed: int) -> None:
    assert found(toy, serve=Narrow, seed=seed) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_peeks_at_what_follows_is_found_out(toy: tuple[Any, Any], dtype: str, seed: int) -> None:
    assert "without seeing what is wanted" in str(found(toy, Peeking(toy[0]), dtype=dtype, seed=seed))


class Even:
    """Finds four tokens alike."""

    def window(self) -> int:
        return 8

    def follows(self, ids: Sequence[int]) -> np.ndarray:
        return np.zeros(4)


@pytest.mark.parametrize(
    ("gains", "dtype", "believed"),
    [
        ([0.05], "float32", True),  # a number was rounded the other way
        ([0.05, 0.05], "float32", True),
        ([0.05, -0.05, 0.05], "float32", True),
        ([-0.05], "float32", True),
        ([0.15], "float32", False),
        ([-0.15], "float32", False),
        ([0.05] * 4, "float32", False),
        ([0.002] * ASKED, "float32", False),
        ([0.0005] * ASKED, "float32", True),
        ([0.1] * ASKED, "bfloat16", False),
        ([0.04] * ASKED, "bfloat16", True),
    ],
)
def test_what_is_off_now_and_then_must_be_little(gains: list[float], dtype: str, believed: bool) -> None:
    """gains: nats that answers are off, the others are exact."""
    kept = Kept(np.random.default_rng(0))
    for gain in [*gains, *[0.0] * (ASKED - len(gains))]:
        kept.keep([1, 2], [3], [gain - np.log(4)])
    assert (doubt(kept, Even(), dtype) is None) == believed


@pytest.mark.parametrize(("serve", "dtype"), [(Sure, "float32"), (Certain, "float32"), (Certain, "bfloat16")])
@pytest.mark.parametrize("seed", range(5))
def test_one_that_finds_likely_whatever_it_is_asked_is_found_out(
    toy: tuple[Any, Any], serve: Any, dtype: str, seed: int
) -> None:
    assert "differ by +" in str(found(toy, serve=serve, dtype=dtype, seed=seed))


def test_one_that_is_modest_is_found_out_too(toy: tuple[Any, Any]) -> None:
    class Modest(Sure):
        nats = -0.05

    assert "differ by -" in str(found(toy, serve=Modest))


def test_finite_answers_of_a_distribution_that_is_not_are_found_out(toy: tuple[Any, Any]) -> None:
    assert found(toy, Broken(toy[0])) is None  # its answers are not finite either
    served, kept = ServedLM(None, Broken(toy[0]), toy[1], "cpu"), Kept(np.random.default_rng(0))
    kept.keep([1, 2], [3], [-1.0])
    assert "not finite" in str(doubt(kept, served, "float32"))


def test_every_answer_has_the_same_chance_to_be_kept() -> None:
    counts: Counter[int] = Counter()
    for seed in range(600):
        kept = Kept(np.random.default_rng(seed), most=3)
        for index in range(10):
            kept.keep([index], [index], [0.0])
        assert len(kept.answers) == 3
        counts.update(context[0] for context, _, _ in kept.answers)
    assert all(180 - 5 * 11.3 < counts[index] < 180 + 5 * 11.3 for index in range(10))  # 0.3 of 600, 5 deviations
    assert Kept(np.random.default_rng(0)).most == ASKED


@pytest.mark.parametrize("answer", [[], [-1.0], [-1.0, -1.0, -1.0], [0.5, -3.0]])
def test_what_is_no_answer_is_refused(toy: tuple[Any, Any], answer: list[float]) -> None:
    class Odd(ServedLM):
        def score(self, pairs: Sequence[Any], greedy: bool = True) -> list[tuple[Any, bool]]:
            return [(answer, False) for _ in pairs]

    lm = EffbenchLM(Odd(None, toy[0], toy[1], "cpu"), toy[1])
    with pytest.raises(ValueError, match="no log-probabilities of 2 tokens"):
        lm._loglikelihood_tokens([(("", ""), [1, 2], [3, 4])], disable_tqdm=True)
