"""The floors that suite.toml states are what a uniform guess over the vocabulary scores on today's exams."""

import math
import re
from collections.abc import Sequence

import pytest

from bench.registry import open_registry
from suites._language.base import load_tokenizer
from suites._language.base import missing as base_missing
from suites._language.evaluation.files import SIZES
from suites._language.evaluation.items import items
from suites._language.text import documents
from suites._language.text import missing as text_missing
from suites.lm_finetuning.answers import ordinary_text

PLACES = [
    ("tiny", "random-llama"),
    ("tiny", "random-gpt2"),
    pytest.param("embedded", "smollm2-135m-instruct", marks=pytest.mark.slow),
]


def uniform(texts: Sequence[str], base: tuple[str, str]) -> tuple[float, float]:
    """Perplexity a word and a byte of a guess to which all tokens are alike."""
    tokenizer = load_tokenizer(*base)
    nats = math.log(len(tokenizer)) * sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    words = sum(len(re.split(r"\s+", text)) for text in texts)
    return math.exp(nats / words), math.exp(nats / sum(len(text.encode()) for text in texts))


@pytest.mark.parametrize(("scale", "base"), PLACES)
def test_a_guess_scores_the_floor(scale: str, base: str) -> None:
    if reason := base_missing(scale, base) or (text_missing() if scale != "tiny" else None):
        pytest.skip(reason)
    suites = open_registry(plugins=False).suites
    passages = [row["text"] for row in items(documents(scale, "evaluation"), SIZES[scale])["perplexity"]]
    scores = suites["lm-compression"].scores
    stated = scores["word_perplexity"].guess(base), scores["byte_perplexity"].guess(base)
    assert stated == pytest.approx(uniform(passages, (scale, base)), rel=0.01)
    if base in suites["lm-finetuning"].bases[scale]:
        ordinary = suites["lm-finetuning"].scores["general_perplexity"].guess(base)
        assert ordinary == pytest.approx(uniform(ordinary_text(scale), (scale, base))[0], rel=0.01)
