"""What methods and suites implement. A method author needs this package and her suite's task type, nothing else."""

from bench.contract.built import Built
from bench.contract.card import Card, Claim
from bench.contract.exam import ExamRead, only_the_judge
from bench.contract.limits import Limits, OperatingPoint, OverBudget
from bench.contract.method import Method
from bench.contract.problem import Problem, Setting, Tuning
from bench.contract.score import Score, score_of_set
from bench.contract.served import Served
from bench.contract.supply import Meter, Supply
from bench.contract.task import SCALES, MissingAsset, Task
from bench.contract.workload import Step, Workload

__all__ = [
    "SCALES",
    "Built",
    "Card",
    "Claim",
    "ExamRead",
    "Limits",
    "Meter",
    "Method",
    "MissingAsset",
    "OperatingPoint",
    "OverBudget",
    "Problem",
    "Score",
    "Served",
    "Setting",
    "Step",
    "Supply",
    "Task",
    "Tuning",
    "Workload",
    "only_the_judge",
    "score_of_set",
]
