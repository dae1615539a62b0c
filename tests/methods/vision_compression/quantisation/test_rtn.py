"""Round to nearest."""

import pytest

from methods.vision_compression._folding import folded
from methods.vision_compression._layers import all_layers
from methods.vision_compression.quantisation._codes import Quantised, input_ranges, rounded, step_and_zero
from methods.vision_compression.quantisation.rtn import RTN
from tests.methods.vision_compression.conftest import Make


@pytest.mark.parametrize("inputs", [False, True], ids=["weights", "inputs"])
def test_inputs_are_rounded_between_the_ends_that_images_give_or_not_at_all(compression: Make, inputs: bool) -> None:
    task = compression("size-50")
    built = RTN(inputs=inputs).build(task)
    ends = input_ranges(folded(task.model), task.calibration(128))
    found = {name: each for name, each in built.named_modules() if isinstance(each, Quantised)}
    assert found.keys() == ends.keys()
    for name, each in found.items():
        step, zero = step_and_zero(ends[name], 255)
        assert each.ends == ((pytest.approx(float(step)), int(zero)) if inputs else None)


def test_all_weights_have_as_many_bits_as_the_limit_leaves(compression: Make) -> None:
    task = compression("size-25")
    built = RTN().build(task)
    bits = {each.store.bits for each in built.modules() if isinstance(each, Quantised)}
    assert len(bits) == 1
    (count,) = bits
    assert task.limits.met_by(task.weigh(built))
    plain = folded(task.model)
    assert not task.limits.met_by(task.weigh(rounded(plain, dict.fromkeys(all_layers(plain), count + 1))))
