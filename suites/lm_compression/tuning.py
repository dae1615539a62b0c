"""What the learning rate of a recovery is chosen by: training text that the recovery has not seen."""

from statistics import fmean

import torch
from torch.nn.functional import cross_entropy

from bench.contract import Built, Problem, Setting, Tuning
from bench.contract.supply import AtHand
from suites._language.base import load_tokenizer
from suites._language.served import ServedLM
from suites._language.tokens import Tokens, token_ids
from suites.lm_compression.task import CausalLMTask

UNSEEN = 16_384
"""Tokens of training text that a compressed model is judged by; a quarter of all where there are few."""
LENGTH = 128


def tuning(problem: Problem[CausalLMTask, object], setting: Setting) -> Tuning[CausalLMTask]:
    """The task without the last UNSEEN training tokens, and the loss over these."""
    ids = token_ids(setting.scale, "training", load_tokenizer(setting.scale, setting.base))
    held = min(UNSEEN, len(ids) // 4) // LENGTH * LENGTH
    task = problem.task_at_hand(setting)
    whole = task.supplies["training"]
    assert isinstance(whole, AtHand)
    task.supplies = {**task.supplies, "training": AtHand(Tokens(ids[:-held], whole.supply.meter), whole.meter)}
    windows = torch.from_numpy(ids[-held:]).view(-1, LENGTH).to(setting.device)

    def loss(built: Built) -> float:
        served = problem.serve(built.candidate, task)
        assert isinstance(served, ServedLM)
        return fmean(_next_token_loss(served, window[None]) for window in windows)

    return Tuning(task, loss)


def _next_token_loss(served: ServedLM, ids: torch.Tensor) -> float:
    """Nats; ids: (1, LENGTH)."""
    logits = served.forward(ids)[0, :-1].float()
    return float(cross_entropy(logits, ids[0, 1:]))
