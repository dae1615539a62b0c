"""Check: nothing is left of the template."""

from collections.abc import Iterator

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject, SuiteSubject


def problems(subject: MethodSubject | SuiteSubject) -> Iterator[str]:
    for file in subject.files:
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            if "TODO" in line:
                yield f"{file.name}:{number}: {line.strip()}"


GUARDS = "what `effbench new` left to be written is written"
MEND = "replace each TODO by what it asks for"
METHOD_CHECK: Check[MethodSubject] = Check("finished", guards=GUARDS, mend=MEND, problems=problems)
SUITE_CHECK: Check[SuiteSubject] = Check("finished", guards=GUARDS, mend=MEND, problems=problems)
