"""The search for a learning rate: whole builds with each rate, judged by data that methods may see.

With a seed that no record has, and never by the exam. While the best rate is the first or the last that was tried, the
next one beyond it is tried too. Where two are close, another seed decides: a rate near the edge of divergence may be
best with one seed and fail with the next.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter

from bench.contract import Built, Method, Setting
from bench.registry import Registry
from bench.registry.names import UnknownName, split_selection
from bench.registry.registry import load_problem
from bench.run.bfloat16 import widen_products
from bench.run.order import unlimited
from bench.run.weigh import Scale

SEED = 1000
FACTOR = 3
"""From one rate to the next, where a method has one rate and no list of them."""
FIELDS = ("rate", "learning_rate")
"""What a method calls its rate; a list of rates that are tried first is called "rates"."""

Losses = dict[str, list[float]]
"""Of each rate, as it is written, what each of its trials left."""
_Rates = TypeAdapter(dict[str, dict[str, list[float]]])


class NothingToTune(LookupError):
    """The method has no learning rate, or its problem no data to choose one by; the message says which."""


class Search:
    """For one configuration. losses: what has been tried, filled in further. tell: is given a line after each trial."""

    def __init__(
        self,
        registry: Registry,
        suite: str,
        what: str,
        scale: str,
        device: str,
        losses: Losses,
        tell: Callable[[str], None] = print,
    ) -> None:
        _, slug, variant, point = split_selection(what)
        if point is None:
            raise UnknownName("operating point in", what, [f"{what}@{name}" for name in registry.suite(suite).points])
        self.what, self.losses, self.tell = what, losses, tell
        self.info = registry.suite(suite)
        self.method: Method[Any] = registry.method(suite, slug).configured(variant or "default", point)
        self.field = next((name for name in FIELDS if hasattr(self.method, name)), "")
        if not self.field:
            raise NothingToTune(f"{slug} has no learning rate: no field {' or '.join(FIELDS)}")
        self.problem_info = self.info.problem_of(registry.point(suite, point).name)
        self.baseline = registry.method(suite, self.problem_info.baseline).configured("default")
        self._where = scale, self.info.bases[scale][0], self.info.points[point].at(scale), device

    @property
    def rate(self) -> float:
        """That the method has."""
        return float(getattr(self.method, self.field))

    def all(self, seed: int = SEED) -> float:
        """Try the method's rates, and those beyond while the best is at an end; the best."""
        given = (_digit(self.rate / FACTOR), self.rate, _digit(self.rate * FACTOR))
        rates = sorted(getattr(self.method, "rates", given))
        while missing := [rate for rate in rates if f"{rate:g}" not in self.losses]:
            self.one(missing[0], seed)
            if len(missing) > 1:
                continue
            if best(self.losses) == rates[-1]:
                rates.append(_digit(rates[-1] * rates[-1] / rates[-2]))
            elif best(self.losses) == rates[0]:
                rates.insert(0, _digit(rates[0] * rates[0] / rates[1]))
        return best(self.losses)

    def one(self, rate: float, seed: int = SEED) -> None:
        """Add one build's loss; infinite where it diverges."""
        left = self.trial(replace(self.method, **{self.field: rate}), seed)  # type: ignore[type-var]
        self.losses.setdefault(f"{rate:g}", []).append(left)
        self.tell(f"{self.what} {rate:g}, seed {seed}: {left:.4f}")

    def trial(self, method: Method[Any], seed: int) -> float:
        """Build and judge, in this process."""
        widen_products()
        setting = Setting(*self._where[:3], seed, self._where[3])
        problem = load_problem(self.info, self.problem_info.name)
        tuning = problem.tuning(setting)
        if tuning is None:
            raise NothingToTune(f"problem {problem.name} has nothing to choose a rate by: see Problem.tuning")
        tuning.task.weigh = Scale(problem, tuning.task, self._reference(problem, setting)).weigh
        reason = method.supports(tuning.task)
        if reason is not None:
            raise NothingToTune(f"{self.what}: {reason}")
        try:
            built = method.build(tuning.task)
        except FloatingPointError:
            return math.inf
        loss = tuning.loss(built if isinstance(built, Built) else Built(built))
        return round(loss, 4) if math.isfinite(loss) else math.inf

    def _reference(self, problem: Any, setting: Setting) -> dict[str, float]:
        """Figures of the baseline that limits are held against."""
        task = problem.task_at_hand(replace(setting, point=unlimited(setting.point), seed=0))
        weighed = Scale(problem, task, {}).weigh(self.baseline.build(task))
        found = {}
        for limit in setting.point.limits.result:
            whole = limit.removesuffix("_ratio")
            for name in (whole, f"{whole}_bytes"):
                try:
                    found[name] = weighed[name]
                except KeyError:
                    continue
        return found


def best(losses: Losses) -> float:
    """The rate with the least mean loss."""
    return float(min(losses, key=lambda rate: fmean(losses[rate])))


def read_rates(path: Path) -> dict[str, Losses]:
    """What has been tried, by "SLUG[:VARIANT]@POINT". Raises NothingToTune for a file that holds something else."""
    if not path.exists():
        return {}
    try:
        return _Rates.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise NothingToTune(f"{path} holds no rates ({said}): mend it, or name another file by --output") from error


def tune(
    search: Callable[[str, Losses], Search], wanted: Sequence[str], path: Path, rates: Sequence[float], seed: int
) -> dict[str, float]:
    """The best rate of each configuration. What each trial left is in the file before the next begins. rates: these
    alone; none means a whole search."""
    found = {}
    for what in wanted:
        losses = read_rates(path).get(what, {})
        one = search(what, losses)
        one.tell = _then_write(one.tell, path, what, losses)
        if rates:
            for rate in rates:
                one.one(rate, seed)
        else:
            one.all(seed)
        found[what] = best(losses)
    return found


def _then_write(tell: Callable[[str], None], path: Path, what: str, losses: Losses) -> Callable[[str], None]:
    def told(line: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(read_rates(path) | {what: losses}, indent=1, sort_keys=True) + "\n")
        part.replace(path)
        tell(line)

    return told


def _digit(rate: float) -> float:
    return float(f"{rate:.1g}")
