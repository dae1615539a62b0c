"""What an attack knows of the machine that it is let loose on. It is written to a file that the attacker can read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """secret: a file of another user, with SECRET in it. results: folder of records. code: folder of the attacker's own
    source, which runs later too. port: where a server of this machine listens on loopback; socket: another, by path.
    victim: number of a process with SECRET in its environment. temporary: the machine's folder for temporary files.
    marker: in the command line of what an attack starts, and in the name of what it leaves.
    """

    secret: str
    results: str
    code: str
    port: int
    socket: str
    victim: int
    temporary: str
    marker: str


SECRET = "hunter2-of-the-host"
