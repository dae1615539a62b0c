"""Every attack, through the real executor in a real sandbox, has no effect outside; what it can't hide is reported.

An attack's file holds `attack(host)`, which needs the standard library alone, `succeeded(host, log)`, and ENDS: status
of the run in the sandbox and a part of its reason. Each is let loose without a sandbox first, where that does no harm,
so that it is known to work. A new attack is a file beside this one.
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
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.contract.registry import read_suite_info
from bench.record.schema import Outcome
from bench.run import exchange, local
from bench.run.plan import Job
from bench.run.sandbox import NoSandbox
from bench.run.sandbox.bubblewrap import Bubblewrap, find
from bench.run.sandbox.launch import Confinement
from bench.run.sandbox.resources import Resources

HERE = Path(__file__).parent
ARENA = HERE.parent / "cheats" / "arena"
NO_ATTACKS = {"attacker", "host", "processes"}
ATTACKS = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("test_"))
ATTACKS = [name for name in ATTACKS if name not in NO_ATTACKS]
RESOURCES = Resources(memory_bytes=1400 << 20, tasks=300, file_bytes=24 << 20, temporary_bytes=48 << 20)
JOB = Job("arena", "attacker", "default", "half", "tiny", "layers", 0, "cpu", 1, (), timed=False)
LIMIT_SECONDS = 25.0
SHORT_SECONDS = 8.0
TOKEN = "GITHUB_TOKEN"


@pytest.fixture(scope="module")
def sandbox() -> Bubblewrap:
    try:
        return find()
    except NoSandbox as reason:
        pytest.skip(str(reason))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:  # type: ignore[type-arg]
    """A machine with something to attack; gone, with what an attack started on it, at the end."""
    code = tmp_path / "code"
    shutil.copytree(ARENA, code / "arena", ignore=shutil.ignore_patterns("__pycache__"))
    for path in HERE.glob("*.py"):
        shutil.copy(path, code)
    monkeypatch.syspath_prepend(str(code))
    monkeypatch.setenv("PYTHONPATH", str(code), prepend=os.pathsep)
    for name in [*NO_ATTACKS, *ATTACKS, "arena", "arena.suite", "arena.methods"]:
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
def test_an_attack_has_no_effect_and_is_reported(
    attack: str, host, sandbox: Bubblewrap, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    module = importlib.import_module(attack)
    Path(host.code, "attack.json").write_text(json.dumps({"attack": attack, "host": asdict(host)}))
    monkeypatch.setattr(exchange, "LOG_BYTES", 16 << 20)
    outcome, log = _confined(Confinement(sandbox, RESOURCES), module.ENDS[0])
    assert not module.succeeded(host, log)
    assert (outcome.status, (module.ENDS[1] or "") in str(outcome.reason)) == (module.ENDS[0], True), outcome.reason


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attack_works_where_nothing_stops_it(attack: str, host) -> None:  # type: ignore[no-untyped-def]
    module = importlib.import_module(attack)
    if not getattr(module, "HARMLESS", True):
        pytest.skip("this one is not let loose")
    Path(host.temporary).mkdir()
    order = json.dumps(asdict(host))
    code = f"import json, sys; from host import Host; import {attack} as it; it.attack(Host(**json.loads(sys.argv[1])))"
    log = Path(host.temporary, "log")
    with log.open("wb") as output, subprocess.Popen(
        [sys.executable, "-c", code, order], env=os.environ | {"TMPDIR": host.temporary}, stdout=output,
        stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + LIMIT_SECONDS
        while not module.succeeded(host, _text(log)) and time.monotonic() < deadline:
            time.sleep(0.05)
        worked = module.succeeded(host, _text(log))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert worked


def _text(log: Path) -> str:
    return log.read_bytes()[-(1 << 20) :].decode(errors="replace")


def _confined(confinement: Confinement, ends: str) -> tuple[Outcome, str]:
    from arena.suite import ArenaSuite

    ArenaSuite.info = read_suite_info(ARENA / "suite.toml")
    job = Job(**asdict(JOB) | {"modules": ("arena.suite", "arena.methods", "attacker")})
    return local.execute(job, SHORT_SECONDS if ends == "timeout" else LIMIT_SECONDS, (), confinement)
