"""Log-likelihoods of continuations under a candidate, each shared prefix computed once.

Three paths, by what the candidate can do; each is exact for it up to floating-point rounding:
tree: rows are token trees with a mask of ancestors. chain: rows are whole sequences, padded on the right, the causal
mask alone. plain: one sequence at a time through the candidate's own forward, for candidates whose result depends on
what else is computed with it; such a candidate carries the attribute `effbench_exact_path = "plain"`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from suites.lm_compression.evaluation.tree import Group, Row, Tokens, plan

Path = Literal["tree", "chain", "plain"]

ROW_TOKENS = 1024
BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}
LOGITS_BYTES = 64 * 2**20
"""Size of one block of float32 logits; keeps the projection within the caches of a CPU and small beside the model."""

PROBE_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
"""How far a path may be from the candidate's own forward: the median over positions of the mean absolute difference
of the logits, over their standard deviation; 0.1 in half precision. A mask that is not honoured is far beyond. The
median, because in half precision rounding alone can throw a single position far off (one that is about to become an
attention sink)."""


@dataclass
class _Job:
    """What is needed of a batch: node (flat index into the batch) and target token, per scored position."""

    nodes: list[int]
    targets: list[int]
    requests: list[int]


class Scorer:
    """Scores (context, continuation) token pairs under a candidate. forwarded: tokens computed so far, padding too."""

    def __init__(
        self, candidate: nn.Module, *, max_length: int, batch_tokens: int | None = None, row_tokens: int = ROW_TOKENS
    ) -> None:
        self.candidate, self.max_length, self.row_tokens = candidate, max_length, row_tokens
        self.device = next((tensor.device for tensor in candidate.parameters()), torch.device("cpu"))
        self.batch_tokens = batch_tokens or BATCH_TOKENS.get(self.device.type, BATCH_TOKENS["cpu"])
        self.forwarded = 0
        self.inner: nn.Module | None = None
        self.head: Callable[[Tensor], Tensor] | None = None
        self.trunks = False
        self.path: Path = self._choose_path()

    @torch.no_grad()
    def score(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[tuple[float, bool]]:
        """(sum of log-probabilities in nats, whether the continuation is the greedy one) per pair of
        (context tokens, continuation tokens); the context loses tokens on its left where both are too long.

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
        sequences = list(inputs)
        longest = [max(len(continuation) for _, continuation in requests) for requests in requests_of]
        first_scored = [len(tokens) - length for tokens, length in zip(sequences, longest, strict=True)]

        sums, greedy = np.zeros(len(pairs)), np.ones(len(pairs), dtype=bool)
        for job, scores, hits in self._run(sequences, first_scored, requests_of):
            np.add.at(sums, job.requests, scores)
            np.logical_and.at(greedy, job.requests, hits)
        return list(zip(sums.tolist(), greedy.tolist(), strict=True))

    def _check(self, context: Sequence[int], continuation: Sequence[int]) -> None:
        if not context or not continuation:
            raise ValueError("a context and a continuation need at least one token each")
        if len(continuation) > self.max_length:
            raise ValueError(f"a continuation of {len(continuation)} tokens does not fit {self.max_length} tokens")

    def _run(
        self,
        sequences: list[Tokens],
        first_scored: list[int],
        requests_of: list[list[tuple[int, Sequence[int]]]],
    ) -> Iterator[tuple[_Job, np.ndarray, np.ndarray]]:
        if self.path == "plain":
            for index, tokens in enumerate(sequences):
                row = Row()
                row.add(index, tokens, 0)
                yield self._batch([row], requests_of)
            return
        branches = self.path == "tree"
        groups = plan(sequences, first_scored, self.row_tokens, branches=branches, trunks=branches and self.trunks)
        for group in groups:
            if group.trunk:
                yield from self._on_trunk(group, requests_of)
            else:
                for rows in _batches(group.rows, self.batch_tokens):
                    yield from self._retrying(rows, requests_of)

    def _retrying(self, rows: list[Row], requests_of: Any) -> Iterator[tuple[_Job, np.ndarray, np.ndarray]]:
        """Run a batch; halve it, and the batches to come, where the device's memory does not hold it."""
        try:
            yield self._batch(rows, requests_of)
            return
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        self.batch_tokens = max(1, self.batch_tokens // 2)
        torch.cuda.empty_cache()
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            yield from self._retrying(half, requests_of)

    def _on_trunk(self, group: Group, requests_of: Any) -> Iterator[tuple[_Job, np.ndarray, np.ndarray]]:
        cache = self._trunk_cache(group.trunk)
        for row in group.rows:
            yield self._batch([row], requests_of, len(group.trunk), cache)
            cache.crop(-len(row.tokens))

    def _trunk_cache(self, trunk: Tokens) -> Any:
        cache = DynamicCache(config=self.candidate.config)
        model = self.inner or self.candidate
        model(input_ids=torch.tensor([trunk], device=self.device), past_key_values=cache, use_cache=True)
        self.forwarded += len(trunk)
        return cache

    def _batch(
        self, rows: list[Row], requests_of: Any, trunk: int = 0, cache: Any = None
    ) -> tuple[_Job, np.ndarray, np.ndarray]:
        """Compute rows side by side. Returns the job, its log-probabilities and whether each target is the argmax."""
        width = max(len(row.tokens) for row in rows)
        job = _job(rows, requests_of, width, trunk)
        states = self._states(rows, width, trunk, cache)
        self.forwarded += len(rows) * width
        scores, hits = self._project(states.flatten(0, 1), job)
        on_host = torch.stack([scores, hits]).cpu().numpy()  # the only wait for the device
        return job, on_host[0].astype(np.float64), on_host[1] > 0

    def _states(self, rows: list[Row], width: int, trunk: int, cache: Any) -> Tensor:
        """(rows, width, hidden), or (rows, width, vocabulary) of a candidate whose head cannot be applied alone."""
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : len(row.tokens)] = torch.tensor(row.tokens)
        call: dict[str, Any] = {"input_ids": ids.to(self.device)}
        if self.path != "plain":
            call["use_cache"] = cache is not None
        if cache is not None or not all(row.is_chain for row in rows):
            call |= self._tree_arguments(rows, width, trunk)
        if cache is not None:
            call["past_key_values"] = cache
        if self.inner is None or self.path == "plain":
            return self.candidate(**call).logits
        return self.inner(**call).last_hidden_state

    def _tree_arguments(self, rows: list[Row], width: int, trunk: int) -> dict[str, Tensor]:
        positions = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), 1, width, trunk + width, dtype=torch.bool)
        mask[..., :trunk] = True
        for index, row in enumerate(rows):
            nodes = len(row.tokens)
            positions[index, :nodes] = torch.tensor(row.depths) + trunk
            mask[index, 0, :nodes, trunk : trunk + nodes] = torch.from_numpy(row.mask())
            mask[index, 0, nodes:, trunk] = True  # padding attends to something, or its softmax is 0 / 0
        mask = mask.to(self.device)
        if getattr(self.candidate.config, "_attn_implementation", None) != "sdpa":  # eager adds the mask
            dtype = next(tensor.dtype for tensor in self.candidate.parameters() if tensor.is_floating_point())
            mask = torch.zeros(mask.shape, dtype=dtype, device=self.device).masked_fill(~mask, torch.finfo(dtype).min)
        return {"attention_mask": mask, "position_ids": positions.to(self.device)}

    def _project(self, states: Tensor, job: _Job) -> tuple[Tensor, Tensor]:
        """Log-probability of each target, and whether it is the argmax, float32; each node is projected once."""
        nodes, place = np.unique(job.nodes, return_inverse=True)
        order = np.argsort(place, kind="stable")
        place = place[order]
        wanted = states[torch.from_numpy(nodes).to(self.device)]
        targets = torch.tensor(job.targets, device=self.device)
        slots = torch.from_numpy(order).to(self.device)
        vocabulary = states.shape[-1] if self.head is None else self._vocabulary
        block = max(1, LOGITS_BYTES // (4 * vocabulary))
        scores = torch.empty(len(order), device=self.device)
        hits = torch.empty(len(order), device=self.device)
        for start in range(0, len(nodes), block):
            logits = wanted[start : start + block]
            if self.head is not None and self.path != "plain":
                logits = self.head(logits)
            logits = logits.float()
            low, high = np.searchsorted(place, [start, start + block])
            here = torch.from_numpy(place[low:high] - start).to(self.device)
            slot = slots[low:high]
            target = targets[slot]
            scores[slot] = logits[here, target] - logits.logsumexp(-1)[here]
            hits[slot] = (logits.argmax(-1)[here] == target).float()
        return scores, hits

    @property
    def _vocabulary(self) -> int:
        return int(self.candidate.config.vocab_size)

    # Which path: asked of the candidate by trying, on a few tokens.

    @torch.no_grad()
    def _choose_path(self) -> Path:
        if getattr(self.candidate, "effbench_exact_path", None) == "plain":
            return "plain"
        a, b = self._probe_sequences()
        truth_a, truth_b = (
            self.candidate(input_ids=torch.tensor([tokens], device=self.device)).logits[0] for tokens in (a, b)
        )
        self._find_head(a, truth_a)
        if not self._takes_masks():
            return "chain"
        row = Row()
        row.add(0, a, 0)
        row.add(1, b, 4)
        self.path = "tree"
        branch = row.paths[1][4:]  # what a wrong mask would spoil
        if not self._agrees(lambda: self._logits([row], 0, None)[branch], truth_b[4:]):
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

    def _logits(self, rows: list[Row], trunk: int, cache: Any) -> Tensor:
        states = self._states(rows, max(len(row.tokens) for row in rows), trunk, cache)[0]
        return states if self.head is None else self.head(states)

    def _trunk_probe(self, a: Tokens, b: Tokens) -> Tensor:
        """Logits of everything after the first 3 tokens of both, the second from a cache that was used and cropped."""
        cache = self._trunk_cache(a[:3])
        logits = []
        for tokens in (a, b):
            row = Row()
            row.add(0, tokens[3:], 0)
            logits.append(self._logits([row], 3, cache))
            cache.crop(-len(row.tokens))
        return torch.cat(logits)

    def _agrees(self, compute: Callable[[], Tensor], truth: Tensor) -> bool:
        try:
            found = compute()
        except (TypeError, ValueError, AttributeError, IndexError, NotImplementedError, RuntimeError):
            return False  # a candidate that refuses these arguments takes another path
        if found.shape != truth.shape:
            return False
        tolerance = PROBE_TOLERANCE.get(truth.dtype, 0.1)
        differences = (found.double() - truth.double()).abs().mean(-1)
        return bool(differences.median() <= tolerance * truth.double().std())


def _job(rows: list[Row], requests_of: Any, width: int, trunk: int) -> _Job:
    job = _Job([], [], [])
    for index, row in enumerate(rows):
        for sequence, path in zip(row.sequences, row.paths, strict=True):
            for request, continuation in requests_of[sequence]:
                job.nodes += (path[len(path) - len(continuation) :] + index * width).tolist()
                job.targets += continuation
                job.requests += [request] * len(continuation)
    return job


def _batches(rows: list[Row], batch_tokens: int) -> Iterator[list[Row]]:
    """Rows of similar length, trees apart from chains (which need no mask); at most `batch_tokens` with padding."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.is_chain, -len(row.tokens))):
        full = batch and (len(batch) + 1) * len(batch[0].tokens) > batch_tokens
        if batch and (full or batch[0].is_chain != row.is_chain):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
