"""Where the templates lie, where each page stands, and file names that no record can talk out of the output folder."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from bench.analyse.rows import Board

_SAFE = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")


def site_folder() -> Path:
    """The folder of templates/ and assets/: site/ of a checkout, or its copy inside an installed package."""
    checkout = Path(__file__).resolve().parents[2] / "site"
    return checkout if (checkout / "templates").is_dir() else Path(__file__).with_name("_site")


def file_name(text: str) -> str:
    """A name of lower-case letters, digits, '-' and '.', different for different texts; no page's name as a folder."""
    if len(text) <= 80 and _SAFE.fullmatch(text) and not text.endswith((".html", ".js", ".json", ".csv")):
        return text
    words = "-".join(re.findall("[a-z0-9]+", text.lower()))[:60]
    return f"{words or 'x'}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def suite_address(suite: str) -> str:
    """The page of a suite: its sections."""
    return f"suites/{file_name(suite)}.html"


def coverage_address(suite: str) -> str:
    """The page of what was measured of a suite."""
    return f"suites/{file_name(suite)}/coverage.html"


def section_address(suite: str, scale: str, base: str) -> str:
    """The page of one scale and base of a suite: all operating points, on all hardware."""
    return f"suites/{'/'.join(map(file_name, (suite, scale, base)))}.html"


def board_address(board: Board) -> str:
    """The page of one ranking, without its ending: other files of the board have others. Of all hardware where the
    board names none."""
    parts = (board.suite, board.scale, board.base, board.point, *filter(None, (board.hardware,)))
    return f"suites/{'/'.join(map(file_name, parts))}"


def old_address(board: Board) -> str:
    """Where the page of a ranking stood when each hardware had its own."""
    return f"suites/{'/'.join(map(file_name, _on_hardware(board)))}.html"


def old_section_address(suite: str, hardware: str, scale: str, base: str) -> str:
    """The same of a section."""
    return f"suites/{'/'.join(map(file_name, (suite, hardware, scale, base)))}.html"


def _on_hardware(board: Board) -> tuple[str, ...]:
    return board.suite, board.hardware, board.scale, board.base, board.point


def pairs_address(board: Board) -> str:
    """The page of all pairs of a ranking; no method's folder is called that, see `file_name`."""
    return f"{board_address(board)}/pairs.html"


def record_address(board: Board, method: str, variant: str) -> str:
    """The page of all records of one configuration on one hardware."""
    return f"suites/{'/'.join(map(file_name, (*_on_hardware(board), method, variant)))}.html"


def method_address(suite: str, slug: str) -> str:
    """The page of a method."""
    return f"methods/{file_name(suite)}/{file_name(slug)}.html"


def badge_address(suite: str, slug: str) -> str:
    """The badge of a method."""
    return method_address(suite, slug).removesuffix(".html") + ".svg"


def old_method_address(slug: str) -> str:
    """Where the page of a method stood when slugs were unique among all suites."""
    return f"methods/{file_name(slug)}.html"


def safe_url(url: str | None) -> str | None:
    """The address if it is http(s) with a host, else None: nothing else becomes a link."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return url.strip() if parts.scheme in ("http", "https") and parts.netloc else None
