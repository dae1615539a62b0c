"""Control that reads nothing: how often each token stands in the training text, whatever came before it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import Card, Method
from suites.lm_compression.task import CausalLMTask

WIDTH = 2
"""Of the hidden states, which are all alike; the least that a Llama's positions can be rotated in."""


def shares(ids: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Probabilities (size,) of the tokens by how often they stand in ids. Those never seen share what is kept back for
    them: as much as there were first sights among all tokens (Witten and Bell, 1991)."""
    counts = np.bincount(ids, minlength=size).astype(np.float64)
    seen = np.count_nonzero(counts)
    if seen == size:
        return counts / counts.sum()
    back = seen / (counts.sum() + seen)
    return np.where(counts > 0, (1 - back) * counts / counts.sum(), back / (size - seen))


@dataclass(frozen=True)
class Unigram(Method[CausalLMTask]):
    """A Llama without blocks, whose head gives the logarithms of the tokens' shares. What does no better has lost what
    makes a language model of it."""

    card = Card(
        slug="unigram",
        title="Unigram table",
        paper="Control: frequencies of the tokens alone",
        control=True,
        trivial=True,
        stochastic=True,
    )
    length: int = 512
    """Of the windows of training text that are counted, in tokens."""

    def supports(self, task: CausalLMTask) -> str | None:
        return None if task.available("training") >= self.length else "it counts training text, and there is none here"

    def build(self, task: CausalLMTask) -> Any:
        from transformers import LlamaConfig, LlamaForCausalLM

        base = task.model.config
        windows = task.training(task.available("training") // self.length, self.length)
        ids = np.concatenate([window.cpu().numpy().ravel() for window in windows])
        config = LlamaConfig(
            vocab_size=base.vocab_size, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=0,
            num_attention_heads=1, num_key_value_heads=1, tie_word_embeddings=False, attn_implementation="sdpa",
            max_position_embeddings=base.max_position_embeddings, bos_token_id=base.bos_token_id,
            eos_token_id=base.eos_token_id, pad_token_id=base.pad_token_id,
        )  # fmt: skip
        model = LlamaForCausalLM(config).float().eval()
        logs = torch.from_numpy(np.log(shares(ids, base.vocab_size)))
        with torch.no_grad():
            model.get_input_embeddings().weight.fill_(1)
            model.get_output_embeddings().weight.copy_((logs / WIDTH)[:, None].expand(-1, WIDTH))
        return model.to(task.device)
