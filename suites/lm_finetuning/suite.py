"""Adapting a causal language model to new tasks, after the data in suite.toml."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bench.contract import MissingAsset, OperatingPoint, Score, Step, Suite, Workload
from suites._language import text
from suites._language.base import load_base
from suites._language.base import missing as base_missing
from suites._training.memory import step_memory
from suites.lm_finetuning import examples
from suites.lm_finetuning.candidate import Tuned
from suites.lm_finetuning.reading import check_apart
from suites.lm_finetuning.task import FineTuningTask
from suites.lm_finetuning.tracks import given
from suites.lm_finetuning.workloads import workloads


class LMFineTuning(Suite[FineTuningTask]):
    """Candidates are `Tuned` models."""

    def missing(self, scale: str, base: str) -> str | None:
        packages = (text.missing() or examples.missing()) if scale != "tiny" else None
        return base_missing(scale, base) or packages

    def task(self, *, scale: str, base: str, point: OperatingPoint, seed: int, device: str) -> FineTuningTask:
        if problem := self.missing(scale, base):
            raise MissingAsset(problem)
        model, tokenizer = load_base(scale, base, device)
        task = FineTuningTask(
            scale=scale,
            seed=seed,
            device=device,
            limits=point.limits,
            model=model,
            tokenizer=tokenizer,
            track=point.settings["track"],
            most_tokens=self.info.settings["tokens"][scale],
            seconds=self.info.settings["seconds"][scale] if point.settings.get("clock") else None,
            examples={name: examples.examples(scale, name, "training") for name in examples.TASKS},
        )
        check_apart(model, task.validation(batch=2)[0])
        task.given = given(task, base)
        return task

    def evaluate(self, candidate: Tuned, task: FineTuningTask) -> Sequence[Score]:
        from suites.lm_finetuning.tracks import scores

        found = scores(candidate, task)
        if candidate.curve.losses:
            found.append(Score("training_loss", candidate.curve.losses))
        if candidate.curve.validation:
            found.append(Score("learning_curve", candidate.curve.validation))
        return found

    def workloads(self, task: FineTuningTask) -> Sequence[Workload]:
        return workloads(task, **self.info.settings["lengths"][task.scale])

    def figures(self, candidate: Tuned, task: FineTuningTask) -> Mapping[str, float]:
        base = sum(parameter.numel() for parameter in task.model.parameters())
        shipped = candidate.state_dict().values()
        found = {
            "shipped_bytes": float(sum(tensor.numel() * tensor.element_size() for tensor in shipped)),
            "shipped_ratio": sum(tensor.numel() for tensor in shipped) / base,
        }
        if candidate.trainer is None or not candidate.curve.losses:
            return found
        trained = sum(weight.numel() for weight in candidate.trainer.learner.trained())
        memory = step_memory(candidate.trainer, task.validation()[0])
        found |= {
            "trained_parameters": float(trained),
            "training_memory": memory["total"],
            "training_memory_ratio": memory["total"] / task.full_memory,
            "optimizer_bytes": memory["optimizer"],
            "training_memory.weights": memory["weights"],
            "training_memory.step": memory["step"],
        }
        if candidate.rate is not None:
            found["learning_rate"] = candidate.rate
        reached = _reached(candidate, self.info.settings["level"][task.scale])
        return found | reached

    def counted(self, candidate: Tuned, task: FineTuningTask) -> Step | None:
        """One forward pass of the adapted model over the validation examples' first batch."""
        batch = task.validation()[0]

        @torch.inference_mode()
        def forward() -> Tensor:
            return candidate.model(input_ids=batch.input_ids, use_cache=False).logits

        return Step("forward", forward, units=batch.input_ids.numel())


def _reached(candidate: Tuned, level: float) -> dict[str, float]:
    """What it took until the loss over the validation examples was `level` or less; nothing if it never was."""
    curve = candidate.curve
    for loss, tokens, seconds in zip(curve.validation, curve.tokens, curve.seconds, strict=True):
        if loss <= level:
            return {"tokens_to_level": float(tokens), "seconds_to_level": seconds}
    return {}
