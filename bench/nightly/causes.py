"""Why a figure changed: our code, a dependency, the machine, or nobody knows. Facts first, an experiment where they
leave it open: the code of the last good night is measured again, here and now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.record.schema import Environment

Cause = Literal["our code", "a dependency", "the machine", "unknown"]
_MACHINE = ("cpu", "cores", "memory_bytes", "gpu", "platform")
_DEVICE_FACTS = (
    "generation", "governor", "max_mhz", "boost", "smt", "cpu_quota", "memory_limit_bytes", "driver",
    "power_limit_watts", "ecc", "mig", "persistence", "max_sm_mhz", "max_memory_mhz", "applications_sm_mhz",
    "applications_memory_mhz",
)  # fmt: skip
"""Endings of the names of those facts of `Environment.device` that hold from one night to the next."""


@dataclass(frozen=True)
class Facts:
    """What was different between the night before a change and the night that showed it.

    files: changed sources that the figure comes from; None if it can't be known. versions, machine: name -> (old, new).
    shared: whether many other methods changed in the same direction in the same night. probe: the baseline against
    itself changed. shift: of the baseline's own times, as a fraction, where it is beyond what nights differ by.
    old_code_is_good: what measuring the old code here and now said; None if it was not done.
    """

    files: frozenset[str] | None = frozenset()
    versions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    machine: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    shared: bool = False
    probe: bool = False
    shift: float | None = None
    old_code_is_good: bool | None = None


def cause_of(facts: Facts) -> tuple[Cause, str]:
    """The cause and the sentence that gives the reason.

    The experiment decides where there is one: old code that is still good means that ours broke it, old code that is as
    bad today means that it was something else. Else what changed alone is the cause; where several things changed,
    one that hits one method is more likely its own code, one that hits many a dependency or the machine.
    """
    versions, machine = _told(facts.versions), "; ".join(filter(None, [_told(facts.machine), _moved(facts)]))
    asked = facts.old_code_is_good is not None
    code = (facts.files is None or bool(facts.files)) and not asked
    cause: Cause = "unknown"
    if facts.old_code_is_good:
        return "our code", "the code of the last good night, measured here and now, is still as good as it was"
    if code and not facts.shared:
        cause, reason = "our code", _files(facts) + (f"; also changed: {versions}" if versions else "")
    elif versions and not (_moved(facts) and facts.machine):
        cause, reason = "a dependency", versions
    elif machine:
        cause, reason = "the machine", machine
    elif code:
        cause, reason = "our code", f"{_files(facts)}; many methods changed together, so look at what they share"
    elif facts.shared:
        cause, reason = "the machine", "many methods changed together, and neither code nor libraries did"
    else:
        reason = "no source, no library and no known fact of the machine changed"
    return cause, reason + (" (the code of the last good night is as bad today)" if asked else "")


def needs_experiment(facts: Facts) -> bool:
    """Whether code and something else changed, so that only measuring the old code tells."""
    other = bool(facts.versions or facts.machine or facts.shared or facts.probe or facts.shift is not None)
    return other and (facts.files is None or bool(facts.files))


def different_versions(before: Environment, after: Environment) -> dict[str, tuple[str, str]]:
    """Libraries, and Python, whose versions differ."""
    old, new = before.versions | {"python": before.python}, after.versions | {"python": after.python}
    return _differing(old, new)


def different_machine(before: Environment, after: Environment) -> dict[str, tuple[str, str]]:
    """Facts of the machine that differ and do not change by themselves from minute to minute."""
    old, new = ({name: str(getattr(each, name)) for name in _MACHINE} for each in (before, after))
    facts = [
        {name: value for name, value in each.device.items() if name.endswith(_DEVICE_FACTS)} for each in (before, after)
    ]
    common = facts[0].keys() & facts[1].keys()  # a fact that was not read before says nothing
    return _differing(old, new) | _differing(*({name: each[name] for name in common} for each in facts))


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted(old.keys() | new.keys())
    pairs = {name: (old.get(name, "absent"), new.get(name, "absent")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _told(pairs: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(f"{name} {old} → {new}" for name, (old, new) in pairs.items())


def _files(facts: Facts) -> str:
    if facts.files is None:
        return "the commit of the last good night is not known here"
    shown = sorted(facts.files)
    return f"changed: {', '.join(shown[:4])}{f' and {len(shown) - 4} more' if len(shown) > 4 else ''}"


def _moved(facts: Facts) -> str:
    slower = "" if facts.shift is None else f"the baseline itself takes {100 * facts.shift:+.0f} % time"
    return ", ".join(filter(None, [slower, "the baseline against itself changed" if facts.probe else ""]))
