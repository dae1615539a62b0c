"""Transfer: the skill of another model's LoRA for the base, nearly without data."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.contract import Score, Setting, Supply
from bench.contract.cache import made_once
from suites._language import text
from suites._language.base import load_base
from suites.lm_finetuning import answers, prepared
from suites.lm_finetuning.batches import Batch, collate
from suites.lm_finetuning.exam import Exam
from suites.lm_finetuning.examples import TASKS, Example, examples
from suites.lm_finetuning.lora import LoRA, merged, updates
from suites.lm_finetuning.prepared import Source, without_blocks
from suites.lm_finetuning.problem import FineTuning, training_rows, training_supplies
from suites.lm_finetuning.supplies import OwnExamples, Texts
from suites.lm_finetuning.task import BATCH, LearningTask

PASSAGE = 50
"""Words of each passage of ordinary text."""


@dataclass(kw_only=True)
class TransferTask(LearningTask):
    """Carry a skill over, by examples that are made up. load_adapter: is called when it is first asked for.

    The examples that the source has learned from are there as well: for the control that a transfer is measured
    against.
    """

    load_adapter: Callable[[], LoRA] = field(repr=False)

    @cached_property
    def source(self) -> Source:
        """Where the skill is, and the few real examples that are left."""
        seeds = self.supplies["seeds"]
        chosen = [Example(*each) for each in seeds.take(list(range(len(seeds))))]
        return Source(without_blocks(self.model), self.load_adapter(), tuple(chosen))

    def passages(self) -> list[str]:
        """Beginnings of ordinary texts, PASSAGE words each."""
        texts = self.supplies["texts"]
        return list(texts.take(list(range(len(texts)))))

    def batches_of(self, chosen: Sequence[Example], use: str = "training", batch: int = BATCH) -> list[Batch]:
        """Examples of the method's own in their order, metered as "<use>_tokens" like those that are given."""
        found = [collate(self.tokenizer, chosen[i : i + batch], self.device) for i in range(0, len(chosen), batch)]
        self.count(sum(made.tokens for made in found), use)
        return found

    def count(self, tokens: int, use: str) -> None:
        """Meter tokens of own examples. use: "training", "search" or "discriminator"."""
        self.supplies[f"own-{use}"].take(tokens)


@dataclass(kw_only=True)
class TransferExam(Exam):
    """source: right answers (1 or 0) of the source model to each of `asked`, task after task."""

    source: Sequence[float]


class Transfer(FineTuning[TransferTask, TransferExam]):
    """The base is adapted; the source is the base without every fifth block."""

    def make_inputs(self, setting: Setting) -> None:
        prepared.make_source_lora(setting)
        _source_answers(setting)

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        beginnings = [document.text.split()[:PASSAGE] for document in text.documents(setting.scale, "training")]
        seeds = [(seed.task, seed.prompt, seed.answer) for seed in prepared.seeds(setting.scale)]
        return {
            **super().supplies(setting),
            **training_supplies(training_rows(setting)),
            "seeds": Texts(seeds),
            "texts": Texts([" ".join(words) for words in beginnings if len(words) == PASSAGE]),
            **{f"own-{use}": OwnExamples(f"{use}_tokens") for use in ("training", "search", "discriminator")},
        }

    def task(self, setting: Setting) -> TransferTask:
        return TransferTask(load_adapter=lambda: prepared.lora(setting, "source"), **self.shared(setting))

    def exam(self, setting: Setting) -> TransferExam:
        return TransferExam(source=_source_answers(setting), **self.asked(setting))

    def evaluate(self, served: Any, exam: TransferExam) -> Sequence[Score]:
        return [*super().evaluate(served, exam), Score("source_accuracy", exam.source)]


def _source_answers(setting: Setting) -> list[float]:
    """Of the source with its LoRA, to the evaluation examples: found out once."""

    def write(folder: Path) -> None:
        from suites._language.evaluation.evaluator import EffbenchLM

        base, tokenizer = load_base(setting.scale, setting.base, setting.device)
        model = merged(without_blocks(base), updates(prepared.lora(setting, "source")))
        lm = EffbenchLM(model, tokenizer)
        found = [right for task in TASKS for right in answers.right(lm, examples(setting.scale, task, "evaluation"))]
        (folder / "answers").write_text(json.dumps(found))

    device = torch.device(setting.device).type
    name = f"{prepared.name(setting, 'source')}-answers-{device}-{torch.get_num_threads()}t"
    kept = made_once("data", name, write)
    return [float(each) for each in json.loads((kept / "answers").read_text())]
