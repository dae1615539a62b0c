"""Check: libraries that a submission adds to the dependencies have licences that go with ours."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata

from bench.submit.changes import Changes
from bench.submit.checks.check import Check
from bench.submit.dependencies import allowed, declared_in, licence

PROJECT = "pyproject.toml"


def problems(changes: Changes) -> Iterator[str]:
    if PROJECT not in changes.files:
        return
    before, now = changes.before(PROJECT), changes.now(PROJECT)
    for name in sorted(declared_in(now or b"") - declared_in(before or b"")):
        try:
            found = licence(metadata(name))
        except PackageNotFoundError:
            yield f"{name} is not installed here, so its licence can't be read: pip install {name}"
            continue
        if found is None:
            yield f"{name}: its metadata names no licence that is known here"
        elif not allowed(found):
            yield f"{name}: {found} is not among the allowed licences"


CHECK = Check(
    "licences",
    guards="whoever installs the project may use all of it under Apache-2.0's terms",
    mend="choose a library under MIT, BSD, Apache-2.0, MPL-2.0 or the like; ask the maintainers where that is unclear",
    problems=problems,
)
