"""A decoder some of whose blocks are gone, and some of whose blocks use the weights of the block before them."""

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from torch import nn

from methods.lm_compression.layer_dropping._sublayers import blocks, drop, whole_block


class Fold(NamedTuple):
    """Blocks of the dense model, by index: those that are gone, and those that share the weights of their group.

    A group is a block that is neither, and the sharing blocks that follow it before the next such one.
    """

    gone: frozenset[int]
    sharing: frozenset[int]


def folds(importance: Sequence[float], removal: float, group: int) -> list[Fold]:
    """All folds from the mildest to the hardest, each with one block's weights less than the one before.

    importance: of each block. removal: the share of those weights that goes by removing the block; the rest goes by
    sharing, as far as groups of at most `group` blocks can take it. The least important blocks are removed; of those
    left, the least important share. The first block that is left leads the first group. One block always stays.
    """
    order = sorted(range(len(importance)), key=importance.__getitem__)  # stable: ties in the order of the model
    found = []
    for saved in range(len(order)):
        for removed in range(math.ceil(saved * removal), saved + 1):
            sharing = _least_important_sharers(order[removed:], saved - removed, group)
            if len(sharing) == saved - removed:
                found.append(Fold(frozenset(order[:removed]), sharing))
                break
    return found


def _least_important_sharers(order: Sequence[int], count: int, group: int) -> frozenset[int]:
    """Up to `count` blocks that share; order: the blocks that are left, least important first."""
    left = sorted(order)
    sharing: set[int] = set()
    for block in order:
        if len(sharing) == count:
            break
        wanted = sharing | {block}
        if block != left[0] and max(_group_sizes(left, wanted)) <= group:
            sharing = wanted
    return frozenset(sharing)


def _group_sizes(left: Sequence[int], sharing: Collection[int]) -> list[int]:
    sizes: list[int] = []
    for block in left:
        if block in sharing and sizes:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return sizes


def fold(model: Any, how: Fold, *, share_weights: bool = False) -> Any:
    """A copy of `model`, folded; `model` is left unchanged. share_weights: as in `drop`, for weighing.

    The linear layers of a group are one set of modules, so they are stored once and trained together. Each block keeps
    norms of its own, which cost next to nothing and let it adapt what it reads, and its own place in the KV cache.
    """
    candidate = drop(model, [part for index in how.gone for part in whole_block(index)], share_weights=share_weights)
    left = [index for index in range(len(blocks(model))) if index not in how.gone]
    leader: Any = None
    for index, block in zip(left, blocks(candidate), strict=True):
        if index in how.sharing:
            for part in ("self_attn", "mlp"):
                _adopt_linears(getattr(block, part), getattr(leader, part))
        else:
            leader = block
    return candidate


def _adopt_linears(module: nn.Module, leader: nn.Module) -> None:
    for name, child in leader.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, child)
