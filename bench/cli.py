"""The `effbench` command."""

import argparse
import contextlib
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import MissingAsset
from bench.contract.registry import Registry, SlugTaken, UnknownName, family, load
from bench.record import store
from bench.record.environment import NoSuchDevice
from bench.run.sandbox import NoSandbox, NotPlanned
from bench.submit import Refused
from bench.submit.new import families_of, new_method, new_suite

if TYPE_CHECKING:
    from bench.record.schema import Record
    from bench.run.plan import Job

ROOT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130
_REFUSALS = (
    UnknownName, SlugTaken, Refused, NoSuchDevice, store.ResultsNotWritable, MissingAsset, NoSandbox, NotPlanned,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (something did not work), 2 (bad input) or 130 (interrupted)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except _REFUSALS as error:
        print(f"effbench: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        sys.exit(1)


def list_command(arguments: argparse.Namespace) -> None:
    registry = _registry()
    if arguments.suite:
        registry.suite(arguments.suite)
    rows = [
        _describe(registry, slug)
        for slug in sorted(registry.methods)
        if arguments.suite in (None, registry.methods[slug].card.suite)
    ]
    if arguments.json:
        _print_json(rows)
        return
    for name, suite in sorted(registry.suites.items()):
        if arguments.suite not in (None, name):
            continue
        print(f"{name}: {suite.info.title}\n  points: {', '.join(suite.info.points)}")
        for row in rows:
            if row["suite"] == name:
                print(f"  {row['slug']:<26}{'control' if row['control'] else row['family']:<22}{row['title']}")


def show_command(arguments: argparse.Namespace) -> None:
    registry = _registry()
    method = registry.method(arguments.method)
    row = _describe(registry, arguments.method)
    row["summary"] = (method.__doc__ or "").strip()
    row["variants"] = {name: dict(settings) for name, settings in method.variants.items()}
    row["at_point"] = {name: dict(settings) for name, settings in method.at_point.items()}
    row["claims"] = [vars(claim) for claim in method.card.claims]
    row["notes"] = method.card.notes
    row["source"] = str(Path(str(sys.modules[method.__module__].__file__)))
    if arguments.json:
        _print_json(row)
        return
    print(f"{row['title']} ({row['slug']}), suite {row['suite']}, {'control' if row['control'] else row['family']}")
    print(f"{row['paper']}{'  ' + row['url'] if row['url'] else ''}\n\n{row['summary']}\n")
    for claim in method.card.claims:
        print(f"claim: {claim.text} [{claim.source}]")
    for point, settings in method.at_point.items():
        print(f"at {point}: {', '.join(f'{name}={value}' for name, value in settings.items())}")
    print(f"variants: {', '.join(method.variants)}\nfile: {row['source']}")


def new_method_command(arguments: argparse.Namespace) -> None:
    registry = _registry()
    files = new_method(registry, arguments.slug, suite=arguments.suite, family=arguments.family, root=ROOT)
    print(*files, sep="\n")
    if arguments.family is None:
        print(f"--family, if it belongs to one of these: {', '.join(families_of(registry, arguments.suite))}")
    print(f"it works as it stands; `effbench check {arguments.slug}` tells what is left to be written")


def new_suite_command(arguments: argparse.Namespace) -> None:
    print(*new_suite(_registry(), arguments.slug, root=ROOT), sep="\n")
    print(f"it works as it stands; `effbench check {arguments.slug}` tells what is left to be written")


def check_command(arguments: argparse.Namespace) -> None:
    from bench.submit import check
    from bench.submit.changes import changes

    if arguments.sandbox:
        from bench.submit.confined import check_confined

        flags = ["--changed"] * arguments.changed + ["--json"] * arguments.json
        base = ["--base", arguments.base] if arguments.base else []
        sys.exit(check_confined([*flags, *base, "--", *arguments.name]))
    registry = _registry()
    submission = changes(ROOT, arguments.base) if arguments.changed or arguments.base else None
    names = arguments.name or (
        check.touched(registry, submission) if submission else [*sorted(registry.suites), *sorted(registry.methods)]
    )
    findings = check.check(registry, names, submission, show=(lambda _: None) if arguments.json else check.show)
    if arguments.json:
        _print_json({"summary": check.summary(findings), "findings": [vars(finding) for finding in findings]})
    else:
        print(check.summary(findings))
    sys.exit(1 if check.failed(findings) else 0)


def run_command(arguments: argparse.Namespace) -> None:
    from bench.run.cluster import ClusterUnusable

    selection = {
        "points": arguments.point,
        "seeds": arguments.seed,
        "scale": arguments.scale,
        "base": arguments.base,
        "device": arguments.device,
        "threads": arguments.threads,
        "timed": not arguments.untimed,
        "workloads": arguments.workload,
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being told to stop is like Ctrl-C: tidy up
    confined = arguments.sandbox or arguments.submission
    if arguments.executor == "ray" and confined:
        raise Refused("a sandbox is of this machine alone: leave out --executor ray, or the sandbox")
    jobs, run = (_plan_confined if confined else _plan)(arguments, selection)
    if arguments.dry_run:
        print(*(job.label for job in jobs), sep="\n")
        return
    try:
        records = run(arguments.results, again=arguments.again, timeout=arguments.timeout)
    except KeyboardInterrupt:
        print(
            f"\nstopped; every finished record is in {arguments.results}, the same command continues where it stopped",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    except ClusterUnusable as reason:
        print(f"effbench: {reason}", file=sys.stderr)
        sys.exit(2)
    print(f"{len(records)} new records in {arguments.results}")


_Planned = tuple[list["Job"], Callable[..., list["Record"]]]
"""What there is to run, and what runs it: of the results folder and the options of run_plan."""


def _plan(arguments: argparse.Namespace, selection: dict[str, Any], **options: Any) -> _Planned:
    from bench.run.plan import make_plan
    from bench.run.runner import run_plan

    registry = _registry()
    jobs = [
        job
        for suites, methods in _chosen(arguments, ROOT)
        for suite in suites or sorted(registry.suites)
        for job in make_plan(registry, suite=suite, methods=methods, **selection)
    ]
    if arguments.executor == "ray":
        return jobs, partial(_run_on_ray, arguments, jobs)
    return jobs, partial(run_plan, registry, jobs, **options)


def _chosen(arguments: argparse.Namespace, tree: Path) -> list[tuple[list[str], list[str]]]:
    """Suites (none means all) with the methods to be run of each (none means all)."""
    if arguments.changed is None:
        return [(arguments.suite, arguments.method)]
    if arguments.method:
        raise Refused("--changed chooses the methods: leave out --method, or --changed")
    from bench.run.sandbox.catalogue import read_catalogue
    from bench.submit.changes import changes
    from bench.submit.touched import touched_methods

    touched = touched_methods(read_catalogue(tree), changes(tree, arguments.changed or None))
    return [([suite], slugs) for suite, slugs in touched.items() if suite in (arguments.suite or touched)]


def _run_on_ray(arguments: argparse.Namespace, jobs: Sequence["Job"], results: Path, **options: Any) -> list["Record"]:
    from bench.run.cluster.ray import run_on_ray  # without Ray this says how to install it

    return run_on_ray(jobs, results, address=arguments.ray_address, share_nodes=arguments.share_nodes, **options)


def _plan_confined(arguments: argparse.Namespace, selection: dict[str, Any]) -> _Planned:
    """With a sandbox no method is imported here."""
    from bench.run.sandbox import command

    tree = (arguments.submission or ROOT).resolve()
    confinement = command.confinement_of(tree, required=arguments.submission is not None, tell=_tell)
    if confinement.sandbox is None:
        return _plan(arguments, selection, executor=command.executor_of(confinement))
    plan = [
        planned
        for suites, methods in _chosen(arguments, tree)
        for planned in command.plan_selection(
            tree, confinement, suites=suites, methods=methods, tell=_tell, **selection
        )
    ]
    return [each.job for each in plan], partial(command.run_confined, plan, confinement, tree=tree)


def records_command(arguments: argparse.Namespace) -> None:
    from bench.analyse.summary import costs, quality
    from bench.record.schema import Record
    from bench.run.progress import one_line

    if arguments.schema:
        _print_json(Record.model_json_schema())
        return
    records, broken = store.read_all(arguments.results)
    for problem in broken:
        print(f"effbench: broken record {problem}", file=sys.stderr)
    wanted = ("suite", "method", "point", "scale", "hardware", "status")
    rows = []
    for record in records:
        if any(getattr(arguments, name) not in (None, getattr(record, name)) for name in wanted):
            continue
        row = record.model_dump(mode="json", include=set(_RECORD_FIELDS))
        row["quality"] = {name: vars(estimate) for name, estimate in quality(record).items()}
        row["cost"] = {name: vars(cost) for name, cost in costs(record).items()}
        rows.append(row)
    if arguments.json:
        _print_json(rows)
        return
    for row in rows:
        name = row["method"] + ("" if row["variant"] == "default" else f":{row['variant']}")
        scores = "  ".join(f"{score}={estimate['value']:.4g}" for score, estimate in row["quality"].items())
        print(
            f"{row['suite']}  {row['point']:<14}{name:<28}{row['seed']}  {row['status']:<12}"
            + (one_line(row["reason"]) if row["reason"] else scores)
        )


def site_command(arguments: argparse.Namespace) -> None:
    from bench.publish.serve import serve
    from bench.publish.site import build_site

    built = build_site(arguments.results or [ROOT / "results"], _registry(), arguments.output, arguments.url)
    for problem in built.broken:
        print(f"effbench: broken record {problem}", file=sys.stderr)
    print(f"{built.records} records; the leaderboard is at {built.index.resolve()}")
    if arguments.serve is None:
        return
    with serve(arguments.output, arguments.serve) as server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C stops it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def selfcheck_command(arguments: argparse.Namespace) -> None:
    import torch

    from bench.measure.selfcheck import selfcheck
    from bench.measure.selfcheck_text import as_text
    from bench.record.environment import check_device

    check_device(arguments.device)
    torch.set_num_threads(arguments.threads)
    quick = arguments.quick
    try:
        report = selfcheck(
            seconds=arguments.seconds or (0.1 if quick else 0.5),
            repeats=arguments.repeats or (16 if quick else 120),
            device=arguments.device,
            progress=_progress,
        )
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        print(file=sys.stderr)
    if arguments.json:
        _print_json(report.as_json())
    else:
        print(as_text(report) + ("\n(--quick: rates from so few comparisons are rough)" if quick else ""))
    sys.exit(0 if report.targets_met else 1)


def _progress(done: int, total: int) -> None:
    print(f"\rcomparison {done} of {total}", end="", file=sys.stderr, flush=True)


def report_command(arguments: argparse.Namespace) -> None:
    from bench.publish.report import make_report
    from bench.publish.revision import UnknownRevision, records_at

    committed = ROOT / "results"
    try:
        base = records_at(ROOT, committed, arguments.base)
    except UnknownRevision as reason:
        print(f"effbench: {reason}", file=sys.stderr)
        sys.exit(2)
    now, broken = store.read_all(arguments.results)
    if arguments.results.resolve() != committed.resolve():  # a folder of its own adds to what is committed
        now = [*base, *now]
    _write(make_report(base, now, [str(problem) for problem in broken], _registry()), arguments.output)


def nightly_command(arguments: argparse.Namespace) -> None:
    from bench.nightly.night import run_night
    from bench.nightly.summary import summary
    from bench.run.plan import make_plan

    registry = _registry()
    jobs = [
        job
        for suite in arguments.suite or sorted(registry.suites)
        for job in make_plan(
            registry,
            suite=suite,
            methods=arguments.method,
            scale=arguments.scale,
            device=arguments.device,
            threads=arguments.threads,
        )
    ]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        night = run_night(
            registry,
            jobs,
            arguments.results,
            seconds=arguments.time,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except KeyboardInterrupt:
        print(f"\nstopped; every finished record is in {arguments.results}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    _write(summary(night), arguments.summary)
    sys.exit(1 if night.regressions else 0)


def verify_command(arguments: argparse.Namespace) -> None:
    from bench.nightly.audit import markdown_of
    from bench.nightly.verify import NotVerifiable, find_record, verify

    records, _ = store.read_all(arguments.results)
    record = find_record(records, arguments.record)
    try:
        done = verify(
            _registry(), record, records, arguments.results, device=arguments.device, threads=arguments.threads
        )
    except NotVerifiable as reason:
        print(f"effbench: record {record.id} can't be run again: {reason}", file=sys.stderr)
        sys.exit(2)
    if arguments.json:
        checks = [vars(check) for check in done.checks]
        _print_json({"id": record.id, "command": record.command, "outcome": done.outcome, "checks": checks})
    else:
        print(markdown_of(done))
    sys.exit({"reproduced": 0, "not reproduced": 1, "not comparable": 3}[done.outcome])


def audit_command(arguments: argparse.Namespace) -> None:
    from bench.nightly.audit import as_json, as_markdown, audit, passes

    records, _ = store.read_all(arguments.results)
    done, refused = audit(
        _registry(), records, arguments.results, count=arguments.count, seed=arguments.seed,
        hardware=arguments.hardware, tell=lambda line: print(line, file=sys.stderr, flush=True),
    )  # fmt: skip
    if arguments.json:
        _print_json(as_json(done, refused, arguments.seed))
    else:
        _write(as_markdown(done, refused, arguments.seed), arguments.output)
    sys.exit(0 if passes(done) else 1)


_RECORD_FIELDS = (
    "id", "suite", "method", "variant", "point", "scale", "base", "seed", "hardware", "status", "reason", "started",
    "seconds", "command", "hyperparameters",
)  # fmt: skip


def _describe(registry: Registry, slug: str) -> dict[str, Any]:
    method = registry.method(slug)
    card = method.card
    return {
        "slug": slug,
        "suite": card.suite,
        "family": family(method),
        "control": card.control,
        "title": card.title,
        "paper": card.paper,
        "url": card.url,
        "stochastic": card.stochastic,
    }


def _registry() -> Registry:
    registry = load()
    for problem in registry.problems:
        _tell(problem)
    return registry


def _tell(line: str) -> None:
    print(f"effbench: {line}", file=sys.stderr)


def _write(text: str, path: Path | None) -> None:
    """To the file, or to the standard output without one."""
    if path is None:
        print(text, end="")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _duration(text: str) -> float:
    """Seconds of "90s", "45m", "2h" or "1.5h"; argparse tells the user of a ValueError."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]] if text[-1:] in "smh" and text else float(text)


def _print_json(value: Any) -> None:
    print(json.dumps(_finite(value), indent=1, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON knows no infinity: an open end of an interval is null."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="effbench", description="Benchmark efficient model methods and render the leaderboard."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, summary: str, examples: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=summary, epilog="examples:\n" + examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.set_defaults(command=function)
        return command

    def add_results(command: argparse.ArgumentParser) -> None:
        command.add_argument("--results", type=Path, default=ROOT / "results", metavar="DIR", help="records folder")

    command = add(
        "list", list_command, "List suites and methods.",
        "  effbench list\n  effbench list --suite lm-compression --json",
    )  # fmt: skip
    command.add_argument("--suite", help="only this suite")
    command.add_argument("--json", action="store_true", help="machine-readable")

    command = add(
        "show", show_command, "Show a method: paper, summary, claims, variants, file.",
        "  effbench show flap\n  effbench show attention-drop --json",
    )  # fmt: skip
    command.add_argument("method", metavar="METHOD")
    command.add_argument("--json", action="store_true", help="machine-readable")

    _add_submission(add)

    command = add(
        "run", run_command,
        "Run methods at operating points and store a record of each run. What is recorded already, with the same "
        "inputs, is not run again; a stopped run continues with the same command.",
        "  effbench run --scale tiny                                   everything, seconds a run, toy weights\n"
        "  effbench run --suite lm-compression --point size-75         one operating point, all methods\n"
        "  effbench run --suite lm-compression --method flap --method attention-drop:mlp\n"
        "  effbench run --suite lm-compression --method dense@unlimited --method finercut@compute-75\n"
        "  effbench run --suite operator-data --method skr --seed 1 --again\n"
        "  effbench run --changed origin/main --scale tiny             what a branch touches\n"
        "  effbench run --scale full --base Qwen/Qwen2.5-0.5B --device cuda --suite lm-compression\n"
        "  effbench run --submission ../their-checkout --suite lm-compression --method their-method",
    )  # fmt: skip
    command.add_argument("--suite", action="append", default=[], help="suite to run; repeat for more (default: all)")
    command.add_argument(
        "--method", action="append", default=[], metavar="SLUG[:VARIANT][@POINT]", help="repeat for more"
    )
    command.add_argument(
        "--changed", nargs="?", const="", metavar="REV",
        help="only the methods that were changed, or whose suite or helpers were, since the work left REV (default: "
        "main, upstream's if any)",
    )  # fmt: skip
    command.add_argument("--point", action="append", default=[], help="operating point; repeat for more")
    command.add_argument("--seed", action="append", default=[], type=int, help="repeat for more")
    command.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    command.add_argument("--base", help="base model; at full scale any hub id")
    command.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    command.add_argument("--threads", type=int, help="processor threads of each run (default: all cores)")
    command.add_argument("--untimed", action="store_true", help="score only; speed stays missing")
    command.add_argument(
        "--workload",
        action="append",
        default=[],
        help="time this one alone; repeat for more (default: all of the suite)",
    )
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="per run, instead of the suite's")
    command.add_argument("--again", action="store_true", help="run even what is recorded already")
    command.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")
    command.add_argument(
        "--executor", choices=("local", "ray"), default="local", help="this machine (default) or a Ray cluster"
    )
    command.add_argument(
        "--ray-address", metavar="HOST:PORT",
        help="the cluster (default: $RAY_ADDRESS, else one that is started on this machine and stopped again)",
    )  # fmt: skip
    command.add_argument(
        "--share-nodes", action="store_true", help="do not keep a node of the cluster for one timed run at a time"
    )
    command.add_argument(
        "--sandbox", action="store_true", help="keep the code of methods and suites away from this machine (bubblewrap)"
    )
    command.add_argument(
        "--submission", type=Path, nargs="?", const=ROOT, metavar="DIR",
        help="the same for code that nobody has read: refuses where there is no sandbox. DIR: a checkout whose methods "
        "and suites are run, by this engine (default: this one)",
    )  # fmt: skip
    add_results(command)

    command = add(
        "records", records_command, "List records with their scores.",
        "  effbench records --suite operator-data\n  effbench records --method flap --json\n"
        "  effbench records --schema        JSON Schema of the stored records",
    )  # fmt: skip
    for name in ("suite", "method", "point", "scale", "hardware", "status"):
        command.add_argument(f"--{name}", help=f"only this {name}")
    command.add_argument("--json", action="store_true", help="machine-readable, with quality and cost")
    command.add_argument("--schema", action="store_true", help="print the JSON Schema and stop")
    add_results(command)

    _add_selfcheck(add)

    command = add(
        "site", site_command, "Render the leaderboard as static HTML.",
        "  effbench site --output build/site\n"
        "  effbench site --output build/site --serve          and show it at http://127.0.0.1:8000/\n"
        "  effbench site --results results --results build/demo/results --output build/site",
    )  # fmt: skip
    command.add_argument("--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--results", type=Path, action="append", metavar="DIR", help="records folder; repeat for more")
    command.add_argument("--url", help="where it will be published, for the links of the feed")
    command.add_argument("--serve", type=int, nargs="?", const=8000, metavar="PORT", help="show it on this machine")
    _add_nightly(add, add_results)
    return parser


def _add_selfcheck(add: Callable[[str, Any, str, str], argparse.ArgumentParser]) -> None:
    command = add(
        "selfcheck", selfcheck_command,
        "Try the speed instrument on this machine: comparisons of equal things (how often does it see a difference?) "
        "and of known cost ratios (does its interval hold the truth?), and what may spoil a measurement here. Takes "
        "about two minutes. Exits with 1 if the targets are missed.",
        "  effbench selfcheck\n  effbench selfcheck --quick\n  effbench selfcheck --seconds 2 --repeats 100 --json",
    )  # fmt: skip
    command.add_argument("--seconds", type=float, help="measuring time of each comparison (default: 0.5)")
    command.add_argument(
        "--repeats", type=int, help="comparisons of equal things (default: 120); other ratios a quarter"
    )
    command.add_argument("--quick", action="store_true", help="a few seconds in all; the rates are rough")
    command.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    command.add_argument("--threads", type=int, default=1, help="processor threads (default: 1)")
    command.add_argument("--json", action="store_true", help="machine-readable")


def _add_submission(add: Callable[[str, Any, str, str], argparse.ArgumentParser]) -> None:
    command = add(
        "new", new_method_command, "Write the first version of a method or a suite: it works, and its comments teach.",
        "  effbench new method keep-ends --suite lm-compression --family layer-dropping\n"
        "  effbench new suite image-sampling",
    )  # fmt: skip
    kinds = command.add_subparsers(required=True, metavar="method|suite")
    kind = kinds.add_parser("method", help="one file, methods/<family>/<slug>.py")
    kind.set_defaults(command=new_method_command)
    kind.add_argument("slug", metavar="SLUG", help="unique name: lower-case words joined by '-'")
    kind.add_argument("--suite", required=True, help="the suite that it runs in")
    kind.add_argument("--family", help="folder under methods/ (default: the suite's name)")
    kind = kinds.add_parser("suite", help="a folder suites/<slug>/ and its first methods")
    kind.set_defaults(command=new_suite_command)
    kind.add_argument("slug", metavar="SLUG", help="unique name: lower-case words joined by '-'")

    command = add(
        "check", check_command,
        "Check methods and suites at tiny scale, and what a submission changes. Every failure is shown, with how to "
        "mend it; the exit code is 1 if there is one.",
        "  effbench check flap                     one method\n"
        "  effbench check --changed                what this branch changes, and what that touches\n"
        "  effbench check --changed --base upstream/main --json\n"
        "  effbench check                          everything; takes a while",
    )  # fmt: skip
    command.add_argument("name", nargs="*", metavar="METHOD|SUITE", help="what to check (default: everything)")
    command.add_argument("--changed", action="store_true", help="the changes against the base, and what they touch")
    command.add_argument("--base", metavar="REV", help="git revision of --changed (default: main, upstream's if any)")
    command.add_argument("--sandbox", action="store_true", help="run it all in a sandbox; refuses where there is none")
    command.add_argument("--json", action="store_true", help="machine-readable")


def _add_nightly(
    add: Callable[[str, Any, str, str], argparse.ArgumentParser], add_results: Callable[[argparse.ArgumentParser], None]
) -> None:
    command = add(
        "report", report_command,
        "Say in Markdown, for a pull request, what the new records change: against the base, the baseline and the "
        "controls, whether the frontier moved, what failed.",
        "  effbench report --base origin/main\n"
        "  effbench report --base HEAD~1 --results build/results --output build/report.md",
    )  # fmt: skip
    command.add_argument("--base", required=True, metavar="REV", help="commit, branch or tag to compare with")
    command.add_argument("--output", type=Path, metavar="FILE", help="where the Markdown goes (default: printed)")
    add_results(command)

    command = add(
        "nightly", nightly_command,
        "Run what changed or is oldest, most valuable first, within a time limit; hold it against the history on the "
        "same hardware; measure again what looks changed. Exits with 1 if a regression is confirmed, else 0.",
        "  effbench nightly --time 2h --summary build/night.md\n"
        "  effbench nightly --time 20m --suite operator-data --threads 1",
    )  # fmt: skip
    command.add_argument(
        "--method", action="append", default=[], metavar="SLUG[:VARIANT][@POINT]", help="repeat for more (default: all)"
    )
    command.add_argument("--time", type=_duration, default=7200.0, metavar="2h", help="limit: 90s, 45m, 2h (default)")
    command.add_argument("--suite", action="append", default=[], help="repeat for more (default: all)")
    command.add_argument("--scale", default="embedded", help="tiny, embedded (default) or full")
    command.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    command.add_argument("--threads", type=int, help="processor threads of each run (default: all cores)")
    command.add_argument("--summary", type=Path, metavar="FILE", help="where the Markdown goes (default: printed)")
    add_results(command)

    command = add(
        "verify", verify_command,
        "Run one record again and say for every figure whether it is reproduced: what is counted must be equal, scores "
        "are compared item by item, times by their intervals and on the same hardware only. Exits with 0 (reproduced), "
        "1 (not reproduced) or 3 (nothing could be compared).",
        "  effbench verify 6c16e01ed807\n  effbench verify 6c16e01ed807 --threads 1 --json",
    )  # fmt: skip
    command.add_argument("record", metavar="RECORD_ID", help="its id, or how it begins")
    command.add_argument("--device", help="cpu or cuda (default: as it was)")
    command.add_argument("--threads", type=int, help="processor threads (default: as it was)")
    command.add_argument("--json", action="store_true", help="machine-readable")
    add_results(command)

    command = add(
        "audit", audit_command,
        "Verify records of the board that are drawn at random, and report how far the figures spread. Exits with 1 if "
        "more is not reproduced than chance explains.",
        "  effbench audit --count 5 --seed 1 --output build/audit.md\n"
        "  effbench audit --count 20 --seed 7 --hardware cpu-amd-epyc-1t --json",
    )  # fmt: skip
    command.add_argument("--count", type=int, default=5, help="records to draw (default: 5)")
    command.add_argument("--seed", type=int, default=0, help="of the draw: the same draws the same")
    command.add_argument("--hardware", help="only records of this hardware class (default: all)")
    command.add_argument("--output", type=Path, metavar="FILE", help="where the Markdown goes (default: printed)")
    command.add_argument("--json", action="store_true", help="machine-readable, printed")
    add_results(command)


if __name__ == "__main__":
    main()
