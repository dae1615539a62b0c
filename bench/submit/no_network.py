"""No way out: after `refuse`, connecting and looking up names raise PermissionError and is noted in the log.

Python's own events tell of it, so that code which asks the system without asking Python is not seen; that is what the
sandbox is for.
"""

import sys
from typing import Any

MARK = "[effbench network] "

_LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def refuse() -> None:
    """For the rest of this process: an audit hook can't be taken back."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _LOOK_UPS:
        target = str(arguments[0])
    elif event in _CONNECTIONS and isinstance(arguments[1], tuple):  # a local socket's address is a path, or none
        target = ":".join(map(str, arguments[1][:2]))
    else:
        return
    print(f"{MARK}{target}", file=sys.stderr, flush=True)
    raise PermissionError(f"methods have no network: {target} can't be reached")
