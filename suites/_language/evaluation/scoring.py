"""Log-likelihoods of continuations under a candidate, each shared prefix computed once.

Three paths, by what the candidate can do; each is exact for it up to floating-point rounding:
tree: rows are token trees with a mask of ancestors. chain: rows are whole sequences, padded on the right, the causal
mask alone. plain: one sequence at a time through the candidate's own forward, for candidates whose result depends on
what else is computed with it; such a candidate carries the attribute `effbench_exact_path = "plain"`, or is found out
when two sequences side by side do not get the logits that each gets alone.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache

from suites._language.evaluation.memory import fitting_tokens, is_out_of_memory
from suites._language.evaluation.tree import Group, Row, Tokens, plan

Path = Literal["tree", "chain", "plain"]
Requests = Sequence[Sequence[tuple[int, Sequence[int]]]]
"""For each sequence the requests that it answers: (index of the request, its continuation)."""

ROW_TOKENS = {"cpu": 512, "cuda": 1024}
TRUNK_ROW_TOKENS = {"cpu": 256, "cuda": 1024}
"""Longest row, alone and on a trunk: attention over what a mask then hides is dear on a CPU, a call on a GPU."""

FORWARD_TOKENS = {"cpu": 20, "cuda": 1000}
"""About what one more call of the model costs, in tokens; so much padding is put up with."""

LOGITS_BYTES = {"cpu": 16 * 2**20, "cuda": 256 * 2**20}
SOFTMAX_BYTES = {"cpu": 2 * 2**20, "cuda": 256 * 2**20}
"""Size of one block of logits, and of the float32 log-probabilities made of it at a time. On a CPU the first is large
enough for the head's matrix product to be quick, the second small enough to stay in a core's own cache."""

PROBE_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
"""How far a path may be from the candidate's own forward: the median over positions of the mean absolute difference
of the logits, over their standard deviation within a position; 0.1 in half precision. A mask that is not honoured is
far beyond. The median, because in half precision rounding alone can throw a single position far off (one that is about
to become an attention sink)."""


@dataclass
class _Job:
    """What is needed of a batch, per scored position: node (flat index into the batch), target token. requests: those
    that the batch answers, each with the number of its positions, in their order.
    """

    nodes: list[int]
    targets: list[int]
    requests: list[tuple[int, int]]


@dataclass(frozen=True)
class _Result:
    """Per scored position of the job: log-probability of the target, and whether it is the most likely token."""

    job: _Job
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]


class Scorer:
    """Scores (context, continuation) token pairs under a candidate. forwarded: tokens computed so far, padding too.

    max_length: window in tokens. batch_tokens: most tokens computed side by side, by default what fits the memory.
    batch_rows: also no more than so many of the longest sequence have. row_tokens: longest token tree.
    """

    def __init__(
        self,
        candidate: nn.Module,
        *,
        max_length: int,
        batch_tokens: int | None = None,
        batch_rows: int | None = None,
        row_tokens: int | None = None,
    ) -> None:
        self.candidate, self.max_length, self.batch_rows = candidate, max_length, batch_rows
        self.device = next((tensor.device for tensor in candidate.parameters()), torch.device("cpu"))
        self.row_tokens = row_tokens or self._by_device(ROW_TOKENS)
        self.trunk_row_tokens = row_tokens or self._by_device(TRUNK_ROW_TOKENS)
        self.forwarded = 0
        self.inner: nn.Module | None = None
        self.head: Callable[[Tensor], Tensor] | None = None
        self.trunks = False
        self.path: Path = self._choose_path()
        self.batch_tokens = batch_tokens or fitting_tokens(candidate, self.device, all_logits=self.head is None)

    def _by_device(self, table: dict[str, int]) -> int:
        return table.get(self.device.type, table["cuda"])

    @torch.no_grad()
    def score(
        self,
        pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
        *,
        greedy: bool = True,
        done: Callable[[int], object] = lambda count: None,
    ) -> list[tuple[NDArray[np.float64], bool]]:
        """(log-probability of each token of the continuation in nats, whether the continuation is the greedy one) per
        pair of (context tokens, continuation tokens); the context loses tokens on its left where both are too long.

        greedy=False: the second value is not needed and always False. done: is told how many pairs became known.
        Raises ValueError if a context or a continuation is empty or a continuation does not fit the window.
        """
        inputs: dict[Tokens, int] = {}
        requests_of: list[list[tuple[int, Sequence[int]]]] = []
        for request, (context, continuation) in enumerate(pairs):
            self._check(context, continuation)
            tokens = tuple([*context, *continuation][-(self.max_length + 1) : -1])
            if (index := inputs.setdefault(tokens, len(inputs))) == len(requests_of):
                requests_of.append([])
            requests_of[index].append((request, continuation))

        found = [np.zeros(len(continuation)) for _, continuation in pairs]
        every_hit = np.full(len(pairs), greedy)
        for result in self._run(list(inputs), requests_of, greedy):
            start = 0
            for request, length in result.job.requests:
                found[request][:] = result.scores[start : start + length]
                every_hit[request] &= bool(result.hits[start : start + length].all())
                start += length
            done(len(result.job.requests))
        return list(zip(found, every_hit.tolist(), strict=True))

    def _check(self, context: Sequence[int], continuation: Sequence[int]) -> None:
        if not context or not continuation:
            raise ValueError("a context and a continuation need at least one token each")
        if len(continuation) > self.max_length:
            raise ValueError(f"a continuation of {len(continuation)} tokens does not fit {self.max_length} tokens")

    def _run(self, sequences: list[Tokens], requests_of: Requests, greedy: bool) -> Iterator[_Result]:
        if self.path == "plain":
            for index, tokens in enumerate(sequences):
                yield self._batch([Row.of(index, tokens)], requests_of, greedy)
            return
        branches = self.path == "tree"
        longest = [max(len(continuation) for _, continuation in requests) for requests in requests_of]
        groups = plan(
            sequences,
            [len(tokens) - length for tokens, length in zip(sequences, longest, strict=True)],
            min(self.row_tokens, self.batch_tokens),
            min(self.trunk_row_tokens, self.batch_tokens),
            branches=branches,
            trunks=branches and self.trunks,
        )
        widest = max(map(len, sequences), default=0)
        for group in groups:
            cache = self.prefix_cache(group.trunk) if group.trunk else None
            for rows in self._batches(group, widest):
                yield from self._retrying(rows, requests_of, greedy, cache)

    def _batches(self, group: Group, widest: int) -> Iterator[list[Row]]:
        """Rows of similar length, trees apart from chains (which need no mask), within the token budget; rows on a
        trunk one by one, as a batch would copy the trunk for each of them."""
        most = widest * self.batch_rows if self.batch_rows else self.batch_tokens
        batch: list[Row] = []
        padding = 0
        for row in sorted(group.rows, key=lambda row: (row.is_chain, -len(row.tokens))):
            if batch:
                width = len(batch[0].tokens)
                padding += width - len(row.tokens)
                full = (len(batch) + 1) * width > min(most, self.batch_tokens)
                uneven = padding > self._by_device(FORWARD_TOKENS)
                if full or uneven or group.trunk or row.is_chain != batch[0].is_chain:
                    yield batch
                    batch, padding = [], 0
            batch.append(row)
        if batch:
            yield batch

    def _retrying(
        self, rows: list[Row], requests_of: Requests, greedy: bool, cache: DynamicCache | None
    ) -> Iterator[_Result]:
        """Run a batch; where memory does not hold it run its halves, and make no batch as large again."""
        try:
            yield self._batch(rows, requests_of, greedy, cache)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or (len(rows) == 1 and len(rows[0].sequences) == 1):
                raise
        # Not in the handler: the error would keep the tensors of the failed call alive.
        torch.cuda.empty_cache()
        self.batch_tokens = max(1, min(self.batch_tokens, sum(len(row.tokens) for row in rows) // 2))
        middle = len(rows) // 2
        for half in [rows[:middle], rows[middle:]] if middle else [[row] for row in rows[0].halves()]:
            yield from self._retrying(half, requests_of, greedy, cache)

    def prefix_cache(self, tokens: Tokens) -> DynamicCache:
        """Keys and values of a prefix, to be forked for each use."""
        cache = self.new_cache()
        model = self.inner or self.candidate
        model(input_ids=torch.tensor([tokens], device=self.device), past_key_values=cache, use_cache=True)
        self.forwarded += len(tokens)
        return cache

    def of_similar_length(self, sequences: Sequence[Tokens]) -> list[list[Tokens]]:
        """Split sequences, the longest first, where padding would cost more than another call."""
        parts: list[list[Tokens]] = []
        padding = 0
        for tokens in sequences:
            padding += len(parts[-1][0]) - len(tokens) if parts else 0
            if not parts or padding > self._by_device(FORWARD_TOKENS):
                parts.append([])
                padding = 0
            parts[-1].append(tokens)
        return parts

    def new_cache(self) -> DynamicCache:
        return DynamicCache(config=self.candidate.config)

    def next_logits(self, **call: Any) -> Tensor:
        """(rows, vocabulary) logits of what follows the last input token, by a call of the candidate."""
        self.forwarded += call["input_ids"].numel()
        if self.head is None or self.inner is None:
            return self.candidate(**call).logits[:, -1]
        return self.head(self.inner(**call).last_hidden_state[:, -1])

    def _batch(
        self, rows: list[Row], requests_of: Requests, greedy: bool, cache: DynamicCache | None = None
    ) -> _Result:
        """Compute rows side by side, after the trunk in the cache if there is one."""
        width = max(len(row.tokens) for row in rows)
        job = _job(rows, requests_of, width)
        states = self._states(rows, width, cache)
        self.forwarded += len(rows) * width
        order, found = self._project(states.flatten(0, 1), job, greedy)
        in_order = np.empty(found.shape)
        in_order[:, order] = found.cpu().numpy()  # the only wait for the device
        return _Result(job, in_order[0], in_order[1] > 0)

    def _states(self, rows: list[Row], width: int, cache: DynamicCache | None) -> Tensor:
        """(rows, width, hidden), or (rows, width, vocabulary) of a candidate whose head cannot be applied alone."""
        ids = np.zeros((len(rows), width), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row.tokens)] = row.tokens
        call: dict[str, Any] = {"input_ids": self._on_device(ids)}
        if self.path != "plain":
            call["use_cache"] = cache is not None
        if cache is not None or not all(row.is_chain for row in rows):
            call |= self._tree_arguments(rows, width, 0 if cache is None else cache.get_seq_length())
        if cache is not None:
            call["past_key_values"] = fork(cache)
        if self.inner is None or self.path == "plain":
            return self.candidate(**call).logits
        return self.inner(**call).last_hidden_state

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        """Copied without a wait: a plain copy to a GPU would wait for the work before it."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

    def _tree_arguments(self, rows: list[Row], width: int, trunk: int) -> dict[str, Tensor]:
        positions = np.zeros((len(rows), width), dtype=np.int64)
        seen = np.zeros((len(rows), 1, width, trunk + width), dtype=bool)
        seen[..., :trunk] = True
        for index, row in enumerate(rows):
            nodes = len(row.tokens)
            positions[index, :nodes] = np.add(row.depths, trunk)
            seen[index, 0, :nodes, trunk : trunk + nodes] = row.mask()
            seen[index, 0, nodes:, trunk] = True  # padding attends to something, or its softmax is 0 / 0
        mask = self._on_device(seen)
        if getattr(self.candidate.config, "_attn_implementation", None) != "sdpa":  # eager adds the mask
            dtype = next(tensor.dtype for tensor in self.candidate.parameters() if tensor.is_floating_point())
            mask = torch.zeros(mask.shape, dtype=dtype, device=self.device).masked_fill(~mask, torch.finfo(dtype).min)
        return {"attention_mask": mask, "position_ids": self._on_device(positions)}

    def _project(self, states: Tensor, job: _Job, greedy: bool) -> tuple[NDArray[np.int64], Tensor]:
        """(order, (2, positions) float32 on the device): for the job's positions in this order the log-probability of
        the target and whether it is the most likely token. Each node is projected once, a block of nodes at a time."""
        nodes, place = np.unique(job.nodes, return_inverse=True)
        order = np.argsort(place, kind="stable")
        place = place[order]
        on_device = self._on_device(nodes), self._on_device(place), self._on_device(np.array(job.targets)[order])
        head = None if self.path == "plain" else self.head
        vocabulary = states.shape[-1] if head is None else self._vocabulary
        block = max(1, self._by_device(LOGITS_BYTES) // (states.element_size() * vocabulary))
        piece = max(1, self._by_device(SOFTMAX_BYTES) // (4 * vocabulary))
        scores, hits = [], []
        for first in range(0, len(nodes), block):
            logits = states[on_device[0][first : first + block]]
            logits = logits if head is None else head(logits)
            for start in range(0, len(logits), piece):
                log_probs = logits[start : start + piece].log_softmax(-1, dtype=torch.float32)
                low, high = np.searchsorted(place, [first + start, first + start + len(log_probs)])
                row, target = on_device[1][low:high] - first - start, on_device[2][low:high]
                scores.append(log_probs[row, target])
                hits.append(log_probs.argmax(-1)[row] == target if greedy else torch.zeros_like(row, dtype=torch.bool))
            del logits, log_probs  # or they would still be there while the next block is made
        return order, torch.stack([torch.cat(scores), torch.cat(hits).float()])

    @property
    def _vocabulary(self) -> int:
        return int(self.candidate.config.vocab_size)

    # Which path: asked of the candidate by trying, on a few tokens.

    @torch.no_grad()
    def _choose_path(self) -> Path:
        if getattr(self.candidate, "effbench_exact_path", None) == "plain":
            return "plain"
        a, b = self._probe_sequences()
        truth_a, truth_b, truth_short = (
            self.candidate(input_ids=torch.tensor([tokens], device=self.device)).logits[0] for tokens in (a, b, b[:7])
        )
        self._find_head(a, truth_a)
        self.path = "chain"
        both = [Row.of(0, a), Row.of(1, b[:7])]
        whole, padded = (lambda: self._logits(both)[: len(a)]), (lambda: self._logits(both)[len(a) :])
        if not (self._agrees(whole, truth_a) and self._agrees(padded, truth_short)):
            return "plain"
        if not self._takes_masks():
            return "chain"
        row = Row.of(0, a)
        row.add(1, b, 4)
        self.path = "tree"
        branch = row.paths[1][4:]  # what a wrong mask would spoil
        if not self._agrees(lambda: self._logits([row])[branch], truth_b[4:]):
            return "chain"
        self.trunks = self._agrees(lambda: self._trunk_probe(a, b), torch.cat([truth_a[3:], truth_b[3:]]))
        return "tree"

    def _probe_sequences(self) -> tuple[Tokens, Tokens]:
        """Two sequences of 12 tokens that share their first 4."""
        ids = [int(i) for i in np.random.default_rng(0).integers(0, self._vocabulary, 20)]
        return tuple(ids[:12]), tuple(ids[:4] + ids[12:])

    def _find_head(self, sequence: Tokens, truth: Tensor) -> None:
        """Split the candidate into the part up to the hidden states and its head, if both together are its forward."""
        inner = getattr(self.candidate, "base_model", None)
        head = getattr(self.candidate, "get_output_embeddings", lambda: None)()
        if inner is None or inner is self.candidate or head is None:
            return
        ids = torch.tensor([sequence], device=self.device)
        if self._agrees(lambda: head(inner(input_ids=ids).last_hidden_state[0]), truth):
            self.inner, self.head = inner, head

    def _takes_masks(self) -> bool:
        config = self.candidate.config
        windowed = getattr(config, "sliding_window", None) is not None
        return getattr(config, "_attn_implementation", None) in ("sdpa", "eager") and not windowed

    def _logits(self, rows: list[Row], cache: DynamicCache | None = None) -> Tensor:
        """(nodes, vocabulary) of all rows, computed side by side."""
        states = self._states(rows, max(len(row.tokens) for row in rows), cache)
        states = torch.cat([states[index, : len(row.tokens)] for index, row in enumerate(rows)])
        return states if self.head is None else self.head(states)

    def _trunk_probe(self, a: Tokens, b: Tokens) -> Tensor:
        """Logits of everything after the first 3 tokens of both, from one cache of these."""
        cache = self.prefix_cache(a[:3])
        return torch.cat([self._logits([Row.of(0, tokens[3:])], cache) for tokens in (a, b)])

    def _agrees(self, compute: Callable[[], Tensor], truth: Tensor) -> bool:
        try:
            found = compute()
        except (TypeError, ValueError, AttributeError, IndexError, NotImplementedError, RuntimeError):
            return False  # a candidate that refuses these arguments takes another path
        if found.shape != truth.shape:
            return False
        tolerance = PROBE_TOLERANCE.get(truth.dtype, 0.1)
        differences = [(a.float() - b.float()).abs().mean() for a, b in zip(found, truth, strict=True)]
        spread = torch.stack([row.float().var() for row in truth]).mean().sqrt()
        return bool(torch.stack(differences).median() <= tolerance * spread)


def fork(cache: DynamicCache) -> DynamicCache:
    """A cache that begins as the given one and leaves it as it is. The tensors are shared: appending makes new ones."""
    forked = copy.copy(cache)
    forked.layers = [copy.copy(layer) for layer in cache.layers]
    return forked


def _job(rows: list[Row], requests_of: Requests, width: int) -> _Job:
    job = _Job([], [], [])
    for index, row in enumerate(rows):
        for sequence, path in zip(row.sequences, row.paths, strict=True):
            for request, continuation in requests_of[sequence]:
                job.nodes += (path[len(path) - len(continuation) :] + index * width).tolist()
                job.targets += continuation
                job.requests.append((request, len(continuation)))
    return job
