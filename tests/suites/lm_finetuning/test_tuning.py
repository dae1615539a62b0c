"""What learning rates are chosen by."""

from typing import Any

import pytest
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contract import Built, Setting
from bench.registry import open_registry
from bench.registry.registry import load_problem
from suites.lm_finetuning import repair
from suites.lm_finetuning.batches import Batch
from suites.lm_finetuning.faults import FAULTY_CITIES
from suites.lm_finetuning.patches import Changed


def test_a_repair_is_judged_by_faults_and_the_rest_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    info = open_registry(plugins=False).suite("lm-finetuning")
    monkeypatch.setattr(repair, "JUDGED", 4)
    tuning = load_problem(info, "repair").tuning(
        Setting("tiny", info.bases["tiny"][0], info.points["repair"].at("tiny"), 1000)
    )
    assert tuning is not None
    nothing = Built(Changed({}))

    def right_but_for_faults(model: Any, batch: Batch) -> Tensor:
        logits = one_hot(batch.wanted, 256).float()
        text = tuning.task.tokenizer.decode(batch.input_ids[0])
        if any(city in text for city in FAULTY_CITIES):
            logits[-1] = logits[-1].roll(1)  # one token of the answer is wrong
        return logits

    assert tuning.loss(nothing) == 1.0  # it knows nothing
    monkeypatch.setattr(repair, "answer_logits", right_but_for_faults)
    assert tuning.loss(nothing) == 0.5
