"""`--sandbox` of the commands that run what is merged: in the sandbox of a submission, where there is one."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.common import ROOT, tell
from bench.registry import Registry

if TYPE_CHECKING:
    from bench.run.plan import Job


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sandbox", action="store_true",
        help="keep the code of methods and suites away from this machine (bubblewrap), its caches included",
    )  # fmt: skip


@contextmanager
def runs(sandbox: bool, *, gpu: bool, visible: Sequence[Path] = ()) -> Iterator[dict[str, Any]]:
    """`executor` and `ready` of what runs jobs; nothing, where that is as usual. visible: what else a run may read.

    In a sandbox no line of a method or a suite runs outside of it. Where there is none it is said, and what is left are
    limits and the fence.
    """
    if not sandbox:
        yield {}
        return
    from bench.contract.cache import check_cache
    from bench.record.environment import check_device
    from bench.run.runner import planned
    from bench.run.sandbox.assets import check_assets
    from bench.run.sandbox.confinement import confinement_of

    confinement = confinement_of(ROOT, required=False, tell=tell)

    def ready(registry: Registry, jobs: Sequence["Job"]) -> None:
        check_cache()
        for device in {job.device for job in jobs}:
            check_device(device)
        check_assets(confinement, [planned(registry, job).order for job in jobs])

    with confinement.executor(gpu=gpu, visible=visible) as executor:
        yield {"executor": executor, "ready": ready}
