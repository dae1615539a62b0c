"""Control: direct preference optimisation (Rafailov et al., 2023), https://arxiv.org/abs/2305.18290."""

from dataclasses import dataclass

from bench.contract import Built, Card, Method
from methods.lm_finetuning._finetuning import rates_for
from methods.lm_finetuning.repair._preference import PreferenceLearner
from methods.lm_finetuning.repair._repairing import BATCH, repaired
from suites.lm_finetuning.repair import RepairTask


@dataclass(frozen=True)
class DPO(Method[RepairTask]):
    """All weights learn to prefer the right answer to the wrong one, by more than the faulty model does.

    With g(y) the log-probability of an answer less that under the frozen reference, the loss is
    -log sigmoid(beta (g(right) - g(wrong))), equation 7.

    beta: how far the model may go from the reference (the paper's 0.1). batch: pairs of a step. rates: the paper has
    1e-6 for thousands of steps; here there are about a dozen, so that larger ones are tried too.
    """

    card = Card(
        slug="dpo",
        title="DPO",
        problems=("repair",),
        paper="Control: Rafailov et al., 2023. Direct Preference Optimization: Your Language Model is Secretly a "
        "Reward Model",
        url="https://arxiv.org/abs/2305.18290",
        control=True,
        stochastic=True,
        notes="AdamW in place of RMSprop, as for all methods here; the reference is the faulty model. The tokens of "
        "both answers of a pair count, so that half as many faults are seen as by training on right answers alone.",
    )

    beta: float = 0.1
    batch: int = BATCH
    rate: float = 2e-5
    rates: tuple[float, ...] = (2e-6, 6e-6, 2e-5, 6e-5)

    def build(self, task: RepairTask) -> Built:
        return repaired(
            task, lambda: PreferenceLearner(task, self.beta), rates_for(task, self), rejected=True, batch=self.batch
        )
