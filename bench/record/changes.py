"""What is another file now than at a commit. Words about code are no change, as in a record's key."""

from functools import cache
from pathlib import Path

from bench.contract.sources import code_of
from bench.record.git import git_or_none


def changed_since(root: Path, commit: str, *among: str) -> frozenset[str] | None:
    """Paths below `root`, a git work tree, that do something else in it now than at the commit; None where it does not
    know the commit. Words about code are no change (`code_of`). among: files or folders; all if none."""
    if not commit or not all(c in "0123456789abcdef" for c in commit):
        return None
    told = git_or_none(
        root, "diff", "--raw", "-z", "--no-renames", "--abbrev=40", "--end-of-options", commit, "--", *among
    )
    if told is None:
        return None
    fields = told.decode(errors="replace").split("\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)  # ":mode mode blob blob status", path, ...; "" at the end
    return frozenset(path for about, path in pairs if not _same_code(root, about.split(), path))


def _same_code(root: Path, about: list[str], path: str) -> bool:
    _, _, blob, _, status = about
    if status != "M" or not path.endswith(".py"):
        return False
    then = _code_then(root, blob)
    try:
        return then is not None and then == code_of(path, (root / path).read_bytes())
    except (OSError, SyntaxError):
        return False


@cache
def _code_then(root: Path, blob: str) -> bytes | None:
    text = git_or_none(root, "cat-file", "blob", blob)
    try:
        return None if text is None else code_of(".py", text)
    except SyntaxError:
        return None
