"""Where the templates lie, and file names that no record can talk out of the output folder."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

_SAFE = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")


def site_folder() -> Path:
    """The folder of templates/ and assets/: site/ of a checkout, or its copy inside an installed package."""
    checkout = Path(__file__).resolve().parents[2] / "site"
    return checkout if (checkout / "templates").is_dir() else Path(__file__).with_name("_site")


def file_name(text: str) -> str:
    """A name of lower-case letters, digits, '-' and '.', different for different texts."""
    if len(text) <= 80 and _SAFE.fullmatch(text):
        return text
    words = "-".join(re.findall("[a-z0-9]+", text.lower()))[:60]
    return f"{words or 'x'}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def safe_url(url: str | None) -> str | None:
    """The address if it is http(s) with a host, else None: nothing else becomes a link."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return url.strip() if parts.scheme in ("http", "https") and parts.netloc else None
