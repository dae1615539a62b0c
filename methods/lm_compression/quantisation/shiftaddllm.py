"""ShiftAddLLM (You et al., 2024), https://arxiv.org/abs/2406.05981."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Card, Claim, Method, OverBudget
from methods._techniques.binary import assign, fitted_scales, scale_values
from methods._techniques.binary_gptq import binary_codes, column_order, in_order
from methods._techniques.hessian import Hessian, inverse_factor
from methods._techniques.shift_add import BYTE, BinaryCodes, ShiftAddLinear, blank_codes
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression.quantisation._bit_allocation import allocate
from methods.lm_compression.quantisation._gptq import SAME_INPUT, unquantisable
from methods.lm_compression.quantisation._precision import (
    GROUP,
    block_linears,
    borrowing_copy,
    most_bits,
    round_embeddings,
    unmet,
)
from suites._language.blocks import BlockOverText, walk_blocks
from suites.lm_compression.task import CausalLMTask

CHOICES = (2, 3, 4, 5, 6, 8)
SENSITIVITY_WINDOWS = 8
SAMPLED_COLUMNS = 32


@dataclass(frozen=True)
class ShiftAddLLM(Method[CausalLMTask]):
    """Weights become sums of sign matrices, each with scales that are sums of powers of two, so that a product needs
    shifts, look-ups and additions alone. No training.

    Signs and scales of a column are fitted by turns to the least error of the weights; the error that remains is handed
    to the columns not yet coded, as in GPTQ, so that the layer's outputs change least: the two objectives. Each matrix
    gets its number of bits by how sensitive it is, ||S|| std(S)^2 with S the weights divided column by column by what
    GPTQ's Cholesky factor has on its diagonal; integer programming spends the budget of bytes. Embeddings and head are
    rounded to nearest with as many bits as `rtn` and `gptq` give them at the same limit, so that the linear layers
    alone differ.

    bits: bits of a linear weight, whatever the limit (embeddings: as many). width: 1 gives every column its own scales
    (the paper's "acc"), 8 gives eight columns and an eighth of the rows a scale ("lat"). group: rows that share a
    column's scales; the code's script for LLaMA has 128, which does not divide 576, those for other models all rows
    (None). terms: powers of two in a scale. rounds: of the fit by turns; the public code has 50, after 15 the error
    falls by less than 0.1 %. mixed: whether bits differ from matrix to matrix. damping: as in GPTQ. samples, length:
    calibration windows and their tokens; the code has 128 x 2048, the operating points allow an eighth of it; half of
    that saves a minute.
    """

    card = Card(
        slug="shiftaddllm",
        title="ShiftAddLLM",
        paper="You et al., ShiftAddLLM: Accelerating Pretrained LLMs via Post-Training Multiplication-Less "
        "Reparameterization, NeurIPS 2024, arXiv 2406.05981",
        url="https://arxiv.org/abs/2406.05981",
        claims=(
            Claim(
                text="At 3 and 2 bits, binary codes with power-of-two scales leave a lower perplexity than the best "
                "rounding on even grids.",
                source="abstract: against the most competitive quantised models at 3 and 2 bits",
                metric="word_perplexity",
                versus="gptq",
                paper_value="perplexity lower by 5.6 points at 3 bits and 22.7 at 2 bits, mean of five model families",
            ),
            Claim(
                text="Mixed bits by the layers' sensitivity are better than equal bits.",
                source="abstract: automated bit allocation, based on the sensitivity of the layers",
                metric="word_perplexity",
                versus="shiftaddllm:uniform",
                variant="default",
            ),
            Claim(
                text="At equally few bits, decoding takes no longer than with other quantised weights.",
                source="abstract: comparable or lower latency than the most competitive quantised models",
                metric="decode-b1.tpot.ratio",
                versus="gptq",
                relation="same",
            ),
        ),
        differences=(
            (
                "The look-up kernel is of PyTorch operators on packed signs, and more than 8 rows widen the weights "
                "to 16 bits; the paper has a CUDA kernel for decoding."
            ),
            "Without the random rotations (QuIP's incoherence) of the code's 'acc', which would put products back.",
            (
                "An integer program, as in the paper, spends what the limit leaves above equal bits; the code gives "
                "the most sensitive matrices one bit more."
            ),
            (
                "A matrix costs its sensitivity times the relative error of its codes (fitted on 32 columns) times "
                "its weights."
            ),
            (
                "Scales are fitted for 128 columns at once and refined column by column; even sums are a second "
                "start of the fit."
            ),
        ),
    )
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "lat": {"width": 8},
        "uniform": {"mixed": False},
        "w4": {"bits": 4},
        "w3": {"bits": 3},
        "w2": {"bits": 2},
        "w3-columns": {"bits": 3, "group": None},
    }

    bits: int | None = None
    width: int = 1
    group: int | None = 192
    terms: int = 3
    rounds: int = 15
    mixed: bool = True
    damping: float = 0.01
    samples: int = 32
    length: int = 512

    def supports(self, task: CausalLMTask) -> str | None:
        if reason := unquantisable(task.model) or unmet(task, self.bits, GROUP):
            return reason
        for name in block_linears(task.model):
            if columns := task.model.get_submodule(name).weight.shape[1] % BYTE:
                return f"{name} has {columns} columns more than a multiple of {BYTE}, which a byte of signs needs"
        if task.limits.result:
            embeddings = most_bits(task, None, GROUP).embeddings
            least = task.weigh(self._blank(task.model, [CHOICES[0]] * len(block_linears(task.model)), embeddings))
            if not task.limits.met_by(least):
                return f"stored_ratio is still {least['stored_ratio']:.3f} with {CHOICES[0]} bits"
        return None

    @torch.no_grad()
    def build(self, task: CausalLMTask) -> nn.Module:
        embeddings = most_bits(task, self.bits, GROUP).embeddings
        windows = calibration_batch(task, self.samples, self.length)
        candidate = borrowing_copy(task.model)
        round_embeddings(candidate, embeddings, GROUP, clip=True)
        bits = dict(zip(block_linears(task.model), self._bits(task, embeddings, candidate, windows), strict=True))
        prefix = next(name for name, module in candidate.named_modules() if module is candidate.get_decoder().layers)
        for step in walk_blocks(candidate, windows):
            for names, hessian in _hessians(step):
                order = column_order(hessian, self.width)
                factor = inverse_factor(hessian[order][:, order], self.damping).float()
                for name in names:
                    linear = step.block.get_submodule(name)
                    width = bits[f"{prefix}.{step.index}.{name}"]
                    codes = self._codes(linear.weight[:, order], factor, width)
                    step.block.set_submodule(name, _module(in_order(codes, order, self.width), linear))
        return candidate.eval()

    def _bits(self, task: CausalLMTask, embeddings: int, candidate: Any, windows: Tensor) -> Sequence[int]:
        """Bits of each of block_linears."""
        weights = [task.model.get_submodule(name).weight for name in block_linears(task.model)]
        sizes = [{bits: self._bytes(weight, bits) for bits in CHOICES} for weight in weights]
        if self.bits is None:
            budget, uniform = self._budget(task, embeddings, sizes)
        else:
            budget, uniform = sum(size[self.bits] for size in sizes), self.bits
        if not self.mixed:
            return [uniform] * len(weights)
        choices = one_more(uniform)
        costs = self._costs(candidate, windows[:SENSITIVITY_WINDOWS], choices)
        sizes = [{bits: size[bits] for bits in choices} for size in sizes]
        while True:
            bits = allocate(costs, sizes, budget)
            if self.bits is not None:
                return bits
            figures = task.weigh(self._blank(task.model, bits, embeddings))
            if task.limits.met_by(figures):
                return bits
            budget -= max(
                64.0, figures["stored_bytes"] * (1 - task.limits.result["stored_ratio"] / figures["stored_ratio"])
            )

    def _budget(self, task: CausalLMTask, embeddings: int, sizes: Sequence[Mapping[int, int]]) -> tuple[float, int]:
        """Bytes that the limit leaves for the codes, and the most bits that are within it for all matrices alike.
        Raises OverBudget if there are none."""
        figures = task.weigh(self._blank(task.model, [CHOICES[0]] * len(sizes), embeddings))
        allowed = task.limits.result["stored_ratio"] * figures["stored_bytes"] / figures["stored_ratio"]
        budget = allowed - figures["stored_bytes"] + sum(size[CHOICES[0]] for size in sizes)
        for bits in reversed(CHOICES):
            if sum(size[bits] for size in sizes) <= budget and task.limits.met_by(
                task.weigh(self._blank(task.model, [bits] * len(sizes), embeddings))
            ):
                return budget, bits
        raise OverBudget("stored_ratio", figures["stored_ratio"], task.limits.result["stored_ratio"])

    def _costs(self, model: Any, windows: Tensor, choices: Sequence[int]) -> list[dict[int, float]]:
        """Cost of each number of bits, for each of block_linears: sensitivity times relative error of the codes, for
        every weight of the matrix."""
        by_name = {}
        layers = model.get_decoder().layers
        prefix = next(name for name, module in model.named_modules() if module is layers)
        for step in walk_blocks(model, windows):
            for names, hessian in _hessians(step):
                diagonal = inverse_factor(hessian, self.damping).diagonal().float()
                for name in names:
                    weight = step.block.get_submodule(name).weight.float()
                    important = sensitivity(weight, diagonal) * weight.numel()
                    errors = relative_errors(weight, choices, self.terms, self.rounds)
                    by_name[f"{prefix}.{step.index}.{name}"] = {bits: important * errors[bits] for bits in choices}
        return [by_name[name] for name in block_linears(model)]

    def _bytes(self, weight: Tensor, bits: int) -> int:
        codes = self._no_codes(weight, bits, torch.device("meta"))
        return codes.signs.nbytes + codes.scales.nbytes

    def _codes(self, weight: Tensor, factor: Tensor | None, bits: int) -> BinaryCodes:
        """Codes of a matrix, each group of rows by itself: no row makes up for what another misses."""
        parts = self._groups(weight)
        return _below(binary_codes(rows, factor, bits, self.terms, self.width, self.rounds) for rows in parts)

    def _no_codes(self, weight: Tensor, bits: int, device: torch.device) -> BinaryCodes:
        """As large as the codes of a matrix, and empty."""
        parts = self._groups(weight)
        return _below(blank_codes(*rows.shape, bits, self.terms, self.width, device) for rows in parts)

    def _groups(self, weight: Tensor) -> Sequence[Tensor]:
        """The rows that share a column's scales: all of them where `group` does not divide them."""
        if self.group is None or self.width > 1 or len(weight) % self.group:
            return (weight,)
        return weight.split(self.group)

    def _blank(self, model: Any, bits: Sequence[int], embeddings: int) -> Any:
        """A candidate of the right size with nothing in it: for weighing."""
        candidate = borrowing_copy(model)
        round_embeddings(candidate, embeddings, GROUP, clip=False)
        for name, width in zip(block_linears(model), bits, strict=True):
            linear = candidate.get_submodule(name)
            codes = self._no_codes(linear.weight, width, linear.weight.device)
            candidate.set_submodule(name, _module(codes, linear))
        return candidate.eval()


def _below(parts: Iterable[BinaryCodes]) -> BinaryCodes:
    """Codes of rows, one part below the other."""
    signs, scales = zip(*((part.signs, part.scales) for part in parts), strict=True)
    return BinaryCodes(torch.cat(signs), torch.cat(scales, 1))


def _module(codes: BinaryCodes, linear: Any) -> ShiftAddLinear:
    return ShiftAddLinear(codes, None if linear.bias is None else linear.bias.detach().clone())


def _hessians(step: BlockOverText) -> Iterator[tuple[Sequence[str], Tensor]]:
    """Layers of a block that read the same, and the second moments of what they read."""
    found = [Hessian() for _ in SAME_INPUT]
    step.observe([step.block.get_submodule(names[0]) for names in SAME_INPUT], [each.see for each in found])
    for names, hessian in zip(SAME_INPUT, found, strict=True):
        yield names, hessian.matrix


def one_more(bits: int) -> tuple[int, ...]:
    """The numbers of bits that a matrix may have where all alike would have `bits`: these, or the next choice."""
    place = CHOICES.index(bits)
    return CHOICES[place : place + 2]


def sensitivity(weight: Tensor, diagonal: Tensor) -> float:
    """||S|| std(S)^2 for S = weight / diagonal of the inverse Hessian's factor: the paper's importance of a matrix."""
    scaled = weight / diagonal
    return float(scaled.norm() * scaled.var())


def relative_errors(weight: Tensor, choices: Sequence[int], terms: int, rounds: int) -> dict[int, float]:
    """Squared error of the codes against the squared weights, by bits, over columns spread through the matrix."""
    columns = weight[:, :: max(1, weight.shape[1] // SAMPLED_COLUMNS)].T.contiguous()
    return {
        bits: float(
            assign(columns, scale_values(fitted_scales(columns, bits, terms, rounds)))[1].sum()
            / columns.square().sum().clamp_min(1e-30)
        )
        for bits in choices
    }
