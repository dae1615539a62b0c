"""A served model says the same by every call, and the same to lm-eval from another process as from this one."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from torch import Tensor, nn

from bench.run.channel import packed, unpacked
from suites._language.evaluation import evaluator
from suites._language.evaluation.evaluator import EffbenchLM
from suites._language.figures import kv_bytes_per_token
from suites._language.served import ServedLM

TEXT = "Vopokapo is a large festival near the bridge. A festival crosses the dark stone of Konobo in winter. "
IDS = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))


def served(toy: tuple[Any, Any], model: Any = None) -> ServedLM:
    return ServedLM(None, model or toy[0], toy[1], "cpu")


def without_blocks(model: Any, dropped: set[int]) -> Any:
    """The model with whole blocks removed and the cache slots of the rest numbered anew."""
    cut = copy.deepcopy(model)
    cut.model.layers = nn.ModuleList(block for i, block in enumerate(cut.model.layers) if i not in dropped)
    for index, block in enumerate(cut.model.layers):
        block.self_attn.layer_idx = index
    cut.config.num_hidden_layers = len(cut.model.layers)
    return cut


class Elsewhere:
    """What is served, behind messages as they go between processes."""

    def __init__(self, here: ServedLM) -> None:
        self.here = here
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.asked.append(len(arguments[0]) if arguments else 0)
            return unpacked(packed(getattr(self.here, name)(*unpacked(packed(list(arguments))))))

        return call


def instances(kind: str, arguments: list[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(kind, {}, each, index) for index, each in enumerate(arguments)]


@pytest.mark.parametrize("part", [4096, 3])
def test_lm_eval_hears_the_same_from_another_process(
    toy: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(evaluator, "PART", part)
    elsewhere = Elsewhere(served(toy))
    there, here = EffbenchLM(elsewhere, toy[1]), EffbenchLM(*toy)
    pairs = [(TEXT[: 20 + 9 * (i % 4)], choice) for i in range(8) for choice in (" one", " two or three")]
    asked: list[tuple[str, list[tuple[Any, ...]]]] = [
        ("loglikelihood", pairs),
        ("loglikelihood_rolling", [(TEXT,), (TEXT[:7],), (TEXT * 30,)]),
        ("generate_until", [(TEXT[: 5 * n + 5], {"until": ["\n"], "max_gen_toks": 6}) for n in range(4)]),
    ]
    for kind, arguments in asked:
        found, expected = (getattr(lm, kind)(instances(kind, arguments), True) for lm in (there, here))
        if kind == "loglikelihood":
            assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
            found, expected = ([score for score, _ in each] for each in (found, expected))
        assert found == (expected if kind == "generate_until" else pytest.approx(expected, abs=1e-3))
    assert there.max_length == here.max_length == 2048
    assert max(elsewhere.asked) <= max(part, 4)  # prompts are not parted


@pytest.mark.parametrize("dropped", [set(), {0, 4}])
def test_every_call_says_the_same(toy: tuple[Any, Any], dropped: set[int]) -> None:
    model = without_blocks(toy[0], dropped)
    says = served(toy, model)
    with torch.no_grad():
        whole = model(input_ids=IDS, use_cache=False).logits

    def same(found: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    same(says.forward(IDS), whole)
    same(says.prefill(IDS), whole[:, -1:])
    same(says.answer(IDS, 4), whole[:, -1:])
    same(says.follows(IDS[1].tolist()), whole[1, -1])
    same(says.begin(IDS[:, :5]), whole[:, 4:5])
    same(says.go_on(IDS[:, 5:7]), whole[:, 6:7])
    same(says.go_on(IDS[:, 7:8]), whole[:, 7:8])
    same(says.begin(IDS[:, :5]), whole[:, 4:5])  # what was read before is forgotten
    ((scores, _),) = says.score([(IDS[0, :6].tolist(), IDS[0, 6:].tolist())])
    expected = whole[0, 5:8].log_softmax(-1)[range(3), IDS[0, 6:]]
    same(torch.from_numpy(scores).float(), expected)


def test_no_more_than_one_position_of_logits_is_made_ready(toy: tuple[Any, Any]) -> None:
    assert served(toy).begin(torch.zeros(2, 5, dtype=torch.long)).shape == (2, 1, toy[0].config.vocab_size)


def test_it_is_served_in_evaluation_mode(toy: tuple[Any, Any]) -> None:
    model = copy.deepcopy(toy[0]).train()
    assert not served(toy, model).model.training


def test_parameters_count_shared_weights_once(toy: tuple[Any, Any]) -> None:
    config = toy[0].config
    width, neurons, kv = config.hidden_size, config.intermediate_size, config.num_key_value_heads * config.head_dim
    block = 2 * width * width + 2 * width * kv + 3 * width * neurons + 2 * width
    expected = config.vocab_size * width + config.num_hidden_layers * block + width
    assert served(toy).figures()["parameters"] == expected

    looped = copy.deepcopy(toy[0])
    looped.model.layers[5].mlp = looped.model.layers[4].mlp
    assert served(toy, looped).figures()["parameters"] == expected - 3 * width * neurons


def test_cache_bytes_are_those_of_the_layers_that_are_left(toy: tuple[Any, Any]) -> None:
    config = toy[0].config
    per_block = 2 * config.num_key_value_heads * config.head_dim * 4
    assert served(toy).figures()["kv_bytes_per_token"] == config.num_hidden_layers * per_block
    cut = without_blocks(toy[0], {1, 2})
    assert served(toy, cut).figures()["kv_bytes_per_token"] == 4 * per_block


def test_cache_bytes_of_a_foreign_cache_are_seen() -> None:
    class Reader:
        device = "cpu"

        def begin(self, ids: Tensor) -> Tensor:
            part = torch.zeros(6, 4, dtype=torch.float16)
            self.cache = {"halves": (part, part), "scale": [torch.zeros(ids.shape[1])]}
            return torch.zeros(1, 1, 2)

    assert kv_bytes_per_token(Reader()) == (6 * 4 * 2 + 32 * 4) / 32
