"""Our lm-eval model gives what lm-eval's `hf` gives, on every type of request, in float32."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.evaluation.scoring import Scorer

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


def wrapped(pairs: list[Pair]) -> list[tuple[tuple[str, str], list[int], list[int]]]:
    return [(("", ""), context, continuation) for context, continuation in pairs]


def summed(scored: list[tuple[Any, bool]]) -> list[tuple[float, bool]]:
    """lm-eval asks for the sum over the tokens of a continuation."""
    return [(float(scores.sum()), greedy) for scores, greedy in scored]


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
    scorer = Scorer(ours.answers.model, max_length=WINDOW, batch_tokens=batch_tokens, row_tokens=row_tokens)
    assert (scorer.path, scorer.trunks) == ("tree", True)
    expected = theirs._loglikelihood_tokens(wrapped(pairs), disable_tqdm=True)
    assert_same(summed(scorer.score(pairs)), expected, [len(continuation) for _, continuation in pairs])


@pytest.mark.parametrize("path", ["tree", "chain", "plain"])
def test_every_path_on_greedy_continuations(ours: EffbenchLM, theirs: HFLM, path: str) -> None:
    """Continuations that the model would write itself, whole, spoilt at one place, and one token long."""
    rng = random.Random(0)
    pairs: list[Pair] = []
    for _ in range(5):
        context = [rng.randrange(258) for _ in range(80)]
        ids = ours.answers.model.generate(
            torch.tensor([context]),
            attention_mask=torch.ones(1, 80),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=-1,
        )
        best = ids[0, 80:].tolist()
        pairs += [(context, best), (context, best[:1]), (context, best[:3]), (context, [*best[:3], 7, *best[4:]])]
        pairs += [(context, [(best[0] + 1) % 258])]
    scorer = Scorer(ours.answers.model, max_length=WINDOW)
    scorer.path = path
    expected = theirs._loglikelihood_tokens(wrapped(pairs), disable_tqdm=True)
    assert_same(summed(scorer.score(pairs)), expected, [len(continuation) for _, continuation in pairs])
    assert sum(greedy for _, greedy in expected) >= 15


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_texts(toy: tuple[Any, Any], theirs: HFLM, requests: Requests, attention: str) -> None:
    ours = EffbenchLM(*toy, max_length=WINDOW)
    ours.answers.model.config._attn_implementation = attention
    try:
        contexts = ["", TEXT[:30], TEXT[:60], TEXT[:60] + "  ", TEXT * 3, "\n"]
        choices = [" a", " an", " another one", "é", "東京", " ", "<s>b"]
        pairs = [(context, choice) for context in contexts for choice in choices if context.strip() or not context]
        assert ours.answers.scorer.path == "tree"
        made = requests("loglikelihood", pairs)
        lengths = [len(choice.encode()) + 2 for _, choice in pairs]
        assert_same(ours.loglikelihood(made), theirs.loglikelihood(made, disable_tqdm=True), lengths)
    finally:
        ours.answers.model.config._attn_implementation = "sdpa"


def test_white_space_alone_is_conditioned_on_the_prefix_token(ours: EffbenchLM, requests: Requests) -> None:
    """lm-eval's `hf` cannot score this one."""
    (found,) = ours.loglikelihood(requests("loglikelihood", [("  ", "a")]))
    (expected,) = summed(ours.answers.scorer.score([([ours.prefix_token_id], ours.tokenizer("  a").input_ids)]))
    assert found == pytest.approx(expected)


WORDS = st.text(st.sampled_from("ab \né東"), max_size=14)


@st.composite
def tokenizers(draw: st.DrawFn) -> Any:
    """Byte tokenizers with merges of their own: a token may span words, or half a character, or both sides of the
    border between a context and its continuation."""
    tokens = {char: index for index, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    written = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("ab \né東")[0][0]
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 12))):
        known = [*dict.fromkeys(written), *(left + right for left, right in merges)]
        pair = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        if "".join(pair) not in tokens:
            tokens["".join(pair)] = len(tokens)
            merges.append(pair)
    made = Tokenizer(models.BPE(vocab=tokens, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="</s>")


@pytest.fixture(scope="session")
def larger(toy: tuple[Any, Any]) -> Any:
    """The toy with room for the tokens of merges."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{**toy[0].config.to_dict(), "vocab_size": 300})).float().eval()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokenizer=tokenizers(), contexts=st.lists(WORDS, min_size=1, max_size=3), choices=st.lists(WORDS, min_size=1))
def test_random_tokenisations(
    larger: Any, requests: Requests, tokenizer: Any, contexts: list[str], choices: list[str]
) -> None:
    window = 12
    ours = EffbenchLM(larger, tokenizer, max_length=window)
    # Without its cache of logits, which takes a wrong place where one context is another with its continuation.
    theirs = HFLM(pretrained=larger, tokenizer=tokenizer, batch_size=3, max_length=window, logits_cache=False)
    pairs = [
        (context, choice)
        for context in ["", *contexts]
        for choice in choices
        if choice and (context.strip() or not context) and _can_be_scored(ours, context, choice)
    ]
    lengths = [len(choice.encode()) + 2 for _, choice in pairs]
    made = requests("loglikelihood", pairs)
    assert_same(ours.loglikelihood(made, True), theirs.loglikelihood(made, disable_tqdm=True), lengths)
    texts = requests("loglikelihood_rolling", [(text,) for text in {"".join(contexts), *choices} if text])
    for found, one in zip(ours.loglikelihood_rolling(texts, True), texts, strict=True):
        (expected,) = theirs.loglikelihood_rolling([one], disable_tqdm=True)
        assert abs(found - expected) <= PER_TOKEN * len(one.args[0].encode())


def _can_be_scored(lm: EffbenchLM, context: str, choice: str) -> bool:
    """Whether `hf` does not refuse it: a merge may swallow the choice, or the window be too small for it."""
    if not context:
        return 1 < len(lm.tok_encode(choice, add_special_tokens=False)) + 1 <= lm.max_length
    return 0 < len(lm._encode_pair(context, choice)[1]) <= lm.max_length


def test_rolling_windows(ours: EffbenchLM, theirs: HFLM, requests: Requests) -> None:
    texts = [TEXT, TEXT * 4, "a", "", TEXT[:WINDOW], TEXT[: WINDOW - 1], "東京"]
    made = requests("loglikelihood_rolling", [(text,) for text in texts])
    found = ours.loglikelihood_rolling(made)
    expected = [theirs.loglikelihood_rolling([one], disable_tqdm=True)[0] if one.args[0] else 0.0 for one in made]
    for text, score, true_score in zip(texts, found, expected, strict=True):
        assert abs(score - true_score) <= PER_TOKEN * (len(text.encode()) + 1)


def test_order_and_batches_do_not_matter(ours: EffbenchLM, requests: Requests) -> None:
    pairs = [(TEXT[: 20 + 9 * i], choice) for i in range(8) for choice in (" one", " two or three")]
    made = requests("loglikelihood", pairs)
    first = ours.loglikelihood(made)
    order = random.Random(1).sample(range(len(made)), len(made))
    other = EffbenchLM(ours.answers.model, ours.tokenizer, max_length=WINDOW, batch_tokens=100)
    again = other.loglikelihood([made[i] for i in order])
    assert_same(again, [first[i] for i in order], [len(pairs[i][1]) for i in order])


@pytest.mark.parametrize("pair", [([], [1]), ([1], []), ([1], [2] * (WINDOW + 1))])
def test_what_cannot_be_scored_is_refused(ours: EffbenchLM, pair: Pair) -> None:
    with pytest.raises(ValueError, match="token"):
        ours.answers.scorer.score([([1], [2]), pair])
