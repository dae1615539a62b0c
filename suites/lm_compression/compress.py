"""Post-training compression of a causal language model, after the data in suite.toml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.contract import MissingAsset, Problem, Score, Setting, Step, Supply, Tuning, Workload
from suites._language import text
from suites._language.base import load_model, load_tokenizer, prepare_base
from suites._language.base import missing as base_missing
from suites._language.evaluation.doubts import RULE, Kept, doubt
from suites._language.served import ServedLM
from suites._language.tokens import Tokens, token_ids
from suites._language.workloads import Speaking
from suites._training import tally
from suites.lm_compression.task import CausalLMTask


@dataclass(frozen=True)
class Exam:
    """scale: of the tasks that are asked. tokenizer: the base's. kept: some of the answers, as they were given."""

    scale: str
    tokenizer: Any
    kept: Kept

    @property
    def dtype(self) -> str:
        """Of the base's weights."""
        return "float32" if self.scale == "tiny" else "bfloat16"


class Compress(Problem[CausalLMTask, Exam]):
    """Candidates are models that are called like the base model; see CausalLMTask."""

    def missing(self, scale: str, base: str) -> str | None:
        return base_missing(scale, base) or (text.missing() if scale != "tiny" else None)

    def prepare(self, setting: Setting) -> None:
        if problem := self.missing(setting.scale, setting.base):
            raise MissingAsset(problem)
        prepare_base(setting.scale, setting.base)

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        tokenizer = load_tokenizer(setting.scale, setting.base)
        calibration = token_ids(setting.scale, "calibration", tokenizer)
        return {
            "calibration": Tokens(calibration, "calibration_tokens"),
            "training": Tokens(token_ids(setting.scale, "training", tokenizer), "training_tokens"),
            "prompt": Tokens(calibration[: self._lengths(setting.scale)["prompt"]], None),
        }

    def task(self, setting: Setting) -> CausalLMTask:
        return CausalLMTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            load_model=partial(load_model, setting.scale, setting.base, setting.device),
            load_tokenizer=partial(load_tokenizer, setting.scale, setting.base),
        )

    def spent(self, task: CausalLMTask) -> Mapping[str, float]:
        return tally.spent()

    def outfit(self, task: CausalLMTask) -> None:
        _ = task.tokenizer

    def serve(self, candidate: Any, task: CausalLMTask) -> ServedLM:
        return ServedLM(candidate, candidate, task.tokenizer, task.device)

    def counted(self, task: CausalLMTask) -> Step:
        """One forward pass over calibration text, with logits at every position: what each token of a text costs."""
        prompt = task.supplies["prompt"]
        ids = prompt.take((0, len(prompt)))[None]
        return Step("forward", "forward", (ids,), units=ids.shape[1])

    def exam(self, setting: Setting) -> Exam:
        rng = np.random.default_rng([setting.seed, 0xD0BB7])
        return Exam(setting.scale, load_tokenizer(setting.scale, setting.base), Kept(rng))

    def evaluate(self, served: ServedLM, exam: Exam) -> Sequence[Score]:
        import suites._language.evaluation  # noqa: F401, registers the model
        from suites._language.evaluation.evaluator import EffbenchLM
        from suites._language.evaluation.scores import scores

        return scores(EffbenchLM(served, exam.tokenizer, kept=exam.kept), exam.scale)

    def doubts(self, served: ServedLM, exam: Exam) -> tuple[str, str] | None:
        found = doubt(exam.kept, served, exam.dtype)
        return None if found is None else (RULE, found)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return Speaking(len(exam.tokenizer), exam.dtype).workloads(**self._lengths(exam.scale))

    def tuning(self, setting: Setting) -> Tuning[CausalLMTask]:
        from suites.lm_compression.tuning import tuning

        return tuning(self, setting)

    def _lengths(self, scale: str) -> Mapping[str, Any]:
        lengths: Mapping[str, Any] = self.settings["lengths"][scale]
        return lengths
