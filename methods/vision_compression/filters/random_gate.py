"""Control: a gate that knows nothing chooses filters for each image."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import Card, Method
from methods.vision_compression._limits import largest_share
from methods.vision_compression._recovery import recover
from methods.vision_compression.filters._gates import Gate, GatedNet, new_gates, serving, unmet
from methods.vision_compression.filters._groups import count_at
from suites.vision_compression.task import CompressionTask


class RandomGate(Gate):
    """Random numbers of the image, which do not train; the filters with the largest are chosen, `count` of them."""

    count = 1

    def of_means(self, means: Tensor) -> Tensor:
        return super().of_means(means.log1p() * 1e3)

    def chosen(self, logits: Tensor) -> Tensor:
        places = logits.topk(self.count, -1).indices
        return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, places, True)


@dataclass(frozen=True)
class RandomGates(Method[CompressionTask]):
    """The same share of each convolution's filters is computed for each image; which, heads of random weights say. The
    net is trained under these masks.

    rate: of the training, the largest of the schedule.
    """

    card = Card(
        slug="random-gate",
        title="Random gate",
        paper="Control: filters chosen for each image by random heads",
        control=True,
        stochastic=True,
        notes="Heads are as large as those that learn, and their FLOPs count.",
    )

    rate: float = 1e-3

    def supports(self, task: CompressionTask) -> str | None:
        return unmet(task)

    def build(self, task: CompressionTask) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            gates = new_gates(task.model, RandomGate)
        net = copy.deepcopy(task.model)
        gated = GatedNet(net, gates).to(task.device)
        gated.gates.requires_grad_(False)

        def made(share: float) -> nn.Module:
            for gate in gates.values():
                gate.count = count_at(gate.linear.out_features, share)
            return serving(net, gates)

        share = largest_share(task, made)
        made(share)
        recover(task, gated, self.rate)
        return made(share)
