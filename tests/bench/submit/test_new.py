"""`effbench new`: what it writes works at once, and nothing is ever written over."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import Registry, UnknownName, open_registry
from bench.submit.new import LONGEST_SLUG, TEMPLATE, CannotCreate, new_method, new_suite

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = open_registry()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The skeleton of a checkout: enough to write into."""
    for folder in ("methods/lm_compression/layer_dropping", "suites"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("methods/lm_compression/__init__.py", "methods/lm_compression/layer_dropping/__init__.py"):
        (tmp_path / file).touch()
    (tmp_path / "pyproject.toml").touch()
    for info in REGISTRY.suites.values():
        template = ROOT / info.folder / TEMPLATE
        if template.exists():
            (tmp_path / info.folder).mkdir()
            shutil.copy(template, tmp_path / info.folder)
    return tmp_path


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruff"]
    ours = "lint.isort.known-first-party = ['bench', 'methods', 'suites', 'effbench_toy']"
    config = ["--config", str(ROOT / "pyproject.toml"), "--config", ours, "--no-cache"]
    checked = subprocess.run([*command, "check", *config, str(folder)], capture_output=True, text=True, check=False)
    if checked.returncode:
        return checked
    format_check = [*command, "format", "--check", *config, str(folder)]
    return subprocess.run(format_check, capture_output=True, text=True, check=False)


def test_a_method_is_one_file(checkout: Path) -> None:
    before = files_below(checkout)
    new_method(REGISTRY, "keep-ends", suite="lm-compression", family="layer-dropping", root=checkout)
    assert files_below(checkout) - before == {"methods/lm_compression/layer_dropping/keep_ends.py"}


def test_a_new_family_is_a_package(checkout: Path) -> None:
    new_method(REGISTRY, "keep-ends", suite="lm-compression", family="new-idea", root=checkout)
    folder = "methods/lm_compression/new_idea"
    assert {f"{folder}/keep_ends.py", f"{folder}/__init__.py"} <= files_below(checkout)


def test_the_first_method_of_a_suite_makes_its_room(checkout: Path) -> None:
    written = new_method(REGISTRY, "keep-ends", suite="operator-data", family="krylov", root=checkout)
    assert written[0] == checkout / "methods/operator_data/krylov/keep_ends.py"
    assert {path.parent for path in written} == {written[0].parent, written[0].parents[1]}


def test_without_a_family_those_that_there_are_are_named(checkout: Path) -> None:
    with pytest.raises(CannotCreate, match="layer-dropping"):
        new_method(REGISTRY, "keep-ends", suite="lm-compression", family=None, root=checkout)


@pytest.mark.parametrize(
    "slug", ["Keep-Ends", "keep_ends", "keep ends", "../evil", "keep-", "-keep", "", "2bit", "lambda", "a" * 41, "k\n"]
)
def test_bad_slugs_are_refused_at_the_door(slug: str, checkout: Path) -> None:
    before = files_below(checkout)
    with pytest.raises(CannotCreate):
        new_method(REGISTRY, slug, suite="lm-compression", family="layer-dropping", root=checkout)
    with pytest.raises(CannotCreate):
        new_suite(REGISTRY, slug, root=checkout)
    assert files_below(checkout) == before


def test_a_bad_slug_is_answered_with_a_good_one(checkout: Path) -> None:
    with pytest.raises(CannotCreate, match="such as 'keep-ends'"):
        new_method(REGISTRY, "KeepEnds", suite="lm-compression", family="layer-dropping", root=checkout)


@pytest.mark.parametrize("family", ["../outside", "a/b", "Layer", "_hidden"])
def test_a_family_is_a_name_and_no_path(family: str, checkout: Path) -> None:
    with pytest.raises(CannotCreate):
        new_method(REGISTRY, "keep-ends", suite="lm-compression", family=family, root=checkout)


def test_taken_slugs_are_refused_with_the_file_that_has_them(checkout: Path) -> None:
    with pytest.raises(CannotCreate, match=r"flap\.py"):
        new_method(REGISTRY, "flap", suite="lm-compression", family="layer-dropping", root=checkout)
    with pytest.raises(CannotCreate, match="operator_data"):
        new_suite(REGISTRY, "operator-data", root=checkout)
    assert new_method(
        REGISTRY, "flap", suite="operator-data", family="krylov", root=checkout
    )  # a name of another suite


def test_an_unknown_suite_names_the_nearest(checkout: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'lm-compression'"):
        new_method(REGISTRY, "keep-ends", suite="lm-compresion", family="layer-dropping", root=checkout)


def test_nothing_is_written_over(checkout: Path) -> None:
    precious = checkout / "methods/lm_compression/layer_dropping/keep_ends.py"
    precious.write_text("precious")
    with pytest.raises(CannotCreate, match="exists already"):
        new_method(REGISTRY, "keep.ends", suite="lm-compression", family="layer-dropping", root=checkout)
    assert precious.read_text() == "precious"
    (checkout / "methods/fresh").mkdir()
    with pytest.raises(CannotCreate, match="exists already"):
        new_suite(REGISTRY, "fresh", root=checkout)
    assert not (checkout / "suites/fresh").exists()


def test_an_installed_package_is_no_checkout(checkout: Path) -> None:
    (checkout / "pyproject.toml").unlink()
    before = files_below(checkout)
    with pytest.raises(CannotCreate, match="no checkout"):
        new_method(REGISTRY, "keep-ends", suite="lm-compression", family="layer-dropping", root=checkout)
    assert files_below(checkout) == before


@pytest.mark.parametrize("suite", [*sorted(REGISTRY.suites), "toy"])
@pytest.mark.parametrize("slug", ["x", "method", "none", "tensor.card", "a" * LONGEST_SLUG])
def test_what_is_written_is_lint_clean_whatever_its_name(
    suite: str, slug: str, checkout: Path, toy_registry: Registry
) -> None:
    """Names that Python or the template itself uses are no trap; the suite "toy" brings no template of its own."""
    new_method(toy_registry, slug, suite=suite, family="new", root=checkout)
    result = lint(checkout)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("slug", ["x", "a" * LONGEST_SLUG])
def test_a_new_suite_is_lint_clean_whatever_its_name(slug: str, checkout: Path) -> None:
    new_suite(REGISTRY, slug, root=checkout)
    result = lint(checkout)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_written_conforms_at_once(clone: Path, environment: dict[str, str]) -> None:
    """From a suite's own template, from the one for suites that bring none, and with a new suite."""

    def effbench(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["effbench", *arguments]
        return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)

    effbench("new", "suite", "fresh")
    for slug, suite in (("from-template", "operator-data"), ("from-nothing", "fresh")):
        effbench("new", "method", slug, "--suite", suite, "--family", "new-idea")
    own = ["operator-data/from-template", "fresh/from-nothing"]
    written = [*own, "fresh/dense", "fresh/random", "fresh/svd"]
    listed = {f"{row['suite']}/{row['slug']}" for row in json.loads(effbench("list", "--json").stdout)}
    assert set(written) <= listed
    findings = json.loads(effbench("check", *written, "--json").stdout)["findings"]
    failed = {(finding["subject"], finding["check"]) for finding in findings if finding["status"] == "failed"}
    assert failed == {(name, "finished") for name in own}
