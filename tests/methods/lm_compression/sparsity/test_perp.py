"""PERP: zeros stay, merged is adapted, little is trained, and training helps."""

import copy
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from methods._techniques.masked_training import MaskedLowRank, adapt, merge, untied_head
from methods._techniques.packed_sparse import SparseLinear
from methods.lm_compression._calibration import calibration_batch
from methods.lm_compression._recovery import next_token_loss, recovery_batches
from methods.lm_compression.sparsity._amount import Amount, block_names
from methods.lm_compression.sparsity._masks import named, set_zeros
from methods.lm_compression.sparsity.magnitude_sparsity import MagnitudeSparsity, magnitude_masks
from methods.lm_compression.sparsity.perp import PERP
from methods.lm_compression.sparsity.wanda import Wanda
from suites._language.blocks import walk_blocks
from suites._training.fit import fit
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import text_of

HALF = Amount("unstructured", Fraction(1, 2), 6)
LORA = {"rank": 16, "alpha": 32.0}
SMALL = {"samples": 8, "length": 32, "learning_rate": 2e-3}
VARIANTS = {name: PERP(**SMALL | settings) for name, settings in PERP.variants.items()}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def pruned(task: CausalLMTask) -> tuple[nn.Module, dict[str, Tensor]]:
    model, kept = copy.deepcopy(task.model), {}
    for index, name in enumerate(block_names(model)):
        masks = magnitude_masks(model.get_submodule(name), HALF, index)
        set_zeros(model.get_submodule(name), masks)
        kept |= named(name, masks)
    return model, kept


def logits(model: nn.Module, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return model(ids).logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("trained", ["masklora", "full", "norms-and-biases"])
def test_merged_is_the_adapted_model_and_keeps_every_zero(
    make_task: Callable[..., CausalLMTask], trained, dtype: torch.dtype
) -> None:
    task = make_task(dtype=dtype)
    model, kept = pruned(task)
    before = {name: model.get_submodule(name).weight.detach().clone() for name in kept}
    adapt(model, kept, trained, generator=generator(), **LORA)
    fit(model, recovery_batches(task, 1024), lambda ids: next_token_loss(model, ids), learning_rate=3e-3)
    ids = text_of(task)[None, :24]
    adapted = logits(model, ids)
    merge(model)
    assert torch.equal(logits(model, ids), adapted)
    assert not any(name.startswith("parametrizations") for name, _ in model.named_modules())
    for name, mask in kept.items():
        weight = model.get_submodule(name).weight
        assert type(model.get_submodule(name)) is nn.Linear
        assert (weight[~mask] == 0).all()
        assert torch.equal(weight, before[name]) == (trained == "norms-and-biases")


def test_the_update_is_the_papers() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    form = MaskedLowRank(weight != 0, 1, 3.0, generator())
    assert torch.equal(form(weight), weight)
    form.up.data, form.down.data = torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0, 7.0]])
    assert torch.equal(form(weight), torch.tensor([[1 + 3 * 5.0, 0], [0, 2 + 3 * 14.0]]))


def test_only_the_named_share_is_trained(make_task: Callable[..., CausalLMTask]) -> None:
    linears = 2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 192)
    counts = {"norms-and-biases": 64 * 13, "masklora": 64 * 13 + 6 * 16 * linears}
    for trained, count in counts.items():
        model, kept = pruned(make_task())
        adapt(model, kept, trained, generator=generator(), **LORA)  # type: ignore[arg-type]
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) == count
    model, kept = pruned(make_task())
    adapt(model, kept, "full", generator=generator(), **LORA)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_pruned_weights_get_no_gradient_in_full_training(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task()
    model, kept = pruned(task)
    adapt(model, kept, "full", generator=generator(), **LORA)
    next_token_loss(model, next(recovery_batches(task))).backward()
    for name, mask in kept.items():
        gradient = model.get_submodule(name).parametrizations.weight.original.grad
        assert (gradient[~mask] == 0).all()
        assert (gradient[mask] != 0).any()


def test_the_head_is_trained_only_where_it_is_its_own(make_task: Callable[..., CausalLMTask]) -> None:
    assert untied_head(make_task().model) == {}
    task = make_task(tied=False, stored_ratio=0.75)
    assert list(untied_head(task.model)) == ["lm_head"]
    candidate = PERP(**SMALL).build(task)
    assert not torch.equal(candidate.lm_head.weight, task.model.lm_head.weight)
    assert torch.equal(candidate.model.embed_tokens.weight, task.model.model.embed_tokens.weight)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_keep_the_controls_zeros_and_learn(make_task: Callable[..., CausalLMTask], variant: str) -> None:
    task = make_task(stored_ratio=0.6)
    method = VARIANTS[variant]
    control = Wanda(samples=8, length=32) if method.criterion == "wanda" else MagnitudeSparsity()
    plain = control.build(task)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    candidate = method.build(task)
    assert task.weigh(candidate)["stored_ratio"] <= 0.6
    bitmaps = {name: module.bitmap for name, module in candidate.named_modules() if isinstance(module, SparseLinear)}
    assert len(bitmaps) == 42
    assert all(torch.equal(bitmap, plain.get_submodule(name).bitmap) for name, bitmap in bitmaps.items())
    assert all(torch.equal(before[name], tensor) for name, tensor in task.model.state_dict().items())
    fresh = make_task()
    if method.reconstruct:
        windows = calibration_batch(fresh, 8, 32)
        *_, dense = (step.outputs() for step in walk_blocks(task.model, windows))
        losses = [
            float((last - dense).square().mean())
            for model in (candidate, plain)
            for *_, last in [[step.outputs() for step in walk_blocks(model, windows)]]
        ]
    else:
        ids = torch.cat(list(recovery_batches(fresh)))[:32]
        with torch.no_grad():
            losses = [float(next_token_loss(model, ids)) for model in (candidate, plain)]
    assert losses[0] < losses[1]


def test_the_first_block_is_reconstructed_better_than_pruned(make_task: Callable[..., CausalLMTask]) -> None:
    task = make_task(stored_ratio=0.5)
    windows = calibration_batch(make_task(), 8, 32)
    methods = [MagnitudeSparsity(), PERP(**SMALL | {"reconstruct": True, "epochs": 5})]
    dense = next(iter(walk_blocks(task.model, windows))).outputs()
    lost = []
    for method in methods:
        candidate = method.build(make_task(stored_ratio=0.5))
        lost.append(float((next(iter(walk_blocks(candidate, windows))).outputs() - dense).square().mean()))
    assert lost[1] < 0.9 * lost[0]


@pytest.mark.parametrize("reconstruct", [False, True])
def test_same_seed_same_model(make_task: Callable[..., CausalLMTask], reconstruct: bool) -> None:
    def state(seed: int) -> dict[str, Tensor]:
        task = make_task(seed=seed, stored_ratio=0.7)
        torch.rand(seed + 1)  # whatever the global generator has done
        return PERP(**SMALL | {"reconstruct": reconstruct}).build(task).state_dict()

    one, again, other = state(1), state(1), state(2)
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_a_variant_does_not_train_stays_as_pruning_left_it(
    make_task: Callable[..., CausalLMTask], variant: str
) -> None:
    method = VARIANTS[variant]
    task = make_task(stored_ratio=0.6)
    control = Wanda(samples=8, length=32) if method.criterion == "wanda" else MagnitudeSparsity()
    plain, retrained = (each.build(task).state_dict() for each in (control, method))
    moved = {name for name, tensor in plain.items() if not torch.equal(tensor, retrained[name])}
    matrices = {name for name in plain if name.endswith(".values")}
    norms = {name for name in plain if "norm" in name}
    wanted = {
        "norms-and-biases": norms,
        "full": {name for name in plain if not name.endswith(".bitmap")},
        "reconstruct": matrices | norms - {"model.norm.weight"},
    }.get(variant, matrices | norms)
    assert len(matrices) == 42
    assert moved == wanted
