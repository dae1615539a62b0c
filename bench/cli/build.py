"""`effbench build`"""

import argparse
import sys

from bench.cli.common import (
    LARGEST_SEED,
    Commands,
    add_where,
    folder,
    opened,
    stop_like_ctrl_c,
    tell,
    whole,
)
from bench.cli.selection import methods_by_suite


def add(commands: Commands) -> None:
    parser = commands.add(
        "build", run,
        "Build a method at an operating point, judge it, and keep what was built: an artefact with a README and the "
        "line that loads it. Nothing is kept of a build that passes a limit or breaks a rule.",
        "  effbench build attention-drop:mlp@size-75 --output smaller\n"
        "  effbench build lm-finetuning/lora@tokens --seed 1 --output adapted\n"
        "  effbench verify smaller",
    )  # fmt: skip
    parser.add_argument("what", metavar="[SUITE/]SLUG[:VARIANT]@POINT")
    parser.add_argument("--output", type=folder, required=True, metavar="DIR", help="a new folder, or an empty one")
    parser.add_argument("--seed", type=whole(0, LARGEST_SEED), default=0)
    parser.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    parser.add_argument("--base", help="base model; at full scale any hub id")
    add_where(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.registry.names import UnknownName
    from bench.run import artefact
    from bench.run.plan import Selection, make_plan
    from bench.run.runner import check_ready
    from bench.run.shipped import ship

    stop_like_ctrl_c()
    registry = opened()
    ((suite, methods),) = methods_by_suite(registry, (), [arguments.what])
    jobs = make_plan(
        registry,
        Selection(
            suite, methods, seeds=[arguments.seed], scale=arguments.scale, base=arguments.base,
            device=arguments.device, threads=arguments.threads,
        ),
    )  # fmt: skip
    if ":" not in arguments.what:
        jobs = [job for job in jobs if job.variant == "default"] or jobs[:1]
    if len(jobs) != 1:
        names = [f"{job.method}:{job.variant}@{job.point}" for job in jobs]
        raise UnknownName("configuration, of one method at one point,", arguments.what, names)
    check_ready(registry, jobs)
    record = ship(registry, jobs[0], arguments.output)
    if record.status != "ok":
        tell(f"{jobs[0].label}: {record.status} ({record.reason}); nothing is kept")
        sys.exit(1)
    size = (arguments.output / artefact.CANDIDATE).stat().st_size
    print(f"{arguments.output}: {size / 1e6:.1f} MB; README.md says how to load it")
