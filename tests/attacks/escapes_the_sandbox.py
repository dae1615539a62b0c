"""Tries the usual ways out: a namespace of its own to be root in, mounts, devices, the tracing of its supervisor."""

import ctypes
import os
import subprocess
from contextlib import suppress

from host import Host

ENDS = ("failed", "a program started")
HARMLESS = False  # who is root outside may do all of this
_NEW_USER, _ATTACH, _BIND = 0x10000000, 16, 4096


def attack(host: Host) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if os.fork() == 0:
        print("unshared" if libc.unshare(_NEW_USER) == 0 else "", flush=True)
        os._exit(0)
    os.wait()
    print("mounted" if libc.mount(b"/proc", b"/tmp", None, _BIND, None) == 0 else "")
    if os.getppid() != 1:  # a sandbox's first process can no more than those in it
        print("attached" if libc.ptrace(_ATTACH, os.getppid(), 0, 0) == 0 else "")
    with suppress(OSError):
        os.mknod("/tmp/memory", 0o20666, os.makedev(1, 1))
        print("made a device")
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger"):
        with suppress(OSError), open(path, "ab"):  # to open it does nothing: were there a hole, nobody should fall in
            print("could throw a switch")
    setuid = subprocess.run(["su", "-c", "id"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    print("is root" if setuid.returncode == 0 else "")


def succeeded(host: Host, log: str) -> bool:
    ways = ("unshared", "mounted", "attached", "made a device", "could throw a switch", "is root")
    return any(line in ways for line in log.splitlines())
