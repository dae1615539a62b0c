"""Check: nothing is left of the template."""

from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject, SuiteSubject


def of_method(subject: MethodSubject) -> Iterator[str]:
    for place, text in subject.texts.items():
        yield from _left(place.name, text)


def of_suite(subject: SuiteSubject) -> Iterator[str]:
    for file in subject.files:
        yield from _left(file.name, file.read_text(encoding="utf-8"))


def _left(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if "TODO" in line:
            yield f"{name}:{number}: {line.strip()}"


GUARDS = "what `effbench new` left to be written is written"
MEND = "replace each TODO by what it asks for"
METHOD_CHECK: Check[MethodSubject] = Check("finished", guards=GUARDS, mend=MEND, problems=of_method)
SUITE_CHECK: Check[SuiteSubject] = Check("finished", guards=GUARDS, mend=MEND, problems=of_suite)
