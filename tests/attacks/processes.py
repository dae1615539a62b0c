"""Processes of an attack, as the machine sees them."""

import psutil


def running(marker: str) -> list[psutil.Process]:
    """Those with the marker in their command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if marker in (process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
