"""`effbench run`"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.common import (
    INTERRUPTED,
    LARGEST_SEED,
    LONGEST_RUN,
    ROOT,
    Commands,
    add_methods,
    add_results,
    add_where,
    number,
    opened,
    stop_like_ctrl_c,
    tell,
    whole,
)
from bench.cli.plan import HOUR, HOURS, add_time_top, make
from bench.cli.selection import methods_by_suite
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.record.schema import Record
    from bench.run.plan import Job


def add(commands: Commands) -> None:
    parser = commands.add(
        "run", run,
        "Run methods at operating points and store a record of each run. What is recorded already, with the same "
        "inputs, is not run again; a stopped run continues with the same command.",
        "  effbench run --scale tiny                                   everything, seconds a run, toy weights\n"
        "  effbench run --suite lm-compression --point size-75         one operating point, all methods\n"
        "  effbench run --suite lm-compression --method flap --method attention-drop:mlp\n"
        "  effbench run --method lm-compression/dense@unlimited --method finercut@compute-75\n"
        "  effbench run --suite operator-data --method skr --seed 1 --again\n"
        "  effbench run --plan --suite vision-compression --hours 4    what is wanted and missing, by `effbench plan`\n"
        "  effbench run --time-top 5 --suite lm-compression            the best of each board, timed here\n"
        "  effbench run --changed origin/main --scale tiny             what a branch touches\n"
        "  effbench run --scale full --base Qwen/Qwen2.5-0.5B --device cuda --suite lm-compression\n"
        "  effbench run --submission ../their-checkout --suite lm-compression --method their-method",
    )  # fmt: skip
    add_methods(parser)
    parser.add_argument(
        "--changed", nargs="?", const="", metavar="REV",
        help="only the methods whose runs would be others now than at the point where the work left REV (default: "
        "main, upstream's if any), each suite's baseline beside them",
    )  # fmt: skip
    parser.add_argument("--point", action="append", default=[], help="operating point; repeat for more")
    parser.add_argument("--seed", action="append", default=[], type=whole(0, LARGEST_SEED), help="repeat for more")
    parser.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    parser.add_argument("--base", help="base model; at full scale any hub id")
    add_where(parser)
    timed = parser.add_mutually_exclusive_group()
    timed.add_argument("--untimed", action="store_true", help="score only; speed stays missing")
    timed.add_argument("--timed", action="store_true", help="speed too: the default, but for --plan")
    parser.add_argument(
        "--workload", action="append", default=[],
        help="time this one alone; repeat for more (default: all of the suite)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=number(1, LONGEST_RUN), metavar="SECONDS", help="per run, instead of the suite's"
    )
    parser.add_argument(
        "--plan", action="store_true",
        help="what `effbench plan` says is to do, in its order; without --timed scores alone",
    )  # fmt: skip
    add_time_top(parser)
    parser.add_argument(
        "--hours", type=HOURS, metavar="H", help="with --plan or --time-top: after so many hours no other run begins"
    )
    parser.add_argument("--again", action="store_true", help="run even what is recorded already")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")
    _add_elsewhere(parser)
    add_results(parser)


def _add_elsewhere(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--executor", choices=("local", "ray"), default="local", help="this machine (default) or a Ray cluster"
    )
    parser.add_argument(
        "--ray-address", metavar="HOST:PORT",
        help="the cluster (default: $RAY_ADDRESS, else one that is started on this machine and stopped again)",
    )  # fmt: skip
    parser.add_argument(
        "--share-nodes", action="store_true", help="do not keep a node of the cluster for one timed run at a time"
    )
    parser.add_argument(
        "--sandbox", action="store_true", help="keep the code of methods and suites away from this machine (bubblewrap)"
    )
    parser.add_argument(
        "--submission", type=Path, nargs="?", const=ROOT, metavar="DIR",
        help="the same for code that nobody has read: refuses where there is no sandbox. DIR: a checkout whose methods "
        "and suites are run, by this engine (default: this one)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    from bench.record.schema import FAILURES
    from bench.submit import Refused

    stop_like_ctrl_c()
    confined = arguments.sandbox or arguments.submission is not None
    if arguments.executor == "ray" and confined:
        raise Refused("a sandbox is of this machine alone: leave out --executor ray, or the sandbox")
    _check_planned(arguments)
    tree = (arguments.submission or ROOT).resolve()
    registry = opened(tree)
    jobs = _plan(registry, arguments, tree)
    if arguments.dry_run:
        print(*(job.label for job in jobs), sep="\n")
        return
    start = _run_confined if confined else _run_on_ray if arguments.executor == "ray" else _run_here
    try:
        records = start(registry, jobs, arguments, tree)
    except KeyboardInterrupt:
        tell(f"stopped; every finished record is in {arguments.results}, the same command continues where it stopped")
        sys.exit(INTERRUPTED)
    failed = sum(record.status in FAILURES for record in records)
    print(f"{len(records)} new records in {arguments.results}{(failed and f', {failed} of runs that failed') or ''}")
    if _is_planned(arguments):
        plan = make(registry, _chosen(registry, arguments, tree), arguments)
        print(f"{len(plan.left)} runs of the plan are left for `effbench nightly`, or the same command again"
              if plan.left else "nothing of the plan is left")  # fmt: skip
    if failed:
        sys.exit(1)


def _check_planned(arguments: argparse.Namespace) -> None:
    """Refuse what does not go with --plan or --time-top, and what goes with them alone."""
    from bench.submit import Refused

    if arguments.plan and arguments.time_top is not None:
        raise Refused("--plan and --time-top both choose the runs: leave one out")
    if not _is_planned(arguments):
        if arguments.hours is not None:
            raise Refused("--hours is of --plan: add that, or stop the run yourself; what is done is kept")
        return
    chooser = "--plan" if arguments.plan else "--time-top"
    if arguments.time_top is not None and arguments.untimed:
        raise Refused("--time-top is there for the times: leave out --untimed, or --time-top")
    for option in ("seed", "workload", "again"):
        if getattr(arguments, option):
            raise Refused(
                f"{chooser} chooses the runs that are missing, and their seeds: leave out --{option}, or {chooser}"
            )
    if arguments.executor == "ray":
        raise Refused(f"{chooser} runs in its order, on this machine: leave out --executor ray, or {chooser}")


def _is_planned(arguments: argparse.Namespace) -> bool:
    """Whether the runs are chosen by what the records lack."""
    return bool(arguments.plan) or arguments.time_top is not None


def _plan(registry: Registry, arguments: argparse.Namespace, tree: Path) -> list["Job"]:
    from bench.run.plan import Selection, make_plan

    if _is_planned(arguments):
        return list(make(registry, _chosen(registry, arguments, tree), arguments).left)
    return [
        job
        for suite, methods in _chosen(registry, arguments, tree)
        for job in make_plan(
            registry,
            Selection(
                suite=suite,
                methods=methods,
                points=arguments.point,
                seeds=arguments.seed,
                scale=arguments.scale,
                base=arguments.base,
                device=arguments.device,
                threads=arguments.threads,
                timed=not arguments.untimed,
                workloads=arguments.workload,
            ),
        )
    ]


def _chosen(registry: Registry, arguments: argparse.Namespace, tree: Path) -> list[tuple[str, list[str]]]:
    if arguments.changed is None:
        return methods_by_suite(registry, arguments.suite, arguments.method)
    from bench.submit import Refused
    from bench.submit.changes import changes, touched_methods

    if arguments.method:
        raise Refused("--changed chooses the methods: leave out --method, or --changed")
    among = [suite for suite, _ in methods_by_suite(registry, arguments.suite, ())]
    found = touched_methods(registry, changes(tree, arguments.changed or None))
    return [
        (suite, list(dict.fromkeys([*registry.baselines(suite), *slugs])))
        for suite, slugs in found.items()
        if suite in among
    ]


def _run_here(registry: Registry, jobs: Sequence["Job"], arguments: argparse.Namespace, tree: Path) -> list["Record"]:
    from bench.run.runner import run_plan

    return run_plan(registry, jobs, arguments.results, **_options(arguments), **_limits(arguments))


def _run_on_ray(registry: Registry, jobs: Sequence["Job"], arguments: argparse.Namespace, tree: Path) -> list["Record"]:
    from bench.run.cluster.ray import run_on_ray  # without Ray this says how to install it

    where = {"address": arguments.ray_address, "share_nodes": arguments.share_nodes}
    return run_on_ray(jobs, arguments.results, **where, **_options(arguments))


def _run_confined(
    registry: Registry, jobs: Sequence["Job"], arguments: argparse.Namespace, tree: Path
) -> list["Record"]:
    """No line of the tree's methods and suites runs here."""
    from bench.contract.cache import check_cache
    from bench.record.environment import check_device
    from bench.run.runner import planned, run_planned
    from bench.run.sandbox.assets import check_assets
    from bench.run.sandbox.confinement import confinement_of

    confinement = confinement_of(tree, required=arguments.submission is not None, tell=tell)
    check_cache()
    check_device(arguments.device)
    plan = [planned(registry, job, arguments.results.resolve()) for job in jobs]
    check_assets(confinement, [each.order for each in plan])
    with confinement.executor(gpu=arguments.device.startswith("cuda")) as executor:
        return run_planned(
            plan, arguments.results, executor=executor, root=tree, **_options(arguments), **_limits(arguments)
        )


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"again": arguments.again, "timeout": arguments.timeout}


def _limits(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a plan asks of the runner."""
    return {"with_times": _is_planned(arguments), "seconds": arguments.hours and arguments.hours * HOUR}
