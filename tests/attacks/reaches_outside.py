"""Sends a packet to an address outside. Whether one arrives is not seen from here; whether there is a way is."""

import socket
from contextlib import suppress

from host import Host

ENDS = ("ok", None)
HARMLESS = False  # and without a network nobody could succeed


def attack(host: Host) -> None:
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.connect((address, 9))
            print("there is a way from", sender.getsockname())
    print("interfaces:", [name for _, name in socket.if_nameindex()])


def succeeded(host: Host, log: str) -> bool:
    return "there is a way" in log or "interfaces: ['lo']" not in log
