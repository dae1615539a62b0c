"""`effbench plan`"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.cli.common import (
    LONGEST_RUN,
    MOST_THREADS,
    ROOT,
    Commands,
    add_methods,
    add_results,
    add_where,
    columns,
    new_file,
    number,
    opened,
    readable_records,
    whole,
    write,
)
from bench.cli.selection import at_points, methods_by_suite
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.run.plan import Job
    from bench.run.wanted import Expected

HOUR = 3600
HOURS = number(0.01, LONGEST_RUN / HOUR)


def add(commands: Commands) -> None:
    parser = commands.add(
        "plan", run,
        "Say which records are wanted, which of them are there, and how long the others will take. Three seeds are "
        "wanted where the claims of cards speak, one elsewhere. `effbench run --plan` carries it out.",
        "  effbench plan --suite vision-compression --hours 4 --cores 2\n"
        "  effbench plan --suite lm-compression --point size-50 --timed\n"
        "  effbench plan --suite lm-compression --time-top 5           the best, timed on this hardware\n"
        "  effbench plan --output build/plan.txt                       with every run, in order",
    )  # fmt: skip
    add_methods(parser)
    parser.add_argument("--point", action="append", default=[], help="operating point; repeat for more")
    parser.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    parser.add_argument("--base", help="base model; at full scale any hub id")
    add_where(parser)
    parser.add_argument("--timed", action="store_true", help="speed is wanted too (default: scores alone)")
    add_time_top(parser)
    parser.add_argument("--hours", type=HOURS, metavar="H", help="say what fits into so many hours")
    parser.add_argument("--cores", type=whole(1, MOST_THREADS), default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--output", type=new_file, metavar="FILE", help="write it there, with every run in order")
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    registry = opened()
    chosen = methods_by_suite(registry, arguments.suite, arguments.method)
    plan = make(registry, chosen, arguments)
    lines = [*plan.table(), *plan.summary(arguments.cores, arguments.hours)]
    if arguments.output is not None:
        lines += ["", *plan.runs()]
    write("\n".join(lines) + "\n", arguments.output)


def add_time_top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-top", type=whole(1, 1000), metavar="N",
        help="of every board the first N methods, the best controls and the baseline, by the records: those whose "
        "speed is not measured on this hardware",
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """wanted: all runs in order; left: those to do, with what they may take."""

    wanted: Sequence["Job"]
    left: "dict[Job, Expected]"

    def table(self) -> list[str]:
        """A line for each point, and one for all."""
        points: dict[tuple[str, str], list[Job]] = defaultdict(list)
        for job in self.wanted:
            points[job.suite, job.point].append(job)
        rows = [("suite", "point", "wanted", "done", "to do", "core-hours of scores", "of times")]
        rows += [(*where, *self._counts(points[where])) for where in sorted(points, key=lambda each: each[0])]
        return columns([*rows, ("all", "", *self._counts(self.wanted))])

    def _counts(self, jobs: Sequence["Job"]) -> tuple[str, str, str, str, str]:
        left = [job for job in jobs if job in self.left]
        score = sum(self.left[job].score * job.threads for job in left) / HOUR
        timing = sum(self.left[job].timing * job.threads for job in left) / HOUR
        return str(len(jobs)), str(len(jobs) - len(left)), str(len(left)), f"{score:.2f}", f"{timing:.2f}"

    def summary(self, cores: int, hours: float | None) -> list[str]:
        """How good the estimates are, how long all takes, and what fits into the hours."""
        kinds = Counter(each.kind for each in self.left.values())
        lines = [
            f"estimates: {kinds['measured']} measured (the method at the point), {kinds['estimated']} estimated (the "
            f"method elsewhere, else its suite), {kinds['missing']} missing (the most that a build may take)",
            f"{len(self.left)} runs to do: about {self.hours(cores):.1f} hours on {cores} core{'s' * (cores > 1)}",
        ]
        if hours is not None:
            fits = self.fitting(cores, hours)
            after = list(self.left)[fits:]
            lines.append(
                f"within {hours:g} hours: the first {fits}, "
                + (f"up to {list(self.left)[fits - 1].label}; " if fits and after else "")
                + (f"{len(after)} are left, from {after[0].label} on" if after else "all")
            )
        return lines

    def hours(self, cores: int) -> float:
        """By the clock, with as many runs side by side as there are cores for."""
        return sum(each.seconds / max(1, cores // job.threads) for job, each in self.left.items()) / HOUR

    def fitting(self, cores: int, hours: float) -> int:
        """How many runs, in order, are done after so many hours."""
        spent = 0.0
        for count, (job, each) in enumerate(self.left.items()):
            spent += each.seconds / max(1, cores // job.threads) / HOUR
            if spent > hours:
                return count
        return len(self.left)

    def runs(self) -> list[str]:
        """Every run that is to be done."""
        return columns([(job.suite, f"{each.seconds:.0f} s", each.kind, job.label) for job, each in self.left.items()])


def make(registry: Registry, chosen: Sequence[tuple[str, list[str]]], arguments: argparse.Namespace) -> Plan:
    """The plan for methods of suites, at the points, scale... of the command line, after the records in its folder.

    Raises UnknownName for what does not exist, Refused where nothing matches, NoSuchDevice.
    """
    from bench.record import store
    from bench.record.environment import check_device
    from bench.run.plan import Selection
    from bench.run.wanted import Durations, to_do, wanted_jobs
    from bench.submit import Refused

    if arguments.device != "cpu":
        check_device(arguments.device)  # imports torch
    selections = [
        Selection(
            suite, methods, points, scale=arguments.scale, base=arguments.base, device=arguments.device,
            threads=arguments.threads, timed=arguments.timed,
        )
        for suite, methods, points in at_points(registry, chosen, arguments.point)
    ]  # fmt: skip
    records = readable_records(arguments.results)
    if arguments.time_top is None:
        jobs = wanted_jobs(registry, selections)
    else:
        from bench.run.top import top_jobs

        jobs = [job for each in selections for job in top_jobs(registry, each, records, arguments.time_top)]
    if not jobs:
        where = f" at {' '.join(arguments.point)}" if arguments.point else ""
        raise Refused(
            f"no run is wanted of {' '.join(arguments.method) or 'these suites'}{where}: no method that was chosen is "
            "for that, or the baseline is that runs at one point alone; leave out --point to see where they run"
        )
    durations = Durations(registry)
    durations.add(records)
    if arguments.results.resolve() != (ROOT / "results").resolve():
        durations.add(store.read_all(ROOT / "results")[0])
    return Plan(jobs, {job: durations.of(job) for job in to_do(registry, jobs, records)})
