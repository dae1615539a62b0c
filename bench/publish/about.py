"""What the site says of itself: its name, where its code is, and which commit made its pages. See site/site.toml."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.publish.paths import safe_url, site_folder
from bench.record.git import git_or_none

_KEYS = ("name", "description", "licence", "repository", "address")
_SHORT = re.compile(r"(?:[\w.-]+@)?([\w-]+(?:\.[\w-]+)+):(?!/)(.+)")
"""git@example.org:owner/name"""
_PULL = re.compile(r"\(#(\d+)\)$|^Merge pull request #(\d+)")


class BadSite(ValueError):
    """site.toml can't be read; the message says why."""


@dataclass(frozen=True)
class About:
    """repository, address: http(s) addresses, None where they are not known. commit, date: of the code that makes the
    pages; empty outside of a checkout. changed: the checkout has changes that are in no commit.
    pulls: the number of the pull request that brought a file, by its path."""

    name: str = "effbench"
    description: str = ""
    licence: str = ""
    repository: str | None = None
    address: str | None = None
    commit: str = ""
    date: str = ""
    changed: bool = False
    pulls: Mapping[str, int] = field(default_factory=dict)

    def pull(self, path: str) -> tuple[int, str] | None:
        """The pull request that brought a file, as far as the history names it: its number and its page."""
        number = self.pulls.get(path)
        return (number, f"{self.repository}/pull/{number}") if number is not None and self.repository else None

    def at(self, path: str) -> str | None:
        """The page of a file or folder of the repository, as the usual forges have it."""
        return f"{self.repository}/blob/{self.commit or 'HEAD'}/{path}" if self.repository else None

    def page(self, address: str) -> str | None:
        """The address at which a page will be published."""
        return f"{self.address}/{address}" if self.address else None

    @property
    def identity(self) -> tuple[str | None, ...]:
        """All but what changes with every commit."""
        return self.name, self.description, self.licence, self.repository, self.address


UNKNOWN = About()
"""Nothing is said."""


def read_about(checkout: Path, url: str | None = None, settings: Path | None = None) -> About:
    """From site.toml (`settings`), and from git where that leaves it open. url: goes before the address there.

    Raises BadSite.
    """
    path = settings or site_folder() / "site.toml"
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSite(f"{path.name}: {error}") from error
    for key, value in read.items():
        if key not in _KEYS or not isinstance(value, str):
            raise BadSite(f"{path.name}: {key} = {value!r}; it has the keys {', '.join(_KEYS)}, and all are texts")
    for key in ("repository", "address"):
        if read.get(key) and safe_url(read[key]) is None:
            raise BadSite(f"{path.name}: {key} = {read[key]!r} is no http(s) address")
    commit, date = _commit(checkout)
    return About(
        name=read.get("name") or "effbench",
        description=read.get("description", ""),
        licence=read.get("licence", ""),
        repository=_plain(read.get("repository", "")) or _origin(checkout),
        address=_plain(url or read.get("address", "")),
        commit=commit,
        date=date,
        changed=bool(commit and git_or_none(checkout, "status", "--porcelain", "--untracked-files=no")),
        pulls=_pulls(checkout) if commit else {},
    )


def _pulls(checkout: Path) -> dict[str, int]:
    """By path of a method's file, as the subjects of the commits that brought them have it: "... (#12)" of one that was
    squashed, "Merge pull request #12" of a merge."""
    log = "log", "-m", "--first-parent", "--diff-filter=A", "--name-only", "--format=%x00%s", "--", "methods", "suites"
    found: dict[str, int] = {}
    for commit in (git_or_none(checkout, *log) or b"").decode(errors="replace").split("\0"):
        subject, *paths = [line for line in commit.splitlines() if line] or [""]
        number = _PULL.search(subject)
        if number:
            found |= {path: int(number[1] or number[2]) for path in paths}
    return found


def _plain(url: str) -> str | None:
    found = safe_url(url)
    return found.rstrip("/").removesuffix(".git") if found else None


def _origin(checkout: Path) -> str | None:
    """Where the checkout comes from, as an address for people, without a password that may stand in it."""
    said = (git_or_none(checkout, "remote", "get-url", "origin") or b"").decode(errors="replace").strip()
    short = _SHORT.fullmatch(said)
    url = f"https://{short[1]}/{short[2]}" if short and "://" not in said else said.replace("ssh://", "https://", 1)
    return _plain(re.sub(r"^(https?://)[^/@]*@", r"\1", url))


def _commit(checkout: Path) -> tuple[str, str]:
    """Short hash and day of the commit."""
    said = git_or_none(checkout, "log", "-1", "--format=%h %cd", "--date=format:%Y-%m-%d") or b""
    commit, _, date = said.decode(errors="replace").strip().partition(" ")
    return commit, date
