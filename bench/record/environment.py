"""Where a run happens: hardware class, machine facts, library versions, commit. Provenance of every record."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from bench.record.cgroup import affinity, cpu_quota
from bench.record.device import cpu_info, device_facts
from bench.record.git import git
from bench.record.schema import Environment

LIBRARIES = ("torch", "numpy")
"""Libraries whose versions can change any result; a suite names its others."""


class NoSuchDevice(RuntimeError):
    """A device was asked for that this machine does not have."""


def check_device(device: str) -> None:
    """Raise NoSuchDevice, with what to do, if `device` ("cpu", "cuda", "cuda:1") can't be used here."""
    import torch

    if device == "cpu":
        return
    if not device.startswith("cuda"):
        raise NoSuchDevice(f"device {device!r} is not known; use 'cpu' or 'cuda'")
    if not torch.cuda.is_available():
        raise NoSuchDevice(
            f"device {device!r} was asked for, but torch {torch.__version__} sees no CUDA device here; run with "
            "--device cpu, or install a CUDA build of torch and check nvidia-smi"
        )


def hardware_class(device: str, threads: int) -> str:
    """The class whose times may stand in one ranking, e.g. "cpu-amd-epyc-2t" (threads), "cpu-amd-epyc-avx2-2t" (AVX2
    and no AVX-512), "cpu-amd-epyc-zen5-2t", "cpu-intel-xeon-amx-2t" (matrix tiles), "nvidia-h100-80gb-hbm3",
    "cpu-amd-epyc-aten-avx2-2t" (where ATEN_CPU_CAPABILITY keeps PyTorch from some instructions).

    Hypervisors give processors of different generations one name ("AMD EPYC"), of which one may take twice the time of
    another; the instructions by which libraries choose their kernels part them, and the family where those are alike.
    """
    if device.startswith("cuda"):
        import torch

        return _slug(torch.cuda.get_device_name(device))
    capability = os.environ.get("ATEN_CPU_CAPABILITY")
    kept_from = f"-aten-{_slug(capability)}" if capability else ""
    return f"cpu-{_slug(cpu_model())}{_class_suffix()}{kept_from}-{threads}t"


def cpu_model() -> str:
    """The processor's name as the system gives it; of ARM's, which have none, the numbers of maker and part."""
    first = _first_processor()
    if "model name" not in first and "CPU part" in first:
        return f"{platform.machine()} {first.get('CPU implementer', '')} {first['CPU part']}"
    return first.get("model name") or platform.processor() or platform.machine()


def _class_suffix() -> str:
    processor = _first_processor()
    flags = processor.get("flags", "").split()
    if "amx_bf16" in flags:
        return "-amx"
    if "avx2" in flags and "avx512f" not in flags:
        return "-avx2"
    if processor.get("vendor_id") == "AuthenticAMD" and processor.get("cpu family") == "26":
        return "-zen5"  # whole vectors of AVX-512, where Zen 4 takes them in halves
    return ""


@cache
def _first_processor() -> dict[str, str]:
    """Read once, as every job's key asks for the class."""
    return cpu_info()


def usable_cores() -> int:
    """Cores that this process may run on; where a container has a quota of processor time, no more than that."""
    quota = cpu_quota()
    allowed = len(affinity())
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def library_versions(libraries: Iterable[str] = ()) -> dict[str, str]:
    """Installed versions of LIBRARIES and of these distributions; absent ones are left out."""
    return {name: found for name in sorted({*LIBRARIES, *libraries}) if (found := _version(name)) is not None}


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


class NoCommit(LookupError):
    """Nothing can be told of a checkout's commit; the message says why."""


def commit(root: Path) -> tuple[str | None, bool | None]:
    """(commit, dirty) of the checkout at root; (None, None) where that is none, also where it lies in another's. Files
    under results/ and build/ don't count as dirt: a run writes them."""
    try:
        head = _head(root)
    except NoCommit:
        return None, None
    return head, bool(git(root, "status", "--porcelain", "--", ".", ":(exclude)results", ":(exclude)build"))


def no_commit(root: Path) -> str | None:
    """Why no commit can be told of the checkout at root, or None if one can."""
    try:
        _head(root)
    except NoCommit as reason:
        return str(reason)
    return None


def _head(root: Path) -> str:
    try:
        top, head = git(root, "rev-parse", "--show-toplevel", "HEAD").decode().splitlines()
    except OSError as error:
        raise NoCommit(f"git can't be run ({error.strerror})") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise NoCommit(f"git says: {said[0] if said else 'nothing'}") from error
    if Path(top).resolve() != root.resolve():
        raise NoCommit(f"{root} is no checkout of its own; it lies in that of {top}")
    return head


def collect(device: str, root: Path, threads: int, libraries: Iterable[str] = ()) -> Environment:
    """All facts of the environment that can be read without root."""
    head, dirty = commit(root)
    return Environment(
        hardware=hardware_class(device, threads),
        cpu=cpu_model(),
        cores=usable_cores(),
        threads=threads,
        memory_bytes=psutil.virtual_memory().total,
        gpu=_gpu_name(device),
        device=device_facts(device),
        platform=platform.platform(),
        python=platform.python_version(),
        versions=library_versions(libraries),
        commit=head,
        dirty=dirty,
    )


def _gpu_name(device: str) -> str | None:
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None


def _slug(name: str) -> str:
    name = re.sub(r"\((r|tm)\)|\bprocessor\b|\bcpu\b|\d+-core", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")
