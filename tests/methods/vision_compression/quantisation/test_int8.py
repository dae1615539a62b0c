"""8 bits by a library's kernels."""

import pickle

import pytest
import torch
from torch import fake_quantize_per_tensor_affine, nn

from bench.measure.flops import count_flops
from methods.vision_compression._folding import folded
from methods.vision_compression._layers import layers
from methods.vision_compression.quantisation import _kernels, int8
from methods.vision_compression.quantisation._codes import INPUT_LEVELS, input_ranges
from methods.vision_compression.quantisation._kernels import Int8, exact
from methods.vision_compression.quantisation.int8 import EightBits
from tests.methods.vision_compression.conftest import Make, images, same

pytestmark = pytest.mark.skipif(not exact(), reason="no exact 8-bit products on this processor")

ENDS = torch.tensor(-1.0), torch.tensor(3.0)
LAYERS = [
    (nn.Conv2d(6, 10, 3, stride=2, padding=1), torch.randn(2, 6, 9, 9)),
    (nn.Conv2d(6, 4, 1, groups=2, bias=False), torch.randn(2, 6, 5, 5)),
    (nn.Linear(6, 10), torch.randn(2, 7, 6)),
]


@pytest.mark.parametrize(("layer", "inputs"), LAYERS, ids=["conv", "groups", "linear"])
def test_the_kernel_computes_what_rounded_weights_and_inputs_give(layer: nn.Module, inputs: torch.Tensor) -> None:
    found = Int8(layer, ENDS)
    rounded = fake_quantize_per_tensor_affine(inputs, found.input_step, found.input_zero, 0, INPUT_LEVELS)
    assert not torch.allclose(rounded, inputs, atol=1e-3)
    weight = found.store()
    step = layer.weight.detach().flatten(1).abs().amax(1) / 127
    assert bool(((weight - layer.weight).flatten(1).abs() <= step[:, None] / 2 + 1e-6).all())
    layer.weight.data = weight.view(layer.weight.shape)
    assert torch.allclose(found(inputs), layer(rounded), atol=1e-4)


@pytest.mark.parametrize(("layer", "inputs"), LAYERS, ids=["conv", "groups", "linear"])
def test_its_products_are_counted_as_the_layer_s(layer: nn.Module, inputs: torch.Tensor) -> None:
    assert count_flops(lambda: Int8(layer, ENDS)(inputs)) == count_flops(lambda: layer(inputs))


def test_packed_weights_are_not_stored() -> None:
    layer, inputs = LAYERS[0]
    found = Int8(layer, ENDS)
    before = found(inputs)
    assert found.packed is not None
    again = pickle.loads(pickle.dumps(found))
    assert again.packed is None
    assert torch.equal(again(inputs), before)


@pytest.mark.parametrize("base", ["cnn", "vit"])
def test_build_has_all_plain_layers_in_8_bits(compression: Make, base: str) -> None:
    task = compression("size-50", base)
    built = EightBits().build(task)
    found = {name for name, each in built.named_modules() if isinstance(each, Int8)}
    assert found == set(layers(task.model))
    assert 0.25 < task.weigh(built)["stored_ratio"] < 0.4
    assert same(built, task.model, images(task), tolerance=0.5)
    ends = input_ranges(folded(task.model), task.calibration(128))
    for name in found:
        each = built.get_submodule(name)
        assert each.input_step == pytest.approx(float(ends[name][1]) / INPUT_LEVELS)


def test_it_says_where_it_can_t_be(compression: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert EightBits().supports(compression("size-50")) is None
    assert "8 bits a weight" in str(EightBits().supports(compression("size-10")))
    assert "FLOPs stay" in str(EightBits().supports(compression("compute-50")))
    monkeypatch.setattr(int8, "exact", lambda: False)
    assert "on this processor" in str(EightBits().supports(compression("size-50")))


def test_a_kernel_that_saturates_is_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    exact.cache_clear()
    forward = _kernels.Int8.forward
    monkeypatch.setattr(_kernels.Int8, "forward", lambda self, inputs: forward(self, inputs).clamp(max=32.0))
    assert not exact()
    exact.cache_clear()
