"""Builds the leaderboard: static HTML that needs no JavaScript, no server and no other site."""

import contextlib
import hashlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analyse.regressions import CONFIRMING
from bench.contract import SCALES, Limits, OperatingPoint
from bench.measure.statistics import CONFIDENCE, MIN_PAIRS, MIN_SEEDS
from bench.publish import kept
from bench.publish.about import read_about
from bench.publish.board_data import script
from bench.publish.bundle import write_bundle
from bench.publish.catalogue import Catalogue, Entry, read_catalogue
from bench.publish.citation import badge
from bench.publish.context import Context, Place, Section
from bench.publish.coverage import STATES, coverage, distinct
from bench.publish.feed import make_feed
from bench.publish.freshness import read_freshness
from bench.publish.glossary import SCALE_WORDS, STATUSES, hardware
from bench.publish.method_view import make_method
from bench.publish.pages import Pages
from bench.publish.paths import (
    badge_address,
    coverage_address,
    file_name,
    method_address,
    old_method_address,
    site_folder,
    suite_address,
)
from bench.publish.questions import GOALS
from bench.publish.search import searchable
from bench.publish.section import build_section
from bench.publish.suite_rows import by_area
from bench.publish.suite_view import lines_of
from bench.publish.which import Subject, answers_of, make_subjects, script_of
from bench.publish.workers import each
from bench.record.schema import Record
from bench.registry import ProblemInfo, Registry, SuiteInfo
from bench.registry.metrics import MARGIN, Metric

CHECKOUT = Path(__file__).resolve().parents[2]
NEWEST = 20
CHANGES_A_PAGE = 300
RECORDS_TO_SHARE = 500
"""More records than this are worked on by several processes."""


@dataclass(frozen=True)
class Built:
    """What a build did. broken: records that could not be read, and why. alarms: what can't be right in what the others
    say. Both stand on the index page too."""

    index: Path
    records: int
    pages: int
    broken: Sequence[str]
    alarms: Sequence[str]


def build_site(
    folders: Sequence[Path], registry: Registry, output: Path, url: str | None = None, checkout: Path = CHECKOUT
) -> Built:
    """Write the site of all records under `folders` into `output` (made if missing).

    What an earlier build left there is used where records, registry and code are the same. A record whose suite or
    method is no longer registered shows under its bare name. url: where the site will be published, if not where
    site.toml says. checkout: the git work tree that tells what changed since a record was measured.
    """
    infos = dict(registry.suites)
    wanted = {slug: _primaries(info) for slug, info in infos.items()}
    about = read_about(checkout, url)
    code = _code(registry, infos, about.identity)
    catalogue = read_catalogue(folders, output, wanted, code)
    infos |= _unregistered(catalogue.entries, infos)
    pages = Pages(output, about)
    context = Context(
        pages, registry, infos,
        versions=_versions(catalogue.entries, infos),
        files=_names(folders, catalogue.entries),
        freshness=read_freshness(registry, _newest_commits(catalogue.entries), checkout),
        code=code,
    )  # fmt: skip
    groups: dict[Place, list[Entry]] = defaultdict(list)
    for entry in catalogue.entries:
        groups[Place(entry.suite, entry.scale, entry.base)].append(entry)
    places = sorted(groups, key=lambda p: (p.suite, _scale_order(p.scale), p.base))
    jobs = [
        (Section(context, place, entries, [other for other in places if other.suite == place.suite]),)
        for place, entries in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    made = list(each(build_section, jobs, heavy=len(catalogue.entries) > RECORDS_TO_SHARE))
    sections = [part for section in made for part in section["parts"]]
    sections.sort(key=lambda s: (places.index(Place(s["suite"], s["scale"], s["base"])), s["hardware"]))
    alarms = [problem for section in made for problem in section["problems"]]
    shutil.copytree(site_folder() / "assets", output / "assets", dirs_exist_ok=True)
    written = _write_rest(context, catalogue, sections, alarms)
    _forget_others(output, [*written, *(address for section in made for address in section["written"])])
    return Built(output / "index.html", len(catalogue.entries), len(written), catalogue.broken, alarms)


def _write_rest(
    context: Context, catalogue: Catalogue, sections: Sequence[Mapping[str, Any]], alarms: Sequence[str]
) -> list[str]:
    """sections: of each one its parts, one for each hardware."""
    pages, registry, infos = context.pages, context.registry, context.infos
    changes = sorted(
        (change for section in sections for change in section["changes"]),
        key=lambda change: (-change["when"], change["address"], change["what"]),
    )
    newest = catalogue.entries[-1].started if catalogue.entries else 0.0
    by_suite = [(info, [s for s in sections if s["suite"] == slug]) for slug, info in sorted(infos.items())]
    written = [
        pages.page("suite.html", suite_address(info.slug), info=info, sections=here, glance=_glance(here),
                   distinct=distinct(here), lines=lines_of(info, here),
                   methods=list(registry.methods_of(info.slug).values()))
        for info, here in by_suite
    ]  # fmt: skip
    written += [
        pages.page("coverage.html", coverage_address(info.slug), info=info, states=STATES,
                   matrices=coverage(info, here, registry))
        for info, here in by_suite
    ]  # fmt: skip
    written += _write_methods(context, catalogue.entries, sections, changes)
    written += _write_history(pages, changes)
    boards = _boards(sections)
    methods = Counter(suite for suite, _ in registry.methods)
    subjects = make_subjects(infos, sections)
    written += _write_answers(pages, subjects)
    written += write_bundle(pages.output, [address for address, _ in catalogue.downloads])
    written += [
        pages.page("methods.html", "methods.html",
                   methods=[listed for _, listed in sorted(registry.methods.items())]),
        pages.page("glossary.html", "glossary.html", infos=list(registry.suites.values()), scales=SCALE_WORDS,
                   statuses=STATUSES, hardware=hardware(sections)),
        pages.text("data/search.js", script("search", searchable(registry, infos))),
        pages.page("compare.html", "compare.html", boards=boards),
        pages.text("data/boards.js", script("boards", boards)),
        pages.text("data/schema.json", json.dumps(Record.model_json_schema(), indent=1)),
        pages.text("feed.xml", make_feed(changes, newest, pages.about.address)),
        pages.page("submit.html", "submit.html"),
        pages.page("data.html", "data.html", downloads=catalogue.downloads, count=len(catalogue.entries),
                   tables=_tables(sections)),
        pages.page("about.html", "about.html", margin=MARGIN, confirming=CONFIRMING, confidence=CONFIDENCE,
                   min_pairs=MIN_PAIRS, min_seeds=MIN_SEEDS),
        pages.page(
            "index.html", "index.html",
            subjects=subjects, areas=by_area(infos, subjects, sections, methods), goals=GOALS,
            count_methods=len(registry.methods),
            newest=catalogue.entries[:-NEWEST - 1:-1], newest_time=newest,
            changes=[change for change in changes if change["when"] > newest - 7 * 86_400],
            count=len(catalogue.entries),
            broken=catalogue.broken,
            problems=[*registry.faults, *alarms],
        ),
    ]  # fmt: skip
    return written


def _write_answers(pages: Pages, subjects: Sequence[Subject]) -> list[str]:
    """What the front page's script asks, and a file of answers for each suite."""
    suites: dict[str, list[Subject]] = {}
    for subject in subjects:
        suites.setdefault(subject.suite, []).append(subject)
    return [
        pages.text("data/which.js", script("which", script_of(subjects))),
        *(pages.text(f"data/which/{file_name(slug)}.js", script(f"answers/{slug}", answers_of(theirs)))
          for slug, theirs in suites.items()),
    ]  # fmt: skip


def _write_methods(
    context: Context,
    entries: Sequence[Entry],
    sections: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]],
) -> list[str]:
    """A page for each method; and where its slug alone names it, one that leads there from where it used to stand."""
    own: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for change in changes:
        own[change["suite"], change["name"].split(":")[0]].append(change)
    names = sorted({*context.registry.methods, *((entry.suite, entry.method) for entry in entries)})
    suites_with = Counter(slug for _, slug in names)
    written = []
    for suite, slug in names:
        here = [section for section in sections if section["suite"] == suite]
        view = make_method(context.registry, context.infos[suite], slug, here, own[suite, slug])
        sign = badge(context.pages.about.name, [line["place"] for line in view.places])
        written.append(context.pages.text(badge_address(suite, slug), sign))
        written.append(context.pages.page("method.html", method_address(suite, slug), method=view, badge=written[-1]))
        if suites_with[slug] == 1:
            old = old_method_address(slug)
            target = method_address(suite, slug)
            written.append(context.pages.page("moved.html", old, title=view.title, target=target, state=""))
    return written


def _boards(sections: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Address, without its ending, and title of every board that has two methods to compare."""
    found = {}
    for section in sections:
        for point in section["points"]:
            if point["ok"] > 1:
                place = " on ".join(filter(None, (section["base"], point["on"])))
                found[point["address"].removesuffix(".html")] = f"{section['suite']} · {point['point']} · {place}"
    return found


def _tables(sections: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The boards of each section, by its name: address, without its ending, and what it is called."""
    found: dict[str, dict[str, str]] = {}
    for section in sections:
        boards = found.setdefault(f"{section['suite']}, {section['base']} ({section['scale']})", {})
        for point in section["points"]:
            called = " on ".join(filter(None, (point["point"], point["on"])))
            boards[point["address"].removesuffix(".html")] = called
    return found


def _write_history(pages: Pages, changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What moved, newest first, then what is new, newest first; what does not fit on a page goes on the next."""
    ordered = sorted(changes, key=lambda change: change["kind"] == "new")
    parts = [ordered[i : i + CHANGES_A_PAGE] for i in range(0, len(ordered), CHANGES_A_PAGE)] or [[]]
    addresses = ["history.html", *(f"history-{number}.html" for number in range(2, len(parts) + 1))]
    count_new = sum(change["kind"] == "new" for change in changes)
    first_new = addresses[min((len(changes) - count_new) // CHANGES_A_PAGE, len(addresses) - 1)]
    return [
        pages.page("history.html", address, addresses=addresses, number=number, count_new=count_new,
                   first_new=first_new, moved=[change for change in part if change["kind"] != "new"],
                   new=[change for change in part if change["kind"] == "new"])
        for number, (address, part) in enumerate(zip(addresses, parts, strict=True), start=1)
    ]  # fmt: skip


def _glance(sections: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The section with the most to show, toy scales last: its picture stands for the suite."""
    return max(
        (section for section in sections if section["figure"]),
        key=lambda section: (section["scale"] != SCALES[0], section["rows"]),
        default=None,
    )


def _forget_others(output: Path, written: Iterable[str]) -> None:
    """Remove pages that the last build wrote and this one did not; of anything else nothing is removed."""
    manifest = output / kept.FOLDER / "written.json"
    now = sorted(set(written))
    for address in set(kept.read(manifest) or ()) - set(now):
        with contextlib.suppress(OSError):
            (output / address).unlink()
    kept.write(manifest, now)


def _code(registry: Registry, infos: Mapping[str, SuiteInfo], about: Sequence[str | None]) -> str:
    """A hash of what turns records into pages: the engine, the templates, what the site says of itself, the suites'
    settings and the cards."""
    digest = hashlib.sha256()
    engine = Path(__file__).resolve().parents[1]
    files = [engine / "measure" / "statistics.py", engine / "record" / "schema.py", engine / "record" / "store.py"]
    parts = ("contract", "registry", "analyse", "publish")
    for folder in (*(engine / part for part in parts), site_folder() / "templates"):
        files += [path for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".html", ".svg")]
    for path in files:
        digest.update(path.read_bytes())
    digest.update(repr([about, sorted(infos.items()), sorted(registry.methods.items())]).encode())
    return digest.hexdigest()


def _names(folders: Sequence[Path], entries: Sequence[Entry]) -> dict[str, str]:
    """Each results file below its folder: pages show no path of the machine that built them."""
    files = dict.fromkeys(entry.file for entry in entries)
    inside = {file: next(f for f in folders if Path(file).is_relative_to(f)) for file in files}
    return {file: Path(file).relative_to(folder).as_posix() for file, folder in inside.items()}


def _versions(entries: Sequence[Entry], infos: Mapping[str, SuiteInfo]) -> dict[str, str]:
    """The version of each suite that is ranked: today's where it has records, else that of the newest record."""
    found: dict[str, str] = {}
    for entry in entries:  # oldest first
        today = infos[entry.suite].version
        if found.get(entry.suite) != today:
            found[entry.suite] = entry.suite_version
    return found


def _newest_commits(entries: Sequence[Entry]) -> set[str]:
    """Commits of the newest record of each seed of each configuration: those that stand in tables."""
    return {e.commit for e in {(e.board, e.method, e.variant, e.seed): e for e in entries}.values()}


def _primaries(info: SuiteInfo) -> list[str]:
    """Names of the primary scores and costs of all of its problems."""
    return list(dict.fromkeys(metric.name for problem in info.problems.values() for metric in problem.primaries))


def _scale_order(scale: str) -> int:
    order = ("embedded", "full", "tiny")
    return order.index(scale) if scale in order else len(order)


def _unregistered(entries: Sequence[Entry], known: Mapping[str, SuiteInfo]) -> dict[str, SuiteInfo]:
    """What can be said of suites that are not there any more: their points, and the names of their scores."""
    names: dict[str, dict[str, None]] = defaultdict(dict)
    points: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in entries:
        if entry.suite not in known:
            names[entry.suite].update(dict.fromkeys(entry.figures))
            points[entry.suite][entry.point] = None
    return {slug: _gone(slug, list(points[slug]), list(found) or ["score"]) for slug, found in names.items()}


def _gone(slug: str, points: Sequence[str], scores: Sequence[str]) -> SuiteInfo:
    metrics = {name: Metric(name, name, primary=i == 0) for i, name in enumerate(scores)}
    problem = ProblemInfo(slug, slug, "", "", "", {}, metrics, {}, {}, metrics[scores[0]])
    return SuiteInfo(
        slug=slug, area="", version="?", title=slug, summary="This suite is no longer registered.", baseline="",
        problems={slug: problem}, points={name: OperatingPoint(name, name, slug, Limits()) for name in points},
        bases={}, timing={}, timeout={},
    )  # fmt: skip
