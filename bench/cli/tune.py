"""`effbench tune`"""

import argparse
from functools import partial

from bench.cli.common import (
    LARGEST_SEED,
    ROOT,
    Commands,
    new_file,
    number,
    opened,
    tell,
    whole,
)
from bench.cli.selection import methods_by_suite

LARGEST_RATE = 1e3


def add(commands: Commands) -> None:
    parser = commands.add(
        "tune", run,
        "Search a method's learning rate at an operating point: whole builds, judged by data that methods may see, "
        "with a seed that no record has. What each rate left is written to methods/SUITE/rates.json.",
        "  effbench tune lora@tokens\n"
        "  effbench tune lm-finetuning/lora:rank-64@tokens --rate 1e-3 --seed 1001   where two are close\n"
        "  effbench tune my-method@tokens --scale tiny --output /tmp/rates.json      to try the command",
    )  # fmt: skip
    parser.add_argument("what", nargs="+", metavar="[SUITE/]SLUG[:VARIANT]@POINT")
    parser.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--seed", type=whole(0, LARGEST_SEED), default=None, help="(default: 1000)")
    parser.add_argument(
        "--rate", type=number(0, LARGEST_RATE), action="append", default=[], help="this alone; repeat for more"
    )
    parser.add_argument("--output", type=new_file, metavar="FILE", help="in place of methods/SUITE/rates.json")


def run(arguments: argparse.Namespace) -> None:
    from bench.contract.cache import check_cache
    from bench.record.environment import check_device
    from bench.run.tune import SEED, Search, tune

    check_cache()
    check_device(arguments.device)
    registry = opened()
    seed = SEED if arguments.seed is None else arguments.seed
    for suite, wanted in methods_by_suite(registry, (), arguments.what):
        path = arguments.output or ROOT / "methods" / suite.replace("-", "_") / "rates.json"
        names = [what.rpartition("/")[2] for what in wanted]

        def search(what: str, losses: dict[str, list[float]], suite: str = suite) -> Search:
            return Search(registry, suite, what, arguments.scale, arguments.device, losses, partial(print, flush=True))

        for what, rate in tune(search, names, path, arguments.rate, seed).items():
            tell(f"{what}: {rate:g} is best; set it as the method's rate, in its variant or in `at_point`")
