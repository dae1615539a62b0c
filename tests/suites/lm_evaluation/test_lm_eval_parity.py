"""Our lm-eval model gives what lm-eval's `hf` gives, on every type of request, in float32."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from suites.lm_compression.evaluation.evaluator import EffbenchLM
from suites.lm_compression.evaluation.scoring import Scorer

WINDOW = 96
PER_TOKEN = 1e-4
TEXT = (
    "Vopokapo is a large festival near the bridge. A festival crosses the dark stone of Konobo from the rare forest "
    "in winter. Ça alors, 東京の春 is naïve. "
)
Pair = tuple[list[int], list[int]]
Requests = Callable[[str, list[tuple[Any, ...]]], list[Any]]


@pytest.fixture(scope="session")
def ours(toy: tuple[Any, Any]) -> EffbenchLM:
    return EffbenchLM(*toy, max_length=WINDOW)


@pytest.fixture(scope="session")
def theirs(toy: tuple[Any, Any]) -> HFLM:
    return HFLM(pretrained=toy[0], tokenizer=toy[1], batch_size=4, max_length=WINDOW, logits_cache=False)


@pytest.fixture(scope="session")
def requests() -> Callable[[str, list[tuple[Any, ...]]], list[Instance]]:
    """Instances of a request type from their arguments."""

    def make(kind: str, arguments: list[tuple[Any, ...]]) -> list[Instance]:
        return [Instance(kind, {}, args, index) for index, args in enumerate(arguments)]

    return make


def wrapped(pairs: list[Pair]) -> list[tuple[tuple[str, str], list[int], list[int]]]:
    return [(("", ""), context, continuation) for context, continuation in pairs]


def assert_same(found: list[Any], expected: list[Any], lengths: list[int]) -> None:
    assert len(found) == len(expected)
    for (score, greedy), (true_score, true_greedy), length in zip(found, expected, lengths, strict=True):
        assert abs(score - true_score) <= PER_TOKEN * length
        assert greedy == true_greedy


TOKENS = st.lists(st.integers(0, 257), min_size=1, max_size=12)


@st.composite
def questions(draw: st.DrawFn) -> list[Pair]:
    """Contexts with choices: some share a beginning, some choices are prefixes of others, some are too long."""
    header = draw(st.lists(st.integers(0, 257), max_size=WINDOW + 10))
    pairs: list[Pair] = []
    for _ in range(draw(st.integers(1, 4))):
        context = header + draw(TOKENS)
        for _ in range(draw(st.integers(1, 4))):
            pairs.append((context, draw(TOKENS)))
            if draw(st.booleans()):
                pairs.append((context, pairs[-1][1] + draw(TOKENS)))
    return pairs


@settings(max_examples=40, deadline=None)
@given(pairs=questions(), row_tokens=st.sampled_from([16, 80, 1024]), batch_tokens=st.sampled_from([1, 300, 4096]))
def test_random_tokens(ours: EffbenchLM, theirs: HFLM, pairs: list[Pair], row_tokens: int, batch_tokens: int) -> None:
    scorer = Scorer(ours.model, max_length=WINDOW, batch_tokens=batch_tokens, row_tokens=row_tokens)
    assert (scorer.path, scorer.trunks) == ("tree", True)
    expected = theirs._loglikelihood_tokens(wrapped(pairs), disable_tqdm=True)
    assert_same(scorer.score(pairs), expected, [len(continuation) for _, continuation in pairs])


@pytest.mark.parametrize("path", ["tree", "chain", "plain"])
def test_every_path_on_greedy_continuations(ours: EffbenchLM, theirs: HFLM, path: str) -> None:
    """Continuations that the model would write itself, whole, spoilt at one place, and one token long."""
    rng = random.Random(0)
    pairs: list[Pair] = []
    for _ in range(5):
        context = [rng.randrange(258) for _ in range(80)]
        ids = ours.model.generate(
            torch.tensor([context]),
            attention_mask=torch.ones(1, 80),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=-1,
        )
        best = ids[0, 80:].tolist()
        pairs += [(context, best), (context, best[:1]), (context, best[:3]), (context, [*best[:3], 7, *best[4:]])]
        pairs += [(context, [(best[0] + 1) % 258])]
    scorer = Scorer(ours.model, max_length=WINDOW)
    scorer.path = path
    expected = theirs._loglikelihood_tokens(wrapped(pairs), disable_tqdm=True)
    assert_same(scorer.score(pairs), expected, [len(continuation) for _, continuation in pairs])
    assert sum(greedy for _, greedy in expected) >= 15


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_texts(toy: tuple[Any, Any], theirs: HFLM, requests: Requests, attention: str) -> None:
    ours = EffbenchLM(*toy, max_length=WINDOW)
    ours.model.config._attn_implementation = attention
    try:
        contexts = ["", TEXT[:30], TEXT[:60], TEXT[:60] + "  ", TEXT * 3, "\n"]
        choices = [" a", " an", " another one", "é", "東京", " ", "<s>b"]
        pairs = [(context, choice) for context in contexts for choice in choices if context.strip() or not context]
        assert ours.scorer.path == "tree"
        made = requests("loglikelihood", pairs)
        lengths = [len(choice.encode()) + 2 for _, choice in pairs]
        assert_same(ours.loglikelihood(made), theirs.loglikelihood(made, disable_tqdm=True), lengths)
    finally:
        ours.model.config._attn_implementation = "sdpa"


def test_white_space_alone_is_conditioned_on_the_prefix_token(ours: EffbenchLM, requests: Requests) -> None:
    """lm-eval's `hf` cannot score this one."""
    (found,) = ours.loglikelihood(requests("loglikelihood", [("  ", "a")]))
    (expected,) = ours.scorer.score([([ours.prefix_token_id], ours.tokenizer("  a").input_ids)])
    assert found == pytest.approx(expected)


def test_rolling_windows(ours: EffbenchLM, theirs: HFLM, requests: Requests) -> None:
    texts = [TEXT, TEXT * 4, "a", "", TEXT[:WINDOW], TEXT[: WINDOW - 1], "東京"]
    made = requests("loglikelihood_rolling", [(text,) for text in texts])
    found = ours.loglikelihood_rolling(made)
    expected = [theirs.loglikelihood_rolling([one], disable_tqdm=True)[0] if one.args[0] else 0.0 for one in made]
    for text, score, true_score in zip(texts, found, expected, strict=True):
        assert abs(score - true_score) <= PER_TOKEN * (len(text.encode()) + 1)


def test_generation(ours: EffbenchLM, theirs: HFLM, requests: Requests) -> None:
    texts = [TEXT[:20], TEXT[:50], TEXT[:51], TEXT * 3]
    free = [(text, {"until": [], "max_gen_toks": 12}) for text in texts]
    generated = theirs.generate_until(requests("generate_until", free), disable_tqdm=True)
    stop = next(text[4:6] for text in generated if len(text) > 6)  # one that does occur
    stopped = [(text, {"until": [stop], "max_gen_toks": 12}) for text in texts]
    made = requests("generate_until", free + stopped)
    expected = theirs.generate_until(made, disable_tqdm=True)
    assert ours.generate_until(made) == expected
    assert expected[: len(free)] != expected[len(free) :]


def test_order_and_batches_do_not_matter(ours: EffbenchLM, requests: Requests) -> None:
    pairs = [(TEXT[: 20 + 9 * i], choice) for i in range(8) for choice in (" one", " two or three")]
    made = requests("loglikelihood", pairs)
    first = ours.loglikelihood(made)
    order = random.Random(1).sample(range(len(made)), len(made))
    other = EffbenchLM(ours.model, ours.tokenizer, max_length=WINDOW, batch_tokens=100)
    again = other.loglikelihood([made[i] for i in order])
    assert_same(again, [first[i] for i in order], [len(pairs[i][1]) for i in order])


@pytest.mark.parametrize("pair", [([], [1]), ([1], []), ([1], [2] * (WINDOW + 1))])
def test_what_cannot_be_scored_is_refused(ours: EffbenchLM, pair: Pair) -> None:
    with pytest.raises(ValueError, match="token"):
        ours.scorer.score([([1], [2]), pair])
