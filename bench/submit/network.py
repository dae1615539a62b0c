"""No way out: connections that this process tries to make are refused and noted, as Python's own events tell them.

Code that asks the system without asking Python is not seen; that is what the sandbox is for.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}

_noted: list[str] | None = None
_hooked = False


@contextmanager
def no_network() -> Iterator[list[str]]:
    """Until the end of the block connecting and looking up names raises PermissionError. Yields what was tried."""
    global _noted, _hooked  # noqa: PLW0603  # an audit hook cannot be taken back, so there is one, switched on and off
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    outer, _noted = _noted, []
    try:
        yield _noted
    finally:
        _noted = outer


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _noted is None:
        return
    if event in _LOOK_UPS:
        target = str(arguments[0])
    elif event in _CONNECTIONS and isinstance(arguments[1], tuple):  # a local socket's address is a path, or none
        target = ":".join(map(str, arguments[1][:2]))
    else:
        return
    _noted.append(target)
    raise PermissionError(f"methods have no network: {target} can't be reached")
