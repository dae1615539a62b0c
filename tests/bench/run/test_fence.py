"""Behind the fence: what is hidden can't be read, what is not given can't be written, nobody else is reached."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.run.fence import landlock

PROLOGUE = """
import os, socket, sys
from pathlib import Path
from bench.run import fence
root, kernel = Path(sys.argv[1]), sys.argv[2] == "kernel"
if not kernel:
    fence.landlock = lambda: 0
def refused(act):
    try:
        act()
    except (PermissionError, FileNotFoundError):
        return True
    return False
held = fence.enclose(fence.Fence((root / "mine",), (root / "exam", root / "later"), (root / "exam" / "given",)))
assert held == kernel
"""

KERNEL = pytest.param("kernel", marks=pytest.mark.skipif(not landlock(), reason="the kernel has no Landlock"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("mine/file", "exam/answers", "exam/given", "open/file"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")
    return tmp_path


def behind(root: Path, how: str, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code), str(root), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("how", [KERNEL, "python"])
def test_what_is_hidden_can_not_be_read_and_the_rest_can(root: Path, how: str) -> None:
    behind(
        root,
        how,
        """
        assert (root / "open" / "file").read_text() == "text"
        assert (root / "mine" / "file").read_text() == "text"
        assert (root / "exam" / "given").read_text() == "text"
        assert refused(lambda: (root / "exam" / "answers").read_text())
        link = root / "mine" / "link"
        assert refused(lambda: link.symlink_to(root / "exam" / "answers")) or refused(link.read_text)
        """,
    )


@pytest.mark.parametrize("how", [KERNEL, "python"])
def test_what_is_hidden_and_made_later_can_not_be_read_either(root: Path, how: str) -> None:
    code = """
        import time
        print("ready", flush=True)
        sys.stdin.readline()
        assert refused(lambda: (root / "later" / "answers").read_text())
        """
    with subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code), str(root), how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (root / "later").mkdir()
        (root / "later" / "answers").write_text("text")
        process.communicate("go\n")
    assert process.returncode == 0


@pytest.mark.parametrize("how", [KERNEL, "python"])
def test_only_what_is_given_can_be_written(root: Path, how: str) -> None:
    behind(
        root,
        how,
        """
        (root / "mine" / "new").write_text("text")
        (root / "mine" / "file").unlink()
        assert refused(lambda: (root / "open" / "new").write_text("text"))
        assert refused(lambda: (root / "open" / "file").unlink())
        assert refused(lambda: (root / "open" / "file").rename(root / "mine" / "taken"))
        assert refused(lambda: Path("/dev/shm/effbench-test").write_text("text"))
        Path("/dev/null").write_text("text")
        """,
    )


@pytest.mark.parametrize("how", [KERNEL])
def test_all_that_it_starts_is_behind_it_too(root: Path, how: str) -> None:
    behind(
        root,
        how,
        """
        import subprocess
        assert subprocess.run(["cat", root / "open" / "file"], capture_output=True).returncode == 0
        assert subprocess.run(["cat", root / "exam" / "answers"], capture_output=True).returncode != 0
        """,
    )


@pytest.mark.skipif(landlock() < 4, reason="the kernel's Landlock knows no network")
def test_no_connection_is_opened(root: Path) -> None:
    behind(
        root,
        "kernel",
        """
        server = socket.socket()
        assert refused(lambda: server.bind(("127.0.0.1", 0)))
        assert refused(lambda: socket.create_connection(("127.0.0.1", 9), timeout=1))
        """,
    )


@pytest.mark.skipif(landlock() < 6, reason="the kernel's Landlock knows no signals")
def test_nobody_else_is_signalled(root: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        behind(
            root,
            "kernel",
            f"assert refused(lambda: os.kill({other.pid}, 9))\nassert refused(lambda: os.kill({os.getpid()}, 0))",
        )
        assert other.poll() is None
        other.kill()


@pytest.mark.skipif(not landlock(), reason="the kernel has no Landlock")
def test_the_cache_of_the_home_folder_is_hidden_also_after_the_home_folder_has_changed(tmp_path: Path) -> None:
    code = """
        import os, socket, sys
        from pathlib import Path
        from types import SimpleNamespace
        from bench.contract.cache import cache_root
        from bench.run import within
        from bench.run.channel import Channel
        home = Path.home()
        order = SimpleNamespace(folder=str(home / "run"), data=(), scale="tiny", protected=())
        ours, judges = socket.socketpair()
        within.go_behind_the_fence(order, Channel(ours), models=True)
        assert cache_root() == home / ".cache" / "effbench"
        assert (cache_root() / "models" / "base").read_text() == "weights"
        try:
            (cache_root() / "data" / "exam").read_text()
        except PermissionError:
            sys.exit(7)
        """
    for name in ("models/base", "data/exam"):
        path = tmp_path / "home" / ".cache" / "effbench" / name
        path.parent.mkdir(parents=True)
        path.write_text("weights")
    (tmp_path / "party").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "EFFBENCH_CACHE"}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path / "party", env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
