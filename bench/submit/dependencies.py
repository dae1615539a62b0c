"""Declared dependencies, by their canonical names, and the licences that their metadata tells."""

import re
import tomllib
from importlib.metadata import PackageMetadata

NOT_SHIPPED = {"test", "lint"}
"""Extras that no method may count on."""

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear", "BSL-1.0", "CC0-1.0", "HPND", "ISC",
    "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "NCSA",
    "PSF-2.0", "Python-2.0", "Unlicense", "WTFPL", "Zlib",
}  # fmt: skip
"""SPDX identifiers of licences that a library may have to be needed by a project under Apache-2.0."""

_IN_WORDS = {
    r"\bMIT\b": "MIT",
    r"\b(3-clause|new|modified) BSD\b|\bBSD\b": "BSD-3-Clause",
    r"\bApache\b": "Apache-2.0",
    r"\bISC\b": "ISC",
    r"\bPython Software Foundation\b|\bPSFL?\b": "PSF-2.0",
    r"\bMozilla Public\b|\bMPL": "MPL-2.0",
    r"\bLesser General Public\b|\bLGPL": "LGPL-3.0-or-later",
    r"\bAffero\b|\bAGPL": "AGPL-3.0-or-later",
    r"\bGeneral Public\b|\bGPL": "GPL-3.0-or-later",
    r"\bUnlicense\b": "Unlicense",
    r"\bzlib\b": "Zlib",
}
"""For metadata from before SPDX expressions; the first that matches counts, so the lesser stand before the greater."""


def canonical(name: str) -> str:
    """The name as indexes compare it: lower case, words joined by '-'."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """Canonical name of the distribution that a requirement such as "torch>=2.11; sys_platform == 'linux'" asks for."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return canonical(found[1]) if found else requirement


def declared_in(pyproject: bytes) -> set[str]:
    """Whatever is shipped may need: the dependencies and the extras of the project, but for those of its tests."""
    project = tomllib.loads(pyproject.decode()).get("project", {})
    extras = project.get("optional-dependencies", {})
    shipped = [extras[name] for name in extras if name not in NOT_SHIPPED]
    return {name_of(requirement) for group in [project.get("dependencies", []), *shipped] for requirement in group}


def declared_for(pyproject: bytes, extra: str) -> set[str]:
    """What a suite and its methods may need: the dependencies of the project, and of one extra."""
    project = tomllib.loads(pyproject.decode()).get("project", {})
    groups = [project.get("dependencies", []), project.get("optional-dependencies", {}).get(extra, [])]
    return {name_of(requirement) for group in groups for requirement in group}


def licence(metadata: PackageMetadata) -> str | None:
    """SPDX expression of a distribution's licence, as well as its metadata can be understood; None if it can't."""
    for expression in metadata.get_all("License-Expression") or []:
        return str(expression)
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    named = [found for found in map(_in_words, classifiers) if found]
    if named:
        return " OR ".join(dict.fromkeys(named))
    return next((_in_words(text[:200]) for text in metadata.get_all("License") or []), None)


def allowed(expression: str) -> bool:
    """Whether one may choose allowed licences for all parts of an SPDX expression."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)

    def either() -> bool:
        result = both()
        while tokens and tokens[0].upper() == "OR":
            tokens.pop(0)
            result = both() or result
        return result

    def both() -> bool:
        result = one()
        while tokens and tokens[0].upper() in ("AND", "WITH"):
            exception = tokens.pop(0).upper() == "WITH"  # an exception allows more, never less
            result = (one() or exception) and result
        return result

    def one() -> bool:
        token = tokens.pop(0) if tokens else ")"
        if token != "(":
            return token in ALLOWED
        result = either()
        if tokens:
            tokens.pop(0)
        return result

    return either() and not tokens


def _in_words(text: str) -> str | None:
    if text.strip() in ALLOWED:
        return text.strip()
    return next((name for pattern, name in _IN_WORDS.items() if re.search(pattern, text, re.IGNORECASE)), None)
