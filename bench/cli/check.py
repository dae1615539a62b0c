"""`effbench check`"""

import argparse
import sys

from bench.cli.common import ROOT, Commands, add_json, opened, print_json


def add(commands: Commands) -> None:
    parser = commands.add(
        "check", run,
        "Check methods and suites at tiny scale, and what a submission changes. Every failure is shown, with how to "
        "mend it; the exit code is 1 if there is one.",
        "  effbench check flap                     one method\n"
        "  effbench check lm-compression/dense     of the suite that is meant\n"
        "  effbench check --changed                what this branch changes, and what that touches\n"
        "  effbench check --changed --base upstream/main --json\n"
        "  effbench check                          everything; takes a while",
    )  # fmt: skip
    parser.add_argument("name", nargs="*", metavar="[SUITE/]METHOD|SUITE", help="what to check (default: everything)")
    parser.add_argument("--changed", action="store_true", help="the changes against the base, and what they touch")
    parser.add_argument("--base", metavar="REV", help="git revision of --changed (default: main, upstream's if any)")
    parser.add_argument("--sandbox", action="store_true", help="run it all in a sandbox; refuses where there is none")
    add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.sandbox:
        from bench.submit.confined import check_confined

        flags = ["--changed"] * arguments.changed + ["--json"] * arguments.json
        base = ["--base", arguments.base] if arguments.base else []
        sys.exit(check_confined([*flags, *base, "--", *arguments.name]))
    from bench.contract.cache import check_cache
    from bench.submit import check
    from bench.submit.changes import changes

    check_cache()
    registry = opened()
    submission = changes(ROOT, arguments.base) if arguments.changed or arguments.base else None
    names = arguments.name or (check.touched(registry, submission) if submission else check.everything(registry))
    show = (lambda _: None) if arguments.json else check.shower(names)
    findings = check.check(registry, names, submission, show=show)
    if arguments.json:
        print_json({"summary": check.summary(findings), "findings": [vars(finding) for finding in findings]})
    else:
        print(check.summary(findings))
    sys.exit(1 if check.failed(findings) else 0)
