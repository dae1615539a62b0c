"""What a result comes from, now and at the commit of a record: did it change, and which files is it in?"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bench.record.git import git_or_none
from bench.registry import Listed, Registry
from bench.registry.past import Past, method_changed, problem_changed, read_past, settings_changed
from bench.run.plan import Job

ENGINE = ("bench/contract", "bench/measure", "bench/run")
"""What measures. Records have its version; a change of it that raises no version may move times nevertheless."""


@dataclass(frozen=True)
class Sources:
    """root: the checkout, whose history tells what changed."""

    registry: Registry
    root: Path
    _pasts: dict[str, Past | None] = field(default_factory=dict)
    _blobs: dict[str, bytes] = field(default_factory=dict)

    def same_code(self, job: Job, commit: str | None) -> bool:
        """Whether method, problem and settings of a job are those of the commit; False where it is not known."""
        past = self._past(commit)
        return past is not None and not (
            method_changed(self.registry, past, self.registry.method(job.suite, job.method))
            or problem_changed(self.registry, past, job.suite, job.problem)
            or settings_changed(self.registry, past, job.suite, job.point, job.scale)
        )

    def changed_files(self, job: Job, commit: str | None) -> frozenset[str] | None:
        """Files, below root, in which something changed since the commit that the job's result comes from, whatever it
        is compared with among it, and those of the engine that did; None where the commit is not known."""
        past = self._past(commit)
        if past is None or commit is None:
            return None
        changed: set[str] = set()
        problem = self.registry.suite(job.suite).problem_of(job.point)
        for slug in (job.method, problem.baseline):
            listed: Listed = self.registry.method(job.suite, slug)
            if method_changed(self.registry, past, listed):
                changed |= self._differing(past, self.registry.content(listed).places)
        if problem_changed(self.registry, past, job.suite, job.problem):
            changed |= self._differing(past, self.registry.problem_content(problem).places)
        if settings_changed(self.registry, past, job.suite, job.point, job.scale):
            changed.add(str(self.registry.suite(job.suite).folder / "suite.toml"))
        told = git_or_none(self.root, "diff", "--name-only", "-z", commit, "--", *ENGINE) or b""
        return frozenset(changed | {path for path in told.decode(errors="replace").split("\0") if path})

    def _past(self, commit: str | None) -> Past | None:
        if commit is None:
            return None
        if commit not in self._pasts:
            self._pasts[commit] = read_past(self.root, commit, self._blobs)
        return self._pasts[commit]

    def _differing(self, past: Past, places: Iterable[PurePosixPath]) -> set[str]:
        """Those of the places whose text is another, or stood elsewhere."""
        found = set()
        for place in places:
            try:
                same = past.contents.tree.read(place) == self.registry.tree.read(place)
            except LookupError:
                same = False
            if not same:
                found.add(str(place))
        return found
