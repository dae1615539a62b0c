"""`effbench show`"""

import argparse
from collections.abc import Mapping
from typing import Any

from bench.cli.common import ROOT, Commands, add_json, opened, print_json
from bench.cli.list import described


def add(commands: Commands) -> None:
    parser = commands.add(
        "show", run, "Show a method: paper, summary, claims, variants, file.",
        "  effbench show flap\n  effbench show lm-compression/dense\n  effbench show attention-drop --json",
    )  # fmt: skip
    parser.add_argument("method", metavar="[SUITE/]METHOD")
    add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    listed = opened().find(arguments.method)
    card, source = listed.card, ROOT / listed.place
    if arguments.json:
        print_json(
            described(listed)
            | {
                "summary": listed.doc,
                "variants": listed.variants,
                "at_point": listed.at_point,
                "claims": [vars(claim) for claim in card.claims],
                "differences": card.differences,
                "notes": card.notes,
                "source": str(source),
            }
        )
        return
    kind = card.kind if card.control else listed.family
    print(f"{card.title} ({listed.slug}), suite {listed.suite}, {kind}")
    print(f"{card.paper}{'  ' + card.url if card.url else ''}\n\n{listed.doc}\n")
    for claim in card.claims:
        print(f"claim: {claim.text} [{claim.source}]")
    for difference in card.differences:
        print(f"differs: {difference}")
    if card.problems:
        print(f"for: {', '.join(card.problems)}")
    for point, settings in listed.at_point.items():
        print(f"at {point}: {_said(settings)}")
    print(f"variants: {', '.join(listed.variants)}\nfile: {source}")


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
