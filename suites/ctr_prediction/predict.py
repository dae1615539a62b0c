"""Predict clicks with a model that is made smaller, after the split in suite.toml."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bench.contract import Built, Problem, Score, Setting, Step, Supply, Tuning, Workload, only_the_judge
from suites._training import tally
from suites.ctr_prediction import data, scores, workloads
from suites.ctr_prediction.bases import Base
from suites.ctr_prediction.exam import Exam, ask, doubt
from suites.ctr_prediction.fields import Rows
from suites.ctr_prediction.served import ServedClicks
from suites.ctr_prediction.supplies import RowSupply
from suites.ctr_prediction.task import CALIBRATION, METER, ClickTask

COUNTED = 64
"""Validation rows that FLOPs are counted on."""


class Predict(Problem[ClickTask, Exam]):
    """settings: log (by scale), split, passes, calibration, asked; see suite.toml."""

    def missing(self, scale: str, base: str) -> str | None:
        return data.missing(self.settings["log"][scale])

    def prepare(self, setting: Setting) -> None:
        self._base(setting).prepare()

    # --- for the builder ---

    def supplies(self, setting: Setting) -> Mapping[str, Supply]:
        training = self._rows(setting, "training")
        few = min(self.settings["calibration"][setting.scale], len(training))
        chosen = np.random.default_rng([setting.seed, 0xCA11B]).choice(len(training), few, replace=False)
        return {
            "training": RowSupply(training, METER),
            "calibration": RowSupply(training.part(chosen), CALIBRATION),
            "validation": RowSupply(self._rows(setting, "validation"), None),
        }

    def task(self, setting: Setting) -> ClickTask:
        base = self._base(setting)
        return ClickTask(
            scale=setting.scale,
            seed=setting.seed,
            device=setting.device,
            limits=setting.point.limits,
            most_passes=self.settings["passes"][setting.scale],
            batch=base.recipe.batch,
            rate=base.recipe.rate,
            kind=base.kind,
            load_model=partial(base.model, setting.device),
            load_fields=base.fields,
        )

    def spent(self, task: ClickTask) -> Mapping[str, float]:
        return tally.spent()

    def tuning(self, setting: Setting) -> Tuning[ClickTask]:
        """By the log loss over the validation rows."""
        task, held = self.task_at_hand(setting), self._rows(setting, "validation")

        def loss(built: Built) -> float:
            return scores.log_loss(ask(self.serve(built.candidate, task), held.ids), held).value

        return Tuning(task, loss)

    # --- for servers ---

    def outfit(self, task: ClickTask) -> None:
        assert task.fields, "a row has a field"

    def serve(self, candidate: Any, task: ClickTask) -> ServedClicks:
        return ServedClicks(candidate, task.device, task.fields)

    def counted(self, task: ClickTask) -> Step:
        ids, _ = task.supplies["validation"].take(list(range(min(COUNTED, len(task.supplies["validation"])))))
        return Step("predict", "predict", (np.asarray(ids).astype(np.int64),), units=len(ids))

    # --- for the judge ---

    def exam(self, setting: Setting) -> Exam:
        only_the_judge("the rows that ctr-prediction asks")
        asked = self._rows(setting, "exam").part(slice(self.settings["asked"][setting.scale]))
        fields = self._base(setting).fields()
        return Exam(asked=asked, fields=fields, rng=np.random.default_rng([setting.seed, 0xD0BB7]))

    def evaluate(self, served: ServedClicks, exam: Exam) -> Sequence[Score]:
        exam.answers = ask(served, exam.asked.ids)
        return [each(exam.answers, exam.asked) for each in (scores.auc, scores.log_loss, scores.user_auc)]

    def doubts(self, served: ServedClicks, exam: Exam) -> tuple[str, str] | None:
        return doubt(served, exam)

    def workloads(self, exam: Exam) -> Sequence[Workload]:
        return [workloads.predict(exam.asked, exam.fields)]

    # --- the data ---

    def _base(self, setting: Setting) -> Base:
        return Base(setting.base, self.settings["log"][setting.scale], self.settings["split"])

    def _rows(self, setting: Setting, part: Any) -> Rows:
        return data.rows(self.settings["log"][setting.scale], self.settings["split"], part)
