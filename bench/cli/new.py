"""`effbench new`"""

import argparse

from bench.cli.common import ROOT, Commands, opened


def add(commands: Commands) -> None:
    parser = commands.add(
        "new", run_method, "Write the first version of a method or a suite: it works, and its comments teach.",
        "  effbench new method keep-ends --suite lm-compression --family layer-dropping\n"
        "  effbench new suite image-sampling",
    )  # fmt: skip
    kinds = parser.add_subparsers(required=True, metavar="method|suite")
    method = kinds.add_parser("method", help="one file, methods/<suite>/<family>/<slug>.py")
    method.set_defaults(command=run_method)
    method.add_argument("slug", metavar="SLUG", help="name, unique in its suite: lower-case words joined by '-'")
    method.add_argument("--suite", required=True, help="the suite that it runs in")
    method.add_argument("--family", help="folder under methods/<suite>/; made if it is new")
    suite = kinds.add_parser("suite", help="a folder suites/<slug>/ and its first methods")
    suite.set_defaults(command=run_suite)
    suite.add_argument("slug", metavar="SLUG", help="unique name: lower-case words joined by '-'")


def run_method(arguments: argparse.Namespace) -> None:
    from bench.submit.new import new_method

    files = new_method(opened(), arguments.slug, suite=arguments.suite, family=arguments.family, root=ROOT)
    print(*files, sep="\n")
    print(
        f"it works as it stands; `effbench check {arguments.suite}/{arguments.slug}` tells what is left to be written"
    )


def run_suite(arguments: argparse.Namespace) -> None:
    from bench.submit.new import new_suite

    print(*new_suite(opened(), arguments.slug, root=ROOT), sep="\n")
    print(f"it works as it stands; `effbench check {arguments.slug}` tells what is left to be written")
