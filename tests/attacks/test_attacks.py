"""Every attack, in a real sandbox, has no effect outside; and a run that holds one says what it can't hide.

An attack's file holds `attack(host)`, which needs the standard library alone, `succeeded(host, log)`, and ENDS: status
of the run and a part of its reason. Each is let loose without a sandbox first, where that does no harm, so that it is
known to work; then in a sandbox that nobody else is in; then as the build of a method, in a run. A new attack is a file
beside this one.
"""

import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.record.schema import Outcome
from bench.registry import open_registry
from bench.run import local
from bench.run.plan import Job
from bench.run.runner import planned
from bench.run.sandbox import NoSandbox
from bench.run.sandbox.bubblewrap import environment, find
from bench.run.sandbox.confinement import Confinement
from bench.run.sandbox.resources import Resources, Watch

HERE = Path(__file__).parent
ARENA = HERE.parent / "cheats" / "arena"
NO_ATTACKS = {"attacker", "host", "processes"}
ATTACKS = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("test_"))
ATTACKS = [name for name in ATTACKS if name not in NO_ATTACKS]
RESOURCES = Resources(memory_bytes=1400 << 20, tasks=120, file_bytes=24 << 20, temporary_bytes=48 << 20)
JOB = Job(
    suite="arena", problem="vectors", method="attacker", variant="default", point="half", scale="tiny", base="layers",
    seed=0, device="cpu", threads=1, timed=False, workloads=(),
)  # fmt: skip
LIMIT_SECONDS = 25.0
SHORT_SECONDS = 8.0
MOMENT = 0.5
"""Until nothing that was killed is there any more."""
TOKEN = "GITHUB_TOKEN"
LET_LOOSE = "import json, sys; from host import Host; import {} as it; it.attack(Host(**json.loads(sys.argv[1])))"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the arena for its suite and the attacker among its methods. No limit of a point ends a build."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ARENA, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    described = tree / "suites" / "arena" / "suite.toml"
    lines = [line for line in described.read_text().splitlines() if not line.startswith("build = ")]
    described.write_text("\n".join(lines))
    (tree / "methods" / "arena" / "attacks").mkdir()
    shutil.copy(HERE / "attacker.py", tree / "methods" / "arena" / "attacks")
    return tree


@pytest.fixture(scope="module")
def confinement(tree: Path) -> Confinement:
    try:
        return Confinement(find(tree), RESOURCES)
    except NoSandbox as reason:
        pytest.skip(str(reason))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A machine with something to attack; gone, with what an attack started on it, at the end."""
    code = tmp_path / "code"
    code.mkdir()
    for name in [*NO_ATTACKS - {"attacker"}, *ATTACKS]:
        shutil.copy(HERE / f"{name}.py", code)
    monkeypatch.syspath_prepend(str(code))
    monkeypatch.setenv("PYTHONPATH", str(code), prepend=os.pathsep)
    for name in [*NO_ATTACKS, *ATTACKS]:
        sys.modules.pop(name, None)
    from host import SECRET, Host
    from processes import running

    home, results = tmp_path / "home", tmp_path / "results"
    home.mkdir(mode=0o700)
    results.mkdir()
    (home / "secret.txt").write_text(SECRET)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(TOKEN, SECRET)
    marker = f"effbench-attack-{uuid.uuid4().hex}"
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    with socket.create_server(("127.0.0.1", 0)) as inet, socket.socket(socket.AF_UNIX) as local_socket:
        path = Path("/tmp", marker[-12:] + ".sock")  # a socket's path is short
        local_socket.bind(str(path))
        local_socket.listen()
        for server in (inet, local_socket):
            threading.Thread(target=_welcome, args=(server,), daemon=True).start()
        yield Host(
            str(home / "secret.txt"), str(results), str(code), inet.getsockname()[1], str(path), victim.pid,
            str(tmp_path / "tmp"), marker,
        )  # fmt: skip
        path.unlink()
        for server in (inet, local_socket):
            server.shutdown(socket.SHUT_RDWR)
    victim.kill()
    victim.wait()
    for process in running(marker):
        process.kill()
    for folder in ("/tmp", "/dev/shm", "/var/tmp"):
        Path(folder, marker).unlink(missing_ok=True)


def _welcome(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        with connection:
            connection.sendall(b"welcome")


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attack_works_where_nothing_stops_it(attack: str, host: Any) -> None:
    module = importlib.import_module(attack)
    if not getattr(module, "HARMLESS", True):
        pytest.skip("this one is not let loose")
    assert let_loose(attack, host, [sys.executable], dict(os.environ))


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_sandbox_alone_stops_it(attack: str, host: Any, confinement: Confinement) -> None:
    variables = {**environment(), "PYTHONUNBUFFERED": "1"}
    assert not let_loose(attack, host, confinement.command([sys.executable]), variables, RESOURCES)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_run_that_holds_it_says_so(
    attack: str, host: Any, tree: Path, confinement: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(attack)
    order = json.dumps({"attack": attack, "host": asdict(host)})
    (tree / "methods" / "arena" / "attacks" / "attack.json").write_text(order)
    monkeypatch.setattr(local, "LOG_BYTES", 16 << 20)
    monkeypatch.setattr(local, "LOG_TAIL", 1 << 20)
    outcome, log = _run(tree, confinement, SHORT_SECONDS if module.ENDS[0] == "timeout" else LIMIT_SECONDS)
    assert not module.succeeded(host, log)
    assert (outcome.status, (module.ENDS[1] or "") in str(outcome.reason)) == (module.ENDS[0], True), (outcome, log)


def let_loose(
    attack: str, host: Any, command: Sequence[str], variables: dict[str, str], held_to: Resources | None = None
) -> bool:
    """Whether it succeeds, as a program of its own. command: that starts Python. held_to: what it may use up; then it
    is stopped for more, and what counts is what is left in the end."""
    Path(host.temporary).mkdir()
    module, log = importlib.import_module(attack), Path(host.temporary, "log")
    with log.open("wb") as output, subprocess.Popen(
        [*command, "-c", LET_LOOSE.format(attack), json.dumps(asdict(host))],
        env=variables | {"TMPDIR": host.temporary}, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        cwd=host.temporary,
    ) as process:  # fmt: skip
        watch = None if held_to is None else Watch(process.pid, held_to)
        deadline = time.monotonic() + (LIMIT_SECONDS if watch is None else SHORT_SECONDS)
        while time.monotonic() < deadline:
            if module.succeeded(host, _text(log)) if watch is None else process.poll() is not None or watch.exceeded():
                break
            time.sleep(0.05)
        succeeded = watch is None and module.succeeded(host, _text(log))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if watch is not None:
        time.sleep(MOMENT)
        succeeded = module.succeeded(host, _text(log))
    return bool(succeeded)


def _text(log: Path) -> str:
    return log.read_bytes()[-(1 << 20) :].decode(errors="replace")


def _run(tree: Path, confinement: Confinement, seconds: float) -> tuple[Outcome, str]:
    each = planned(open_registry(tree, plugins=False), JOB)
    with confinement.executor() as executor:
        return executor.execute(each.order, seconds, each.info.preload)
