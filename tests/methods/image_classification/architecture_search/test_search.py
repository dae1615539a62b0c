"""The space, the super-net and its parts, and the evolution, on cases that can be done by hand."""

from itertools import product
from statistics import fmean

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.measure.flops import count_operators
from methods.image_classification.architecture_search._evolution import Plan, evolve
from methods.image_classification.architecture_search._multi_stage import MultiStageViT, SpatialReduction
from methods.image_classification.architecture_search._search import Nets
from methods.image_classification.architecture_search._space import Shape, Space, Stage, StageOptions, space_of
from methods.image_classification.architecture_search._supernet import SuperLearner
from suites._training.learner import Moment
from suites._vision.learning import ImageBatch

NETS = Nets(space_of(8, 2), classes=10, size=16)
SPACE = NETS.space
SOME = SPACE.shape((6, 1, 3, 18, 4, 24, 10, 2, 6, 48, 4, 24, 28, 2, 8, 48, 10, 96))


class MaskedNorm(nn.Module):
    """A layer norm that counts the first `count` channels."""

    def __init__(self, norm: nn.LayerNorm, count: int) -> None:
        super().__init__()
        self.norm, self.mask = norm, first(count, norm.weight.numel())

    def forward(self, x: Tensor) -> Tensor:
        count = self.mask.sum()
        mean = (x * self.mask).sum(-1, keepdim=True) / count
        variance = ((x - mean).square() * self.mask).sum(-1, keepdim=True) / count
        return ((x - mean) / (variance + self.norm.eps).sqrt() * self.norm.weight + self.norm.bias) * self.mask


def first(count: int, of: int) -> Tensor:
    return (torch.arange(of) < count).float()


def masked(net: MultiStageViT, shape: Shape) -> MultiStageViT:
    """The largest net with masks on its activations, as the authors train it."""

    def out(module: nn.Module, mask: Tensor) -> None:
        module.register_forward_hook(lambda _, __, found: found * mask)

    def into(module: nn.Module, mask: Tensor) -> None:
        module.register_forward_pre_hook(lambda _, given: (given[0] * mask,))

    for number, stage in enumerate(shape):
        full = SPACE.largest[number]
        width = first(stage.width, full.width)
        net.stages[number] = net.stages[number][: len(stage.blocks)]
        if number:
            before = net.reductions[number - 1]
            before.norm = MaskedNorm(before.norm, shape[number - 1].width)
            out(before, width)
        else:
            into(net.stages[0], width)
            for index, count in ((1, stage.width // 2), (4, stage.width // 2), (7, stage.width)):
                out(net.stem[index], first(count, net.stem[index].num_features)[:, None, None])
        for block, sizes, largest in zip(net.stages[number], stage.blocks, full.blocks, strict=False):
            block.norm1, block.norm2 = MaskedNorm(block.norm1, stage.width), MaskedNorm(block.norm2, stage.width)
            into(block.attn.proj, first(sizes[0] * SPACE.head_size, largest[0] * SPACE.head_size))
            into(block.mlp.fc2, first(sizes[1], largest[1]))
            out(block.attn, width)
            out(block.mlp, width)
    net.norm = MaskedNorm(net.norm, shape[-1].width)
    return net


def learner(nets: int = 4) -> SuperLearner:
    torch.manual_seed(0)
    made = SuperLearner(SPACE, NETS, nets, np.random.default_rng(0))
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.normal_(0, 0.3)
    return made


def batch(count: int = 8) -> ImageBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return ImageBatch(images, torch.arange(count) % 10)


def test_a_part_is_the_masked_net_and_what_is_left_out_gets_no_gradient() -> None:
    by_parts, by_masks = learner().model, learner().model
    given = batch()
    super_net = learner()
    super_net.model = by_parts
    logits = super_net.part(SOME)(given.inputs)
    weights = dict(by_masks.named_parameters())
    wanted = masked(by_masks, SOME)(given.inputs)
    assert logits.std() > 0.1
    assert torch.allclose(logits, wanted, atol=1e-4)
    cross_entropy(logits, given.labels).backward()
    cross_entropy(wanted, given.labels).backward()
    untouched = 0
    for name, weight in by_parts.named_parameters():
        theirs = weights[name].grad
        mine = torch.zeros_like(weight) if weight.grad is None else weight.grad
        assert torch.allclose(mine, torch.zeros_like(mine) if theirs is None else theirs, atol=1e-4), name
        untouched += int((mine == 0).sum())
    small = sum(weight.numel() for weight in NETS(SOME).parameters())
    assert untouched >= sum(weight.numel() for weight in by_parts.parameters()) - small


def test_a_net_that_is_cut_out_answers_as_the_part_did() -> None:
    super_net = learner()
    small = NETS(SOME)
    answer = super_net.part(SOME)
    left = small.load_state_dict(answer.args[1], strict=False)
    assert all(name in dict(small.named_buffers()) for name in left.missing_keys)
    assert not left.unexpected_keys
    inputs = batch().inputs
    assert torch.equal(small(inputs), answer(inputs))
    assert torch.allclose(super_net.part(SPACE.largest)(inputs), super_net.model(inputs), atol=1e-5)


def test_multiply_adds_are_those_that_are_executed() -> None:
    rng = np.random.default_rng(0)
    for shape in [SPACE.largest, SPACE.smallest, *(SPACE.shape(SPACE.sample(rng)) for _ in range(5))]:
        net = NETS(shape).eval()
        with torch.no_grad():
            counted = count_operators(lambda net=net: net(torch.zeros(1, 3, 16, 16)))
        assert NETS.flops(shape) == counted.products


def test_a_reduction_without_its_layers_is_the_mean_of_four_and_zeros() -> None:
    reduction = SpatialReduction(3, 5, 4)
    for layer in (reduction.conv, reduction.token):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    tokens = torch.randn(2, 17, 3)
    found = reduction(tokens)
    assert found.shape == (2, 5, 5)
    assert torch.equal(found[..., 3:], torch.zeros(2, 5, 2))
    assert torch.allclose(found[:, 0, :3], tokens[:, 0])
    assert torch.allclose(found[:, 2, :3], tokens[:, 1 + torch.tensor([2, 3, 6, 7])].mean(1), atol=1e-6)


def test_options_open_from_the_largest_on_and_occur_equally_often() -> None:
    rng = np.random.default_rng(0)
    assert set(SPACE.samples(8, 0.0, rng)) == {SPACE.largest}
    half = {stage.width for shape in SPACE.samples(400, 0.5, rng) for stage in shape[:1]}
    assert half == {8, 7}
    widths = [shape[0].width for shape in SPACE.samples(8, 3.0, rng)]
    assert sorted(widths) == [5, 5, 6, 6, 7, 7, 8, 8]
    assert {len(shape[1].blocks) for shape in SPACE.samples(8, 1.0, rng)} == {1, 2}


def test_a_step_trains_several_nets_or_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for nets in (4, 1):
        super_net = learner(nets)
        super_net.before_step(Moment(5, 10, 0.5))
        assert super_net.opened == 2.0
        asked = []
        part = SuperLearner.part
        monkeypatch.setattr(super_net, "part", lambda shape: asked.append(shape) or part(super_net, shape))  # noqa: B023
        loss = super_net.loss(batch())
        assert len(asked) == nets
        inputs, labels = batch().inputs.chunk(nets), batch().labels.chunk(nets)
        each = [
            cross_entropy(part(super_net, shape)(images), truth)
            for shape, images, truth in zip(asked, inputs, labels, strict=True)
        ]
        assert torch.allclose(loss, torch.stack(each).mean(), atol=1e-5)


EIGHT = Space((StageOptions((8, 7, 6, 5), (2, 1), (3, 2, 1), (9, 8, 7)),), head_size=1)


def cost(shape: Shape) -> int:
    return sum(stage.width + sum(heads * 2 + hidden for heads, hidden in stage.blocks) for stage in shape)


def worth(shape: Shape) -> float:
    """Wants width first, and MLPs more than heads."""
    return sum(3 * stage.width + sum(heads + 2 * hidden for heads, hidden in stage.blocks) for stage in shape)


def found_by(plan: Plan, space: Space, limit: int, seed: int) -> float:
    """Of the best net; it is among those that were asked, none of them twice."""
    asked: list[Shape] = []
    shape = evolve(
        space,
        lambda shape: cost(shape) <= limit,
        lambda shape: asked.append(shape) or -worth(shape),
        plan,
        np.random.default_rng(seed),
    )
    assert shape is not None
    assert len(asked) == len(set(asked)) <= plan.evaluations
    assert max(map(cost, asked)) <= limit
    assert worth(shape) == max(map(worth, asked))
    return worth(shape)


PLAN = Plan(strangers=10, rounds=20, parents=4, mutants=2, crossings=2)


def test_evolution_finds_the_best_that_brute_force_finds() -> None:
    everything = {EIGHT.shape(genes) for genes in product(*EIGHT.options)}
    best = max(worth(shape) for shape in everything if cost(shape) <= 27)
    assert [found_by(PLAN, EIGHT, 27, seed) for seed in range(10)].count(best) >= 8


def test_evolution_finds_more_than_random_search_by_as_many_evaluations() -> None:
    three = Space(EIGHT.stages * 3, head_size=1)
    evolved, drawn = ([found_by(plan, three, 81, seed) for seed in range(5)] for plan in (PLAN, Plan(PLAN.evaluations)))
    assert fmean(evolved) > max(drawn)


def test_that_no_net_is_allowed_is_said() -> None:
    plan = Plan(2, rounds=2, parents=1, mutants=1, crossings=1)
    assert evolve(EIGHT, lambda _: False, worth, plan, np.random.default_rng(0)) is None


def test_genes_of_a_block_that_is_left_out_say_nothing() -> None:
    assert EIGHT.shape((8, 1, 3, 9, 1, 7)) == EIGHT.shape((8, 1, 3, 9, 2, 8)) == (Stage(8, ((3, 9),)),)
    assert SPACE.largest[0] == Stage(8, ((4, 24), (4, 24)))
    assert SPACE.smallest[2] == Stage(20, ((8, 48),))
