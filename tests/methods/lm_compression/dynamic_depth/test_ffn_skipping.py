"""Skipping skips what it says, for whom it says, and nothing else; the KV cache stays whole."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contract import Limits
from methods.lm_compression.dynamic_depth._skipping import Region, SkippingBlock, SkipPolicy, skipped_share, skipping
from methods.lm_compression.dynamic_depth.ffn_skipllm import ALWAYS, FFNSkipLLM, Saturation, cosines
from methods.lm_compression.dynamic_depth.random_ffn_runs import RandomFFNRuns, Tossed
from methods.lm_compression.dynamic_depth.random_ffn_skip import Chance, RandomFFNSkip
from suites._language.toy import toy_model
from suites.lm_compression.task import CausalLMTask
from tests.methods.lm_compression.compression_toys import limited, task_around, text_of

IDS = torch.randint(0, 256, (2, 24), generator=torch.Generator().manual_seed(1))
LAST = 4


@pytest.fixture(scope="module")
def model() -> Any:
    return toy_model().double()


def middle(model: Any, skip: int = 2, warm_up: int = 4) -> Saturation:
    """A threshold that about half of the cosines pass."""
    found = cosines(model, IDS, Region(1, LAST, warm_up)).flatten().sort().values
    threshold = found[len(found) // 2 - 1 :][:2].mean().item()  # between two of them, whatever rounding does
    return Saturation(Region(1, LAST, warm_up), threshold, skip)


def policies(model: Any) -> list[SkipPolicy]:
    return [
        middle(model),
        Saturation(Region(1, LAST, 0), ALWAYS, 3),
        Chance(Region(1, LAST, 4), 0.5, seed=3, device="cpu"),
    ]


def logits(model: Any, ids: Tensor = IDS, **call: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids, **call).logits


class ByTable:
    """Runs what a table (blocks, positions) says, and writes down what it was told of."""

    def __init__(self, table: Tensor) -> None:
        self.region = Region(0, len(table) - 1, warm_up=0)
        self.table, self.told = table, []

    def runs(self, block: int, positions: Tensor) -> Tensor:
        return self.table[block, positions]

    def ran(self, block: int, rows: Tensor, before: Tensor, after: Tensor) -> None:
        self.told.append((block, rows.tolist(), before, after))


def reference(model: Any, ids: Tensor, table: Tensor) -> Tensor:
    """Every FFN computed for all tokens, its update multiplied by 0 or 1: skipping without gathering."""
    handles = [
        block.mlp.register_forward_hook(lambda _, __, out, row=row: out * row[None, : out.shape[1], None])
        for block, row in zip(model.model.layers, table.to(torch.float64), strict=True)
    ]
    try:
        return logits(model, ids)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_skipped_ffn_leaves_the_stream_and_the_others_are_dense(model: Any, batch: int) -> None:
    table = torch.rand(6, 24, generator=torch.Generator().manual_seed(0)) < 0.5
    table[2] = False
    candidate = skipping(model, ByTable(table))
    assert torch.allclose(logits(candidate, IDS[:batch]), reference(model, IDS[:batch], table), atol=1e-10)


def test_what_is_told_is_the_stream_around_the_ffn(model: Any) -> None:
    table = torch.rand(6, 24, generator=torch.Generator().manual_seed(0)) < 0.5
    policy = ByTable(table)
    logits(candidate := skipping(model, policy), IDS[:1])
    assert [(block, rows) for block, rows, _, _ in policy.told] == [
        (block, table[block].nonzero().flatten().tolist()) for block in range(6)
    ]
    for block, _, before, after in policy.told:
        layer: SkippingBlock = candidate.model.layers[block]
        with torch.no_grad():
            assert torch.allclose(after - before, layer.mlp(layer.post_attention_layernorm(before)), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_threshold_above_one_is_dense_to_the_bit(dtype: torch.dtype) -> None:
    dense = toy_model().to(dtype)
    candidate = skipping(dense, Saturation(Region(1, LAST, 0), 1.0001, 3))
    assert torch.equal(logits(candidate), logits(dense))


@pytest.mark.parametrize("which", range(3))
def test_decoding_with_the_cache_is_one_pass(model: Any, which: int) -> None:
    candidate = skipping(model, policies(model)[which])
    assert skipped_share(candidate, IDS) > 0.1
    cache, parts = None, []
    for piece in IDS.split([9, 1, 2, 1, 1, 1, 9], dim=1):
        with torch.no_grad():
            out = candidate(input_ids=piece, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(out.logits)
    assert torch.allclose(torch.cat(parts, 1), logits(candidate), atol=1e-10)
    greedy = {"max_new_tokens": 6, "do_sample": False}
    assert torch.equal(
        candidate.generate(IDS, use_cache=True, **greedy), candidate.generate(IDS, use_cache=False, **greedy)
    )


@pytest.mark.parametrize("which", range(3))
def test_neighbours_and_left_padding_change_nothing(model: Any, which: int) -> None:
    candidate = skipping(model, policies(model)[which])
    together = logits(candidate)
    assert torch.allclose(torch.cat([logits(candidate, row[None]) for row in IDS]), together, atol=1e-10)
    padded = torch.cat([torch.full((2, 3), 257), IDS], 1)
    mask = (torch.arange(27) >= 3).long().expand(2, -1)
    positions = (torch.arange(27) - 3).clamp_min(0).expand(2, -1)
    shifted = logits(candidate, padded, attention_mask=mask, position_ids=positions)
    assert torch.allclose(shifted[:, 3:], together, atol=1e-10)


def test_attention_runs_for_every_token_and_the_cache_is_whole(model: Any) -> None:
    candidate = skipping(model, Saturation(Region(1, LAST, 0), ALWAYS, 3))
    seen = []
    for block in candidate.model.layers:
        block.self_attn.o_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[:2].numel()))
    with torch.no_grad():
        cache = candidate(input_ids=IDS, use_cache=True).past_key_values
    assert seen == [IDS.numel()] * 6
    assert all(layer.keys.shape[-2] == IDS.shape[1] for layer in cache.layers)


def test_the_skipped_set_by_hand() -> None:
    """A token in seven blocks, of which 1 to 5 may skip, two at a time."""
    policy = Saturation(Region(1, 5, 0), threshold=0.9, skip=2)
    x, nearly, turned = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]).split(1)
    after = {1: turned, 2: nearly, 5: nearly}
    ran = []
    for block in range(1, 6):
        if policy.runs(block, torch.tensor([7])).item():
            policy.ran(block, torch.tensor([0]), x, after[block])
            ran.append(block)
    # 1 turns the stream and 2 does not, so 3 and 4 are skipped, and 5 is watched again.
    assert ran == [1, 2, 5]


def test_the_first_tokens_run_in_full_and_the_cold_regions_for_all(model: Any) -> None:
    rows: dict[int, int] = {}
    candidate = skipping(model, Saturation(Region(1, LAST, 6), ALWAYS, 100))
    for index, block in enumerate(candidate.model.layers):
        block.mlp.register_forward_pre_hook(lambda _, inputs, i=index: rows.__setitem__(i, len(inputs[0])))
    logits(candidate)
    assert rows == {0: 48, 1: 48, 2: 12, 3: 12, 4: 12, 5: 48}


def test_cold_regions_are_a_share_of_the_blocks() -> None:
    assert Region.between(30, 0.1, 4) == Region(3, 26, 4)
    assert Region.between(6, 0.1, 4) == Region(1, 4, 4)
    assert Region.between(6, 0.0, 4) == Region(0, 5, 4)
    everything_cold = FFNSkipLLM(cold=0.5).supports(make_task())
    assert "cold regions" in str(everything_cold)


def test_skips_do_not_outlive_a_pass(model: Any) -> None:
    candidate = skipping(model, Saturation(Region(1, LAST, 0), ALWAYS, 100))
    assert torch.equal(logits(candidate), logits(candidate))


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_the_most_that_is_skipped_is_what_the_rule_allows(model: Any, skip: int) -> None:
    candidate = skipping(model, Saturation(Region(1, LAST, 6), ALWAYS, skip))
    skipped = {1: 2, 2: 2, 3: 3}[
        skip
    ]  # of the four in the middle: the second and fourth; second and third; all but one
    assert skipped_share(candidate, IDS) == pytest.approx(skipped / 6 * 18 / 24)


def test_a_lower_threshold_starts_with_the_most_saturated(model: Any) -> None:
    seen = cosines(model, IDS, Region(1, LAST, 0))
    assert len(seen) == 4 * IDS.numel()
    shares = [
        skipped_share(skipping(model, Saturation(Region(1, LAST, 0), level, 1)), IDS)
        for level in (seen.max().item() + 1e-6, seen.quantile(0.9).item(), seen.median().item(), ALWAYS)
    ]
    assert shares[0] == 0
    assert shares == sorted(set(shares))


def flops(candidate: Any, ids: Tensor) -> int:
    """Products of the FFNs alone, counted where they run."""
    total = 0

    def count(module: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        nonlocal total
        total += 2 * module.weight.numel() * inputs[0].shape[:-1].numel()

    handles = [m.register_forward_hook(count) for m in candidate.modules() if isinstance(m, torch.nn.Linear)]
    logits(candidate, ids)
    for handle in handles:
        handle.remove()
    return total


def make_task(seed: int = 0, **limits: float) -> CausalLMTask:
    dense = toy_model()
    ids = torch.randint(0, 256, (512,), generator=torch.Generator().manual_seed(2)).tolist()
    prompt = torch.tensor([ids[:64]])
    whole = flops(dense, prompt)
    return task_around(
        dense,
        lambda candidate: {"flops_ratio": flops(candidate, prompt) / whole, "stored_ratio": 1.0},
        Limits(result=limits),
        calibration=ids,
        seed=seed,
    )


METHODS = [FFNSkipLLM(length=64, skip=3), RandomFFNSkip(length=64), RandomFFNRuns(length=64, skip=3)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("allowed", [0.95, 0.75])
def test_it_meets_a_limit_and_not_by_much(method: Any, allowed: float) -> None:
    task = make_task(flops_ratio=allowed)
    assert method.supports(task) is None
    ratio = task.weigh(method.build(task))["flops_ratio"]
    assert allowed - 0.02 < ratio <= allowed


@pytest.mark.parametrize("method", METHODS)
def test_without_a_limit_it_skips_the_share_of_the_paper(method: Any) -> None:
    task = make_task()
    candidate = method.build(task)
    windows = text_of(task)[:256].view(4, 64)
    assert 0.25 <= skipped_share(candidate, windows) < 0.27
    assert candidate.effbench_exact_path == "plain"


@pytest.mark.parametrize(("method", "kind"), list(zip(METHODS, (Saturation, Chance, Tossed), strict=True)))
def test_what_decides_is_the_policy_of_the_method(method: Any, kind: type) -> None:
    """With the threshold, or the chance, that meets the limit."""
    candidate = method.build(make_task(seed=3, flops_ratio=0.85))
    policies = {id(block.policy): block.policy for block in candidate.model.layers if isinstance(block, SkippingBlock)}
    (policy,) = policies.values()
    assert type(policy) is kind
    assert policy.region == Region.between(6, method.cold, method.warm_up)
    if isinstance(policy, Saturation):
        assert policy.skip == method.skip
    if kind is Saturation:
        seen = cosines(toy_model(), text_of(make_task())[:512].view(8, 64), policy.region)
        assert seen.min() < policy.threshold < seen.max()


@pytest.mark.parametrize("method", METHODS)
def test_what_it_can_not_do_it_says(method: Any) -> None:
    task = make_task()
    assert "not what is stored" in method.supports(limited(task, stored_ratio=0.75))
    assert "still" in method.supports(limited(task, flops_ratio=0.3))
    assert method.supports(task) is None


@pytest.mark.parametrize("method", METHODS)
def test_the_dense_model_is_unchanged_and_unshared(method: Any) -> None:
    task = make_task()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    candidate = method.build(task)
    assert candidate.state_dict().keys() == before.keys()
    assert all(torch.equal(before[name], value) for name, value in task.model.state_dict().items())
    own = {tensor.data_ptr() for tensor in task.model.parameters()}
    assert own.isdisjoint(tensor.data_ptr() for tensor in candidate.parameters())
    assert not any(isinstance(block, SkippingBlock) for block in task.model.model.layers)


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_random_control_hangs_on_its_seed_alone(method: Any) -> None:
    first, again, other = (logits(method.build(make_task(seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_higher_probability_skips_the_same_and_more() -> None:
    runs = [Chance(Region(1, LAST, 0), p, seed=0, device="cpu").run for p in (0.0, 0.3, 0.6, 1.0)]
    assert runs[0].all()
    assert not runs[-1].any()
    assert all((fewer <= more).all() for more, fewer in itertools.pairwise(runs))


def test_chance_skips_so_many_in_a_row_as_the_method_does() -> None:
    tokens, skip, last = 200, 2, 20
    policy = Tossed(Region(1, last, 0), 0.5, skip, seed=0, device="cpu")
    ran = []
    for block in range(1, last + 1):
        ran.append(policy.runs(block, torch.arange(tokens)))
        policy.ran(block, ran[-1].nonzero().squeeze(1), torch.empty(0), torch.empty(0))
    for token in range(tokens):
        fate = "".join("x" if each[token] else "." for each in ran)
        gaps = [len(gap) for gap in fate.rstrip(".").split("x") if gap]
        assert fate[0] == "x"
        assert set(gaps) <= {skip}
    share = 1 - torch.stack(ran).float().mean().item()
    assert 0.4 < share < 0.6  # a toss after each that ran: half of the times two more go


@pytest.mark.gpu
@pytest.mark.parametrize("chance", [False, True])
def test_the_same_code_runs_on_a_gpu(cuda: str, chance: bool) -> None:
    answers = []
    for device in ("cpu", cuda):
        dense = toy_model().double()
        policy = Chance(Region(1, LAST, 4), 0.5, seed=3, device=device) if chance else middle(dense)
        answers.append(logits(skipping(dense.to(device), policy), IDS.to(device)).cpu())
    assert torch.allclose(*answers, atol=1e-5)  # RMSNorm computes in float32
