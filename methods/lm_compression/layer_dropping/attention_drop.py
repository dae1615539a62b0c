"""What Matters in Transformers? Not All Attention is Needed (He et al., 2024), https://arxiv.org/abs/2406.15786."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from bench.contract import Card, Claim, Method
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.layer_dropping._limits import shortest_prefix, unmet
from methods.lm_compression.layer_dropping._sublayers import Sublayer, blocks, drop, sublayers, whole_block
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class AttentionDrop(Method[CausalLMTask]):
    """Drops what changes the residual stream's direction least, in one shot.

    The importance of a sub-layer is 1 - cos(x, x + f(norm(x))), x the residual stream that enters it, averaged over
    the tokens of a calibration set run through the dense model; that of a block is 1 - cos of its input and output.
    The least important are dropped until the limits are met.

    kind: what may go: "attention" layers, "mlp" layers, whole "block"s, or "joint"ly attention and MLP layers in one
        ranking, the paper's most aggressive form.
    samples, length: calibration windows and tokens in each. The paper takes 256 x 2048 tokens of C4. A mean over
        tokens settles long before that: 16 x 512 fits the embedded scale's allowance (32768 tokens) and takes one
        forward pass of about 10 seconds on two cores.
    """

    card = Card(
        slug="attention-drop",
        title="Attention Drop / Joint Layer Drop",
        paper="He et al., 2024. What Matters in Transformers? Not All Attention is Needed",
        url="https://arxiv.org/abs/2406.15786",
        claims=(
            Claim(
                text="A large share of the attention layers can go with little loss of task performance",
                source="abstract",
                metric="next_sentence_accuracy",
                relation="keeps",
                share=0.976,
                variant="attention",
                paper_value="Llama-2-70B without half of its attention layers: 2.4 % lower",
            ),
            Claim(
                text="Dropping attention layers speeds inference up",
                source="abstract",
                metric="decode-b1.tpot.ratio",
                versus="dense",
                variant="attention",
                paper_value="Llama-2-70B without half of its attention layers: 48.4 % faster",
            ),
            Claim(
                text="Attention and MLP layers dropped together keep 90 % of the performance at a larger cut",
                source="abstract",
                metric="next_sentence_accuracy",
                relation="keeps",
                share=0.9,
                variant="joint",
                points=("size-75", "compute-75"),
                paper_value="Llama-2-13B without 31 layers: 90 % of its MMLU score",
            ),
            Claim(
                text="Similarity of input and output finds the redundant layers, so dropping by it beats chance",
                source="implied by the abstract (redundancy is investigated with a similarity-based metric)",
                metric="word_perplexity",
                versus="random-sublayer-drop",
                variant="joint",
            ),
        ),
        differences=("The calibration set is 16 x 512 tokens of the suite's text; the paper's is 256 x 2048 of C4.",),
    )
    variants: ClassVar = {
        "joint": {"kind": "joint"},
        "attention": {"kind": "attention"},
        "mlp": {"kind": "mlp"},
        "block": {"kind": "block"},
    }

    kind: Literal["attention", "mlp", "block", "joint"] = "joint"
    samples: int = 16
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        return unmet(task, [sublayer for unit in self._units(task.model) for sublayer in unit])

    def build(self, task: CausalLMTask) -> nn.Module:
        scores = importance(task.model, calibration_batch(task, self.samples, self.length))
        # Sorting is stable: equally important units go in the order of the model.
        ranking = sorted(self._units(task.model), key=lambda unit: scores[unit])
        return drop(task.model, shortest_prefix(task, ranking))

    def _units(self, model: Any) -> list[tuple[Sublayer, ...]]:
        """What may be dropped, each unit as a whole."""
        if self.kind == "block":
            return [whole_block(index) for index in range(len(blocks(model)))]
        kinds = ("attention", "mlp") if self.kind == "joint" else (self.kind,)
        return [(sublayer,) for sublayer in sublayers(model, *kinds)]


@torch.no_grad()
def importance(model: Any, windows: Tensor) -> dict[tuple[Sublayer, ...], float]:
    """1 - mean cosine of input and output for every sub-layer and for every whole block; windows (samples, length)."""
    view = drop(model, [], share_weights=True)  # hooks belong on a copy, not on the task's model
    similarity: dict[tuple[Sublayer, ...], Tensor] = {}
    for index, block in enumerate(blocks(view)):
        _record(similarity, index, block)
    for window in windows:  # one window at a time: peak memory stays that of one forward pass
        view.get_decoder()(input_ids=window[None], use_cache=False)
    return {unit: 1.0 - (total / windows.numel()).item() for unit, total in similarity.items()}


def _record(similarity: dict[tuple[Sublayer, ...], Tensor], index: int, block: Any) -> None:
    """Let each forward pass of the block add its tokens' cosines to `similarity`."""
    attention, mlp = whole_block(index)
    stream: dict[str, Tensor] = {}

    def entering(_: nn.Module, args: Sequence[Any]) -> None:
        stream["in"] = args[0]

    def between(_: nn.Module, args: Sequence[Any]) -> None:
        stream["between"] = args[0]

    def leaving(_: nn.Module, args: Sequence[Any], out: Tensor) -> None:
        for unit, before, after in (
            ((attention,), stream["in"], stream["between"]),
            ((mlp,), stream["between"], out),
            ((attention, mlp), stream["in"], out),
        ):
            total = cosine_similarity(before.float(), after.float(), dim=-1).double().sum()
            similarity[unit] = similarity.get(unit, torch.zeros_like(total)) + total

    block.register_forward_pre_hook(entering)
    block.post_attention_layernorm.register_forward_pre_hook(between)
    block.register_forward_hook(leaving)
