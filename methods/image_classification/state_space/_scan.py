"""Mamba's selective scan (Gu and Dao, 2023) in plain PyTorch: a state that decays and is fed, token by token."""

from typing import Any

import torch
from torch import Tensor


def selective_scan(inputs: Tensor, steps: Tensor, rates: Tensor, into: Tensor, out_of: Tensor) -> Tensor:
    """inputs, steps: (tokens, n, channels); rates: (states, channels), below zero; into, out_of: (tokens, n, states),
    what feeds the states and what reads them. Gives (tokens, n, channels)."""
    decay = torch.exp(steps.unsqueeze(-2) * rates)
    fed = into.unsqueeze(-1) * (steps * inputs).unsqueeze(-2)
    states: Tensor = _Recurrence.apply(decay, fed)  # type: ignore[no-untyped-call]
    return (out_of.unsqueeze(-2) @ states).squeeze(-2)


class _Recurrence(torch.autograd.Function):
    """state = decay * the state before + what is fed; all (tokens, ...). Its gradient is the same, backwards."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, fed: Tensor) -> Tensor:
        states = torch.empty_like(fed)
        states[0] = fed[0]
        for now in range(1, len(fed)):
            torch.addcmul(fed[now], decay[now], states[now - 1], out=states[now])
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        of_states = grads[0].clone()
        for now in range(len(states) - 2, -1, -1):
            of_states[now].addcmul_(decay[now + 1], of_states[now + 1])
        of_decay = torch.zeros_like(decay)
        torch.mul(of_states[1:], states[:-1], out=of_decay[1:])
        return of_decay, of_states
