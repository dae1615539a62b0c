"""FFN-SkipLLM (Jaiswal et al., 2024), https://arxiv.org/abs/2404.03865."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from bench.contract import Card, Claim, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.dynamic_depth._skipping import Region, least_skipping, skipping, unmet
from methods.lm_compression.layer_dropping._sublayers import blocks
from suites.lm_compression.task import CausalLMTask

DENSE, ALWAYS = 2.0, -2.0
"""Thresholds that no cosine passes, and that every cosine passes."""

STEPS = 1024
"""Thresholds that are tried lie at so many quantiles of the cosines that the dense model shows."""


@dataclass(frozen=True)
class FFNSkipLLM(Method[CausalLMTask]):
    """Skips feed-forward networks, token by token, where the last one that ran hardly turned the residual stream.

    Between the cold regions (the first and the last blocks, which always run) each FFN that runs for a token is
    watched: if the cosine of the residual stream before and after its update passes a threshold, the token skips the
    next few FFNs, and the one after those is watched again. The first tokens of a sequence run in full, since all
    later ones attend to them. Attention always runs, so the KV cache is complete. The threshold is the highest that
    meets the operating point; no weight is changed.

    skip: FFNs that a token skips at once. On calibration text of SmolLM2-135M with a quarter of the FFNs skipped, 1 and
        2 lose least of 1, 2, 3, 5 and all; with 1 no more than half of the FFNs can go.
    cold: share of the blocks in each of the cold regions. The dense cosines of SmolLM2-135M are 0.06 in the first
        block, 0.82 in the last one and 0.96 to 0.98 in all between, but a tenth loses less there than the two ends.
    warm_up: tokens at the start of a sequence that run in full; 4 are known to be enough of an attention sink.
    share: skipped FFN executions where nothing is limited: what the paper calls marginal change, 25 to 30 %.
    samples, length: calibration windows on which cosines and that share are measured.
    """

    card = Card(
        slug="ffn-skipllm",
        title="FFN-SkipLLM",
        paper="Jaiswal et al., 2024. FFN-SkipLLM: A Hidden Gem for Autoregressive Decoding with Adaptive Feed Forward "
        "Skipping",
        url="https://arxiv.org/abs/2404.03865",
        claims=(
            Claim(
                text="A quarter of the feed-forward executions can go with hardly a change in quality",
                source="abstract",
                metric="next_sentence_accuracy",
                relation="same",
                paper_value="25-30 % of FFN blocks skipped, marginal change on knowledge-intensive tasks",
            ),
            Claim(
                text="Decoding becomes faster",
                source="abstract",
                metric="decode-b1.tpot.ratio",
                versus="dense",
            ),
            Claim(
                text="Skipping FFNs alone keeps more than skipping whole blocks",
                source="abstract (layer dropping is said to fail through its handling of the KV cache)",
                metric="word_perplexity",
                versus="attention-drop:block",
            ),
            Claim(
                text="Input-adaptive skipping keeps more than skipping as many FFNs at random",
                source="implied by the abstract (the skipping is called input-adaptive)",
                metric="word_perplexity",
                versus="random-ffn-skip",
            ),
            Claim(
                text="Input-adaptive skipping keeps more than skipping as many FFNs in the same rhythm from random "
                "blocks on",
                source="implied by the abstract (the skipping is called input-adaptive)",
                metric="word_perplexity",
                versus="random-ffn-runs",
            ),
        ),
        differences=(
            (
                "The paper leaves open how many FFNs are skipped at once and how long cold regions and warm-up are; "
                "these are ours."
            ),
            (
                "The first author's code (Ajay1994/layer-skip) skips a fixed number of FFNs a token (12 of 40) in "
                "one run after the first cosine above 0.95, with five cold blocks at either end."
            ),
            (
                "There prompts and every sixth decoded token run in full; here one rule holds for prompts and "
                "decoding, so that scores over text see the skipping."
            ),
            (
                "The threshold is set on the calibration set, to the operating point's FLOPs; on other text the "
                "share of skipped FFNs differs a little."
            ),
        ),
        notes="Sums done in another order may tip a cosine over the threshold, so that a token skips elsewhere.",
    )

    skip: int = 2
    cold: float = 0.1
    warm_up: int = 4
    share: float = 0.25
    samples: int = 4
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, self._policy(task.model, ALWAYS))

    def build(self, task: CausalLMTask) -> nn.Module:
        windows = calibration_batch(task, self.samples, self.length)
        seen = cosines(task.model, windows, self._policy(task.model, DENSE).region)
        levels = seen.quantile(torch.linspace(1, 0, STEPS, dtype=seen.dtype)).tolist()
        thresholds = [DENSE, *levels, ALWAYS]
        policy = least_skipping(task, windows, self.share, thresholds, lambda t: self._policy(task.model, t))
        return skipping(task.model, policy)

    def _policy(self, model: Any, threshold: float) -> "Saturation":
        return Saturation(Region.between(len(blocks(model)), self.cold, self.warm_up), threshold, self.skip)


class Saturation:
    """After an FFN whose cosine is above the threshold, a token skips the next `skip` FFNs that may be skipped."""

    def __init__(self, region: Region, threshold: float, skip: int) -> None:
        self.region, self.threshold, self.skip = region, threshold, skip
        self.left = torch.empty(0)

    def runs(self, block: int, positions: Tensor) -> Tensor:
        if block == self.region.first:
            self.left = torch.zeros_like(positions)
        run = self.left == 0
        self.left = (self.left - 1).clamp_min(0)
        return run

    def ran(self, block: int, rows: Tensor, before: Tensor, after: Tensor) -> None:
        saturated = self.cosine(before, after) > self.threshold
        self.left[rows[saturated]] = self.skip

    def cosine(self, before: Tensor, after: Tensor) -> Tensor:
        """(tokens,) of two streams (tokens, hidden), in float32."""
        return cosine_similarity(before.float(), after.float(), dim=-1)


class _Watching(Saturation):
    """Skips nothing, and keeps the cosines that it sees, in float64 on the CPU."""

    def __init__(self, region: Region) -> None:
        super().__init__(region, DENSE, 0)
        self.seen: list[Tensor] = []

    def cosine(self, before: Tensor, after: Tensor) -> Tensor:
        found = super().cosine(before, after)
        self.seen.append(found.double().cpu())
        return found


@torch.no_grad()
def cosines(model: Any, windows: Tensor, region: Region) -> Tensor:
    """Cosine of the stream before and after each FFN of the region, in the dense model: float64 (executions,).

    windows: token ids (count, length).
    """
    watching = _Watching(region)
    view = skipping(model, watching, share_weights=True)
    for window in windows:
        view.get_decoder()(input_ids=window[None], use_cache=False)
    return torch.cat(watching.seen)
