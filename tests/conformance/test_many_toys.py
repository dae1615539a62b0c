"""Twenty suites in time: with 165 methods more, of the kinds that there are, the tests of a pull request still end in
20 minutes on two cores."""

import os
import resource
import shutil
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import pytest

from bench.registry import Listed, Registry, open_registry

ROOT = Path(__file__).resolve().parents[2]
TOYS = 165
SECONDS_PER_METHOD = 7.0
"""Of all processors: 235 methods then take 1,650 of the 2,400 that two cores have in 20 minutes; the rest is for all
other tests."""


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_conformance_of_many_methods_takes_seconds_each(tmp_path: Path) -> None:
    toys = plant(tmp_path, TOYS)
    assert seconds_of_conformance(tmp_path, "copy") / len(toys) <= SECONDS_PER_METHOD


def plant(root: Path, count: int) -> list[str]:
    """A checkout with so many methods more: copies of those that there are, in turn, under slugs of their own. Their
    slugs."""
    for name in ("bench", "methods", "suites", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    registry = open_registry(root, plugins=False)
    chosen = islice(cycle(taking_turns(registry)), count)
    return [write_copy(listed, number, root) for number, listed in enumerate(chosen)]


def taking_turns(registry: Registry) -> list[Listed]:
    """All methods, one of each family after the other."""
    families: dict[tuple[str, str], list[Listed]] = {}
    for _, listed in sorted(registry.methods.items()):
        families.setdefault((listed.suite, listed.family), []).append(listed)
    most = max(map(len, families.values()))
    return [family[turn] for turn in range(most) for family in families.values() if turn < len(family)]


def write_copy(listed: Listed, number: int, root: Path) -> str:
    source = root / listed.place
    slug, text = f"{listed.slug}-copy-{number}", source.read_text()
    named = f'slug="{listed.slug}"'
    assert text.count(named) == 1, source
    source.with_name(f"{source.stem}_copy_{number}.py").write_text(text.replace(named, f'slug="{slug}"'))
    return slug


def seconds_of_conformance(root: Path, chosen: str) -> float:
    """Processor seconds that the tests of conformance take whose names contain the word; they must pass."""
    command = [sys.executable, "-P", "-m", "pytest", "tests/conformance", "-q", "-n", "2", "--dist", "loadgroup"]
    before = _seconds()
    done = subprocess.run(
        [*command, "-m", "not slow", "-k", chosen], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(f"{_seconds() - before:.0f} processor seconds\n{done.stdout[-4000:]}{done.stderr[-1000:]}")
    assert done.returncode == 0, done.stdout[-4000:]
    return _seconds() - before


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
