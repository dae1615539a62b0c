"""Packed codes, AdaQuant's parts by themselves, and that what is built comes of them."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from methods.vision_compression._folding import folded
from methods.vision_compression._layers import all_layers
from methods.vision_compression.quantisation import adaquant
from methods.vision_compression.quantisation._codes import (
    Codes,
    affordable_bits,
    input_ranges,
    nearest,
    rounded,
)
from methods.vision_compression.quantisation.adaquant import (
    AdaQuant,
    cheapest_bits,
    divergence,
    imitated,
    inserted,
    of_dense,
    renewed,
    seen,
)
from methods.vision_compression.quantisation.rtn import RTN
from tests.methods.vision_compression.conftest import Make, images, same


@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_are_packed_to_the_bit(bits: int) -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(2**bits, (6, 45), generator=generator)
    step, zero = torch.rand(6, 1, generator=generator), torch.randint(2**bits, (6, 1), generator=generator)
    stored = Codes(codes, step, zero, bits)
    assert stored.planes.numel() == -(-6 * 45 * bits // 8)
    assert torch.equal(stored.codes(), codes.float())
    assert torch.allclose(stored(), (codes - zero) * step)


def test_rounding_is_to_the_nearest_level_and_keeps_zero() -> None:
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    weight[:, 0] = 0
    stored = nearest(weight, 4)
    assert ((stored() - weight).abs() <= stored.step * 0.5 + 1e-6).float().mean() > 0.9  # the zero is rounded too
    assert ((stored() - weight).abs() <= stored.step * 1.01).all()
    assert not stored()[:, 0].any()


@pytest.mark.parametrize("base", ["cnn", "vit"])
def test_eight_bits_are_nearly_the_dense_model(compression: Make, base: str) -> None:
    task = compression(base=base)
    model, inputs = folded(task.model), images(task)
    with torch.no_grad():
        ends = input_ranges(model, inputs)
        eight = rounded(model, dict.fromkeys(all_layers(model), 8), ends)
        assert ends.keys() == all_layers(model).keys()
        assert divergence(eight(inputs), task.model(inputs)) < 2e-3


@pytest.mark.parametrize("point", ["size-25", "size-10"])
def test_the_bits_that_may_be_spent_meet_the_limit(compression: Make, point: str) -> None:
    task = compression(point)
    model = folded(task.model)
    found = all_layers(model)
    room = affordable_bits(task, model)
    fewer = room // sum(each.weight.numel() for each in found.values())
    bits = dict.fromkeys(found, fewer)
    spent = sum(fewer * each.weight.numel() for each in found.values())
    for name, each in found.items():  # fill up what is left
        if spent + each.weight.numel() <= room and fewer < 8:
            bits[name] += 1
            spent += each.weight.numel()
    assert task.limits.met_by(task.weigh(rounded(model, bits)))
    assert task.limits.excess(task.weigh(rounded(model, bits))) > -0.12


@pytest.mark.parametrize("seed", range(6))
def test_the_integer_programme_finds_what_brute_force_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rises, sizes, choices = rng.random((5, 3)), rng.integers(10, 1_000, 5).tolist(), (2, 4, 8)
    for room in (2 * sum(sizes), 4 * sum(sizes), 5 * sum(sizes), 8 * sum(sizes)):
        possible = [
            each
            for each in product(range(3), repeat=5)
            if sum(choices[i] * size for i, size in zip(each, sizes, strict=True)) <= room
        ]
        least = min(rises[range(5), each].sum() for each in possible)
        found = cheapest_bits(rises, sizes, choices, room)
        assert sum(bits * size for bits, size in zip(found, sizes, strict=True)) <= room
        assert rises[range(5), [choices.index(bits) for bits in found]].sum() == pytest.approx(least)
    with pytest.raises(ValueError, match="no choice of bits"):
        cheapest_bits(rises, sizes, choices, sum(sizes))


def test_inserted_batch_norms_change_nothing_until_their_statistics_do(compression: Make) -> None:
    task = compression()
    model, inputs = folded(task.model), images(task)
    norms = inserted(model, task.model, of_dense(task.model, [inputs]))
    assert len(norms) == sum(isinstance(each, torch.nn.BatchNorm2d) for each in task.model.modules())
    assert same(model, task.model, inputs, 2e-3)


def test_renewed_statistics_are_the_quantised_models_own(compression: Make) -> None:
    """A layer that gives twice as much, and something more, is brought back to where it would be without."""
    task = compression()
    inputs, model = task.calibration(32), folded(task.model)
    right, wrong = (rounded(model, dict.fromkeys(all_layers(model), 8)) for _ in range(2))
    wrong.get_submodule("layer2.0.conv1").store.step.mul_(2)
    wrong.get_submodule("layer2.0.conv1").bias.add_(0.7)
    assert not same(right, wrong, inputs, 0.1)
    for built in (right, wrong):
        renewed(built, task.model, inputs.split(16))
        assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in built.modules())
    assert same(right, wrong, inputs, 1e-3)


def test_images_that_the_norms_were_not_trained_on_change_nothing_where_nothing_was_lost(compression: Make) -> None:
    task = compression()
    inputs = task.calibration(32) * 0.3 + 0.5
    model = folded(task.model)
    renewed(built := rounded(model, dict.fromkeys(all_layers(model), 8)), task.model, inputs.split(16))
    assert same(built, task.model, inputs, 0.3)


def test_what_a_layer_gives_is_seen_before_it_is_changed_in_place() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    images = torch.randn(2, 3, 4, 4)
    given, wanted = seen(model, "1", images.clone())
    assert torch.equal(given, images.relu())
    assert torch.equal(wanted, model[1](given))
    assert wanted.min() < 0


def test_calibration_lowers_the_error_on_images_that_it_has_not_seen(compression: Make) -> None:
    task = compression()
    model, name = folded(task.model).requires_grad_(False), "layer2.0.conv2"
    inputs, others = task.calibration(32), images(task, 10)
    ends = input_ranges(model, inputs)
    given, wanted = seen(model, name, others)
    errors = {}
    for steps in (0, 100):
        layer = AdaQuant(steps=steps).calibrated(model, name, 3, ends, inputs)
        errors[steps] = float((layer(given) - wanted).square().mean())
    assert errors[100] < 0.95 * errors[0]


def test_what_is_trained_is_what_is_stored(compression: Make) -> None:
    task = compression()
    model, name = folded(task.model).requires_grad_(False), "layer2.0.conv2"
    inputs = task.calibration(16)
    ends, layer = input_ranges(model, inputs), model.get_submodule(name)
    given, _ = seen(model, name, inputs)
    low, width = adaquant.weight_range(layer.weight)
    trained = imitated(layer, given, [layer.weight, layer.bias, low, width, *ends[name]], 3)
    stored = AdaQuant(steps=0).calibrated(model, name, 3, ends, inputs)(given)
    assert torch.allclose(trained, stored, atol=1e-4)


def test_build_takes_the_programmes_bits_and_moves_every_layer(
    compression: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = compression("size-25", passes=0)
    chosen: list[list[int]] = []

    def four_but_the_first(rises: np.ndarray, sizes: list[int], choices: tuple[int, ...], room: int) -> list[int]:
        chosen.append([2] + [4] * (len(sizes) - 1))
        return chosen[-1]

    monkeypatch.setattr(adaquant, "cheapest_bits", four_but_the_first)
    built = AdaQuant(steps=3, images=8).build(task)
    stores = [each for each in built.modules() if isinstance(each, Codes)]
    assert [each.bits for each in stores] == chosen[0]
    monkeypatch.undo()
    plain = AdaQuant(steps=0, norms=False, bias_steps=0, programme=False).build(compression("size-25"))
    assert {each.bits for each in plain.modules() if isinstance(each, Codes)} == {6}
    for other in ({"steps": 5}, {"norms": True}, {"bias_steps": 1}):
        settings = {"steps": 0, "norms": False, "bias_steps": 0, "programme": False} | other
        assert not same(AdaQuant(**settings).build(compression("size-25")), plain, images(task))


@pytest.mark.parametrize(("base", "point"), [("cnn", "size-10"), ("vit", "agree-size-25")])
def test_it_meets_the_limit(compression: Make, base: str, point: str) -> None:
    task = compression(point, base)
    method = AdaQuant(steps=2, images=8)
    assert method.supports(task) is None
    assert task.limits.met_by(task.weigh(method.build(task)))
    assert task.limits.met_by(task.weigh(RTN(inputs=True).build(task)))
    assert "FLOPs stay" in str(method.supports(compression("compute-50")))
    assert "2 bits a weight" in str(method.supports(compression(base="vit", stored_ratio=0.05)))
