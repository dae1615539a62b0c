"""Post-training compression of a causal language model, after the data in suite.toml."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import MissingAsset, OperatingPoint, Score, Step, Suite, Workload
from suites._language import text
from suites._language.base import load_base
from suites._language.base import missing as base_missing
from suites._language.figures import kv_bytes_per_token, parameters
from suites._language.tokens import token_ids
from suites._language.workloads import workloads
from suites.lm_compression.task import CausalLMTask


class LMCompression(Suite[CausalLMTask]):
    """Candidates are models that are called like the base model; see CausalLMTask."""

    def missing(self, scale: str, base: str) -> str | None:
        return base_missing(scale, base) or (text.missing() if scale != "tiny" else None)

    def task(self, *, scale: str, base: str, point: OperatingPoint, seed: int, device: str) -> CausalLMTask:
        if problem := self.missing(scale, base):
            raise MissingAsset(problem)
        model, tokenizer = load_base(scale, base, device)
        return CausalLMTask(
            scale=scale,
            seed=seed,
            device=device,
            limits=point.limits,
            model=model,
            tokenizer=tokenizer,
            calibration_ids=token_ids(scale, "calibration", tokenizer),
            training_ids=token_ids(scale, "training", tokenizer),
        )

    def evaluate(self, candidate: Any, task: CausalLMTask) -> Sequence[Score]:
        from suites._language.evaluation import evaluate

        return evaluate(candidate, task)

    def workloads(self, task: CausalLMTask) -> Sequence[Workload]:
        return workloads(task, **self.info.settings["lengths"][task.scale])

    def figures(self, candidate: Any, task: CausalLMTask) -> Mapping[str, float]:
        return {
            "parameters": float(parameters(candidate)),
            "kv_bytes_per_token": kv_bytes_per_token(candidate, self._prompt(task)),
        }

    def stored(self, candidate: Any) -> object | None:
        """The state dict; tied weights share their storage there, and are written once."""
        return candidate.state_dict()

    def counted(self, candidate: Any, task: CausalLMTask) -> Step | None:
        """One forward pass over a prompt, with the logits of every position: what each token of a text costs."""
        ids = self._prompt(task)

        @torch.inference_mode()
        def forward() -> Tensor:
            return candidate(input_ids=ids, use_cache=False).logits

        return Step("prefill", forward, units=ids.shape[1])

    def _prompt(self, task: CausalLMTask) -> Tensor:
        """Calibration text (1, prompt length): what is counted must not hang on the draw of random tokens."""
        length = self.info.settings["lengths"][task.scale]["prompt"]
        return torch.tensor([task.calibration_ids[:length]], device=task.device)
