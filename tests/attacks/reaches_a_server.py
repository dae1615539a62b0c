"""Talks to servers of the machine: on loopback, and by the path of a socket."""

import socket
from contextlib import suppress

from host import Host

ENDS = ("ok", None)


def attack(host: Host) -> None:
    with suppress(OSError), socket.create_connection(("127.0.0.1", host.port), timeout=2) as connection:
        print(connection.recv(100))
    with suppress(OSError), socket.socket(socket.AF_UNIX) as local:
        local.connect(host.socket)
        print(local.recv(100))


def succeeded(host: Host, log: str) -> bool:
    return "welcome" in log
