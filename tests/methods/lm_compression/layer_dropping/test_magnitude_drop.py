"""The smallest weights leave first, whatever the size of the matrices that hold them."""

import torch

from methods.lm_compression.layer_dropping._sublayers import AttentionBlock, MLPBlock, Sublayer
from methods.lm_compression.layer_dropping.magnitude_drop import MagnitudeDrop, module_of

from .conftest import random_model


def shrunk(*sublayers: Sublayer):
    """A model where the weights of these sub-layers have half the size."""
    model = random_model()
    with torch.no_grad():
        for sublayer in sublayers:
            for parameter in module_of(model, sublayer).parameters():
                parameter.mul_(0.5)
    return model


def test_the_block_with_the_smallest_weights_goes_first(make_task):
    model = shrunk(Sublayer(2, "attention"), Sublayer(2, "mlp"))
    candidate = MagnitudeDrop(unit="block").build(make_task(model, flops_ratio=0.99))
    kept = [block.mlp.up_proj.weight for block in candidate.model.layers]
    dense = [model.model.layers[index].mlp.up_proj.weight for index in (0, 1, 3)]
    assert len(kept) == len(dense)
    assert all(map(torch.equal, kept, dense))


def test_a_sublayer_goes_by_the_size_of_its_weights_not_by_their_number(make_task):
    for kind, left in (("attention", MLPBlock), ("mlp", AttentionBlock)):
        candidate = MagnitudeDrop(unit="sublayer").build(make_task(shrunk(Sublayer(1, kind)), flops_ratio=0.99))
        assert [type(block) is left for block in candidate.model.layers] == [False, True, False, False]
