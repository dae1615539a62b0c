"""The search for a learning rate."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.registry import Registry, open_registry
from bench.run.tune import SEED, Losses, NothingToTune, Search, best, tune


@pytest.fixture(scope="module")
def registry() -> Registry:
    return open_registry(plugins=False)


@pytest.mark.parametrize(("at", "tried"), [(3e-3, 3), (3e-2, 5), (9e-5, 6)])
def test_it_goes_on_until_the_best_has_neighbours(
    registry: Registry, at: float, tried: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial(self: Search, method: Any, seed: int) -> float:
        assert seed == SEED
        return float(abs(method.rate - at))

    monkeypatch.setattr(Search, "trial", trial)
    path = tmp_path / "rates.json"

    def search(what: str, losses: Losses) -> Search:
        return Search(registry, "lm-finetuning", what, "tiny", "cpu", losses)

    (found,) = tune(search, ["lora@tokens"], path, [], SEED).values()
    assert found == pytest.approx(at)
    kept = json.loads(path.read_text())["lora@tokens"]
    assert len(kept) == tried
    tune(search, ["lora@tokens"], path, [1.0, 2.0], SEED)
    assert len(json.loads(path.read_text())["lora@tokens"]) == tried + 2


@pytest.mark.parametrize(
    ("suite", "what"),
    [("lm-compression", "welore@size-75"), ("lm-finetuning", "lora@tokens")],
)
def test_a_rate_that_is_far_too_high_leaves_more(registry: Registry, suite: str, what: str) -> None:
    losses: Losses = {}
    search = Search(registry, suite, what, "tiny", "cpu", losses)
    search.one(search.rate)
    search.one(1e3)
    assert losses[f"{search.rate:g}"] < losses["1000"]


def test_a_recovery_is_judged_by_text_that_it_can_not_see(registry: Registry) -> None:
    from bench.contract import Setting
    from bench.registry.registry import load_problem

    info = registry.suite("lm-compression")
    problem = load_problem(info, "compress")
    setting = Setting("tiny", info.bases["tiny"][0], info.points["size-75"].at("tiny"), SEED)
    tuning = problem.tuning(setting)
    assert tuning is not None
    seen, whole = (len(task.supplies["training"]) for task in (tuning.task, problem.task_at_hand(setting)))
    assert 0 < seen < whole


def test_what_can_not_be_tuned_is_said(registry: Registry) -> None:
    with pytest.raises(NothingToTune, match="no learning rate"):
        Search(registry, "lm-compression", "dense@unlimited", "tiny", "cpu", {})
    with pytest.raises(LookupError, match="operating point in 'lora'"):
        Search(registry, "lm-finetuning", "lora", "tiny", "cpu", {})


def test_of_several_trials_the_mean_decides() -> None:
    assert best({"0.1": [1.0, 3.0], "0.3": [1.9]}) == 0.3


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b'{"lora@tokens": {"0.1": ["a"]}}', b"[" * 100_000, b""])
def test_a_file_of_rates_that_is_none_is_refused_before_anything_is_tried_and_stays(
    text: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "rates.json"
    path.write_bytes(text)
    with pytest.raises(NothingToTune, match=r"rates\.json holds no rates .*: mend it, or name another"):
        tune(lambda *_: pytest.fail("it is tried"), ["lora@tokens"], path, [], SEED)
    assert path.read_bytes() == text
