"""`effbench report`"""

import argparse

from bench.cli.common import ROOT, Commands, add_results, new_file, opened, tell, write


def add(commands: Commands) -> None:
    parser = commands.add(
        "report", run,
        "Say in Markdown, for a pull request, what the new records change: against the base, the baseline and the "
        "controls, whether the frontier moved, what failed, which can't be believed and why; and which methods the "
        "change touches that have none.",
        "  effbench report --base origin/main\n"
        "  effbench report --base HEAD~1 --results build/results --output build/report.md",
    )  # fmt: skip
    parser.add_argument("--base", required=True, metavar="REV", help="commit, branch or tag to compare with")
    parser.add_argument("--output", type=new_file, metavar="FILE", help="where the Markdown goes (default: printed)")
    add_results(parser)


def run(arguments: argparse.Namespace) -> None:
    from bench.publish.report import make_report
    from bench.publish.revision import UnknownRevision, records_at
    from bench.record import store
    from bench.record.git import history
    from bench.submit import Refused
    from bench.submit.changes import changes, touched_methods

    committed, registry = ROOT / "results", opened()
    try:
        base = records_at(ROOT, committed, arguments.base)
    except UnknownRevision as reason:
        raise Refused(str(reason)) from reason
    now, broken = store.read_all(arguments.results)
    if arguments.results.resolve() != committed.resolve():  # a folder of its own adds to what is committed
        now = [*base, *now]
    touched = touched_methods(registry, changes(ROOT, arguments.base))
    lines = [str(problem) for problem in broken]
    for line in lines:  # all of them; the report names the first ones
        tell(f"broken record {line}")
    write(make_report(base, now, lines, registry, touched, history(ROOT)), arguments.output)
