"""The sandbox: namespaces of their own for a command, made by bubblewrap, which needs no root.

Inside there is no network but an own loopback, no process but its own, nothing of the host's files but the interpreter,
its libraries, the engine and the packages of methods and suites, all read-only. What can be written (/tmp, /dev/shm,
the cache) lies in memory, has a limit and is gone at the end. Nobody has capabilities or can make namespaces.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from bench.contract.cache import Kind, added, cache_root, is_whole
from bench.run.sandbox import NoSandbox

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("bench", "methods", "suites")

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
_MACHINE = ("/sys/devices/system", "/sys/fs/cgroup")
"""What the instruments read of processors, heat and quotas."""

_PASSED_ON = ("CUDA_DEVICE_ORDER", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "LANG", "LD_LIBRARY_PATH", "PATH", "TZ")
_PASSED_ON_PREFIXES = ("KMP_", "LC_", "MKL_", "OMP_", "OPENBLAS_")
"""Variables of the environment that a run may see. Everything else stays outside, tokens above all."""

_INSTALL = "install bubblewrap 0.8 or newer (apt install bubblewrap; dnf install bubblewrap)"


_PROBE = """
import os, socket, sys
writable = [path for path in ("/", "/usr", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", sys.prefix)
            if os.access(path, os.W_OK)]
if writable or [name for _, name in socket.if_nameindex()] != ["lo"]:
    sys.exit(f"it leaks: {writable} can be written, interfaces {socket.if_nameindex()}")
"""
"""Run once in a sandbox before anything else is: what a version or a system of another kind may get wrong."""


def environment() -> dict[str, str]:
    """The variables of the present process that a run in the sandbox, or under its limits, may see."""
    kept = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_CACHE": str(_hub_cache())}
    own = {"PYTHONPATH": path, "EFFBENCH_CACHE": str(cache_root()), "HOME": "/tmp", "USER": "effbench"}
    return kept | offline | own


@dataclass(frozen=True)
class Bubblewrap:
    """program: path of bwrap. tree: checkout whose methods and suites are seen, under the path of our own."""

    program: str
    tree: Path = ROOT

    def command(
        self,
        command: Sequence[str],
        *,
        temporary_bytes: int,
        gpu: bool = False,
        visible: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
    ) -> list[str]:
        """The command, in a sandbox. visible: what else can be read; hidden: files among it that look empty. Inherited
        file descriptors stay open."""
        size = ("--size", str(temporary_bytes), "--tmpfs")
        return [
            self.program,
            "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
            "--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--hostname", "effbench",
            *size, "/tmp",
            *_system(),
            *_read_only([*_MACHINE, *(["/sys"] if gpu else [])]),
            "--proc", "/proc", *_read_only(_switches()),
            "--dev", "/dev", *size, "/dev/shm",
            *(_gpus() if gpu else ()),
            *_read_only(self._python_paths()),
            *self._packages(),
            *size, str(cache_root()), *_cached(),
            *_read_only([str(_hub_cache()), *map(str, visible)]),
            *(word for path in hidden for word in ("--ro-bind", os.devnull, str(path))),
            "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp",
            "--", *command,
        ]  # fmt: skip

    def _packages(self) -> Iterator[str]:
        for name in PACKAGES:
            source = (ROOT if name == "bench" else self.tree) / name
            if source.is_symlink():
                raise NoSandbox(f"{source} is a symbolic link; a submission's folders have to be folders")
            yield from ("--ro-bind", str(source), str(ROOT / name))

    def _python_paths(self) -> Iterator[str]:
        """Where the interpreter and what it imports lie, but for our checkout, which holds more than packages."""
        named = [*sys.path, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        own = {ROOT, self.tree.resolve(), Path.cwd()}
        for path in dict.fromkeys([sys.base_prefix, sys.prefix, *filter(os.path.isabs, named)]):
            for place in dict.fromkeys([Path(path), Path(path).resolve()]):
                if place not in own and not Path.home().is_relative_to(place) and not place.is_relative_to("/usr"):
                    yield str(place)


def find(tree: Path = ROOT) -> Bubblewrap:
    """Raise NoSandbox, with the system's own words, where there is no bubblewrap or it can't be used."""
    program = shutil.which("bwrap")
    if program is None:
        raise NoSandbox(f"there is no bubblewrap here; {_INSTALL}")
    sandbox = Bubblewrap(program, tree)
    try:
        done = subprocess.run(
            sandbox.command([sys.executable, "-I", "-S", "-c", _PROBE], temporary_bytes=1 << 20),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSandbox(f"bubblewrap can't be used here: {error}") from error
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoSandbox(
            f"bubblewrap can't be used here: {words!r}; {_INSTALL}, and let it make user namespaces (on Ubuntu: "
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container: allow the calls unshare and mount)"
        )
    return sandbox


def _read_only(paths: Iterator[str] | Sequence[str]) -> Iterator[str]:
    for path in paths:
        yield from ("--ro-bind-try", path, path)


def _system() -> Iterator[str]:
    for path in _SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    yield from _read_only(_ETC)


def _switches() -> Iterator[str]:
    """What of /proc is the machine's and no process's: sysctls, interrupts and more. Root's without any capability, so
    that a sandbox which root starts could throw them."""
    for path in sorted(Path("/proc").iterdir()):
        if not path.name.isdigit() and not path.is_symlink() and (path.is_dir() or path.stat().st_mode & 0o222):
            yield str(path)


def _gpus() -> Iterator[str]:
    for device in sorted(Path("/dev").glob("nvidia*")):
        yield from ("--dev-bind", str(device), str(device))


def _cached() -> Iterator[str]:
    """What is whole of the cache, each file read-only, in folders that can be written: what a library makes beside
    them, what is missing and what somebody has changed is made for this run alone."""
    for kind in get_args(Kind):
        for folder in sorted((cache_root() / kind).glob("[!.]*")):
            if is_whole(folder):
                yield from _made(folder)


def _made(folder: Path) -> Iterator[str]:
    yield from ("--dir", str(folder))
    beside = added(folder)
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(each) for each in beside):
            continue
        if path.is_dir():
            yield from ("--dir", str(path))
        elif path.is_file():
            yield from ("--ro-bind", str(path), str(path))


def _hub_cache() -> Path:
    """Models of the hub, without what lies beside them: the hub's token."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser().absolute()
