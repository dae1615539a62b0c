"""Shows a built site on this machine, for a look before it is published."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def serve(folder: Path, port: int = 8000) -> ThreadingHTTPServer:
    """A server of the folder for this machine alone, which listens already; port 0 takes any that is free.

    Raises OSError if the port is taken.
    """
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...
