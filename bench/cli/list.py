"""`effbench list`"""

import argparse
from typing import Any

from bench.cli.common import Commands, add_json, columns, opened, print_json
from bench.registry import Listed


def add(commands: Commands) -> None:
    parser = commands.add(
        "list", run, "List suites and methods.",
        "  effbench list\n  effbench list --suite lm-compression --json",
    )  # fmt: skip
    parser.add_argument("--suite", help="only this suite")
    add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    registry = opened()
    suites = sorted(registry.suites) if arguments.suite is None else [registry.suite(arguments.suite).slug]
    methods = {suite: registry.methods_of(suite).values() for suite in suites}
    if arguments.json:
        print_json([described(listed) for suite in suites for listed in methods[suite]])
        return
    rows = [_row(listed) for suite in suites for listed in methods[suite]]
    lines = iter(columns(rows))
    for suite in suites:
        info = registry.suites[suite]
        print(f"{suite}: {info.title}\n  points: {', '.join(info.points)}")
        for _ in methods[suite]:
            print(f"  {next(lines)}")


def _row(listed: Listed) -> tuple[str, str, str]:
    return listed.slug, listed.card.kind if listed.card.control else listed.family, listed.card.title


def described(listed: Listed) -> dict[str, Any]:
    """A method for programs."""
    card = listed.card
    return {
        "slug": listed.slug,
        "suite": listed.suite,
        "problems": list(card.problems),
        "family": listed.family,
        "control": card.control,
        "title": card.title,
        "paper": card.paper,
        "url": card.url,
        "stochastic": card.stochastic,
    }
