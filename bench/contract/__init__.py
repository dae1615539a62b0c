"""What methods and suites implement. A method author needs this package and her suite's task type, nothing else."""

from bench.contract.card import Card, Claim
from bench.contract.evaluation import EvaluationSplitRead, require_scoring
from bench.contract.limits import Limits, OperatingPoint, OverBudget
from bench.contract.method import Method
from bench.contract.score import Score
from bench.contract.suite import Metric, Suite, SuiteInfo
from bench.contract.task import SCALES, MissingAsset, Task
from bench.contract.workload import Step, Workload

__all__ = [
    "SCALES",
    "Card",
    "Claim",
    "EvaluationSplitRead",
    "Limits",
    "Method",
    "Metric",
    "MissingAsset",
    "OperatingPoint",
    "OverBudget",
    "Score",
    "Step",
    "Suite",
    "SuiteInfo",
    "Task",
    "Workload",
    "require_scoring",
]
