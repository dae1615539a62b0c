"""Which path a candidate gets, how much each computes, and what happens when memory runs out."""

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from suites._language.evaluation import memory, scoring
from suites._language.evaluation.scoring import Scorer

CONTEXT = list(range(60))
PAIRS = [(CONTEXT, [100 + choice] * 5) for choice in range(4)]


class Wrapper(nn.Module):
    """A candidate that is no transformers class: its forward is all that can be had of it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.wrapped, self.config = model, model.config

    def forward(self, input_ids: torch.Tensor, **call: Any) -> Any:
        return self.wrapped(input_ids=input_ids, **call)


class NoMask(Wrapper):
    """Refuses everything but tokens."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        return self.wrapped(input_ids=input_ids)


class DeafToMask(Wrapper):
    """Takes a mask and pays no attention to it."""

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, **call: Any) -> Any:
        return self.wrapped(input_ids=input_ids, **call)


class Scaled(LlamaForCausalLM):
    """Its forward does something after the head, as Gemma 2 does."""

    def forward(self, *args: Any, **call: Any) -> Any:
        output = super().forward(*args, **call)
        output.logits = 5 * torch.tanh(output.logits / 5)
        return output


class Alone(Wrapper):
    """Its result depends on what else is computed with it."""

    effbench_exact_path = "plain"
    calls = 0

    def forward(self, input_ids: torch.Tensor) -> Any:
        assert input_ids.shape[0] == 1
        self.calls += 1
        output = self.wrapped(input_ids=input_ids)
        output.logits = output.logits * (1 + 0.01 * input_ids.shape[1])
        return output


class Undeclared(Wrapper):
    """As Alone, but takes every argument and says nothing: more depth for longer inputs."""

    def forward(self, input_ids: torch.Tensor, **call: Any) -> Any:
        output = self.wrapped(input_ids=input_ids, **call)
        output.logits = output.logits * (1 + 0.05 * input_ids.shape[1])
        return output


class TokensOnly(Wrapper):
    """Takes tokens and no other argument."""

    def forward(self, input_ids: torch.Tensor) -> Any:
        return self.wrapped(input_ids=input_ids)


def flat(scored: list[tuple[Any, bool]]) -> list[float]:
    """Log-probabilities of all tokens of all continuations, in a row."""
    return [score for scores, _ in scored for score in scores.tolist()]


def reference(candidate: Any) -> list[float]:
    """Log-probabilities the long way: one sequence, full logits."""
    found: list[float] = []
    for context, continuation in PAIRS:
        with torch.no_grad():
            logits = candidate(input_ids=torch.tensor([(context + continuation)[:-1]])).logits[0]
        scores = logits[len(context) - 1 :].log_softmax(-1)
        found += scores[range(len(continuation)), continuation].tolist()
    return found


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda m: m, "tree"),
        (Wrapper, "tree"),
        (NoMask, "chain"),
        (DeafToMask, "chain"),
        (Alone, "plain"),
        (Undeclared, "plain"),
        (TokensOnly, "plain"),
    ],
)
def test_every_candidate_gets_an_exact_path(toy: tuple[Any, Any], make: Any, path: str) -> None:
    candidate = make(toy[0])
    scorer = Scorer(candidate, max_length=2048)
    assert scorer.path == path
    assert flat(scorer.score(PAIRS)) == pytest.approx(reference(candidate), abs=1e-4)


def test_a_forward_that_goes_on_after_the_head_is_heeded(toy: tuple[Any, Any]) -> None:
    candidate = Scaled(toy[0].config).eval()
    candidate.load_state_dict(toy[0].state_dict())
    scorer = Scorer(candidate, max_length=2048)
    assert scorer.head is None
    assert flat(scorer.score(PAIRS)) == pytest.approx(reference(candidate), abs=1e-4)


def test_equal_inputs_are_computed_once_on_the_plain_path(toy: tuple[Any, Any]) -> None:
    candidate = Alone(toy[0])
    Scorer(candidate, max_length=2048).score([(CONTEXT, [token]) for token in range(10)])
    assert candidate.calls == 1


def test_a_shared_context_is_computed_once(toy: tuple[Any, Any]) -> None:
    scorer = Scorer(toy[0], max_length=2048)
    scorer.forwarded = 0
    scorer.score(PAIRS)
    assert scorer.forwarded == 60 + 4 * 4


def test_a_shared_header_is_computed_once(toy: tuple[Any, Any]) -> None:
    scorer = Scorer(toy[0], max_length=2048, row_tokens=128)
    scorer.forwarded = 0
    header = [7, 8] * 100
    scorer.score([(header + [question] * 20, [choice]) for question in range(30) for choice in range(4)])
    assert scorer.forwarded <= 200 + 30 * 20


def test_only_scored_positions_are_projected(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(toy[0], max_length=2048)
    head, projected = scorer.head, []
    assert head is not None
    monkeypatch.setattr(scorer, "head", lambda states: projected.append(len(states)) or head(states))
    scorer.score(PAIRS)
    assert sum(projected) == 1 + 4 * 4  # the context's last token serves the first token of all four


def test_the_projection_in_blocks(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Scorer(toy[0], max_length=2048).score(PAIRS)
    monkeypatch.setattr(scoring, "LOGITS_BYTES", {"cpu": 4 * 258 * 5, "cuda": 4 * 258 * 5})
    monkeypatch.setattr(scoring, "SOFTMAX_BYTES", {"cpu": 4 * 258 * 2, "cuda": 4 * 258 * 2})
    blocks = Scorer(toy[0], max_length=2048).score(PAIRS)
    assert flat(blocks) == pytest.approx(flat(whole), abs=1e-4)


SHORT_OF_MEMORY = [
    torch.OutOfMemoryError(),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
]


def small_memory(scorer: Scorer, monkeypatch: pytest.MonkeyPatch, tokens: int, error: Exception) -> list[int]:
    """Let the scorer's candidate fail beyond so many tokens; the list collects the sizes of the calls."""
    states, sizes = scorer._states, []

    def limited(rows: list[Any], width: int, *rest: Any) -> Any:
        sizes.append(len(rows) * width)
        if sizes[-1] > tokens:
            raise error
        return states(rows, width, *rest)

    monkeypatch.setattr(scorer, "_states", limited)
    return sizes


@pytest.mark.parametrize("error", SHORT_OF_MEMORY, ids=["torch", "python", "cpu-allocator"])
def test_a_batch_that_does_not_fit_is_halved(
    toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pairs = [([start, *range(50)], [5]) for start in range(100, 130)]
    scorer = Scorer(toy[0], max_length=2048)
    whole = scorer.score(pairs)
    sizes = small_memory(scorer, monkeypatch, 300, error)
    assert flat(scorer.score(pairs)) == pytest.approx(flat(whole), abs=1e-4)
    failed = [size for size in sizes if size > 300]
    sizes.clear()
    scorer.score(pairs)
    assert failed
    assert max(sizes) <= 300  # it remembers


@pytest.mark.parametrize("header", [60, 600], ids=["row", "trunk"])
def test_a_tree_that_does_not_fit_is_split(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, header: int) -> None:
    pairs = [([i % 250 for i in range(header)], [100 + choice] * 20) for choice in range(12)]
    scorer = Scorer(toy[0], max_length=2048)
    whole = scorer.score(pairs)
    sizes = small_memory(scorer, monkeypatch, 130, SHORT_OF_MEMORY[0])
    assert flat(scorer.score(pairs)) == pytest.approx(flat(whole), abs=1e-4)
    assert max(sizes) > 130


def test_other_errors_are_not_taken_for_short_memory(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(toy[0], max_length=2048)
    small_memory(scorer, monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        scorer.score(PAIRS)


def test_a_sequence_that_does_not_fit_is_an_error(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(toy[0], max_length=2048)
    small_memory(scorer, monkeypatch, 0, SHORT_OF_MEMORY[0])
    with pytest.raises(torch.OutOfMemoryError):
        scorer.score(PAIRS)


def test_batches_are_sized_to_the_free_memory(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    ample = memory.fitting_tokens(toy[0], device, all_logits=False)
    assert ample == memory.BATCH_TOKENS["cpu"]
    monkeypatch.setattr(memory, "_free_bytes", lambda device: 2**20)
    scarce = memory.fitting_tokens(toy[0], device, all_logits=False)
    assert 1 <= memory.fitting_tokens(toy[0], device, all_logits=True) < scarce < ample


def test_a_number_of_rows_bounds_the_batch(toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(toy[0], max_length=2048, batch_rows=2)
    sizes = small_memory(scorer, monkeypatch, 10**6, MemoryError())
    scorer.score([([start, *range(50)], [5]) for start in range(100, 130)])
    assert set(sizes) == {102}


@pytest.mark.parametrize("make", [lambda model: model, NoMask, Alone])
def test_progress_counts_every_pair_once(toy: tuple[Any, Any], make: Any) -> None:
    told: list[int] = []
    Scorer(make(toy[0]), max_length=2048).score(PAIRS + PAIRS[:2], done=told.append)
    assert sum(told) == len(PAIRS) + 2


@pytest.mark.gpu
def test_one_wait_for_the_device_per_batch(toy: tuple[Any, Any], cuda: str) -> None:
    scorer = Scorer(copy.deepcopy(toy[0]).to(cuda), max_length=2048)
    scorer.score(PAIRS)
    batches: list[int] = []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            scorer.score([([start, *range(50)], [5]) for start in range(100, 130)], done=batches.append)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = [f"{wait.filename}:{wait.lineno}" for wait in waits if "synchroniz" in str(wait.message)]
    places = [place for place in places if "/transformers/" not in place]  # its search for packed sequences waits too
    assert len(places) == len(batches), places


def test_half_precision_keeps_the_tree(toy: tuple[Any, Any]) -> None:
    config = LlamaConfig(**toy[0].config.to_dict())
    candidate = LlamaForCausalLM(config).eval()
    candidate.load_state_dict(toy[0].state_dict())
    scorer = Scorer(candidate.bfloat16(), max_length=2048)
    assert (scorer.path, scorer.trunks) == ("tree", True)


def test_windowed_attention_does_not_get_a_tree(toy: tuple[Any, Any]) -> None:
    config = LlamaConfig(**toy[0].config.to_dict())
    config.sliding_window = 32
    assert Scorer(LlamaForCausalLM(config).eval(), max_length=2048).path == "chain"
