"""Changes the code that the next run imports."""

from contextlib import suppress
from pathlib import Path

import host as itself
from host import Host

ENDS = ("ok", None)
_LINE = "\nCHANGED = True\n"


def attack(host: Host) -> None:
    for path in {Path(host.code, "host.py"), Path(str(itself.__file__))}:
        with suppress(OSError):
            path.chmod(0o600)
        with suppress(OSError), path.open("a") as file:
            file.write(_LINE)


def succeeded(host: Host, log: str) -> bool:
    return _LINE in Path(host.code, "host.py").read_text()
