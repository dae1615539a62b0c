"""The checks, in the order in which they are shown. One file a check; quick ones first."""

from bench.submit.changes import Changes
from bench.submit.checks import (
    budget,
    card,
    central,
    claims,
    determinism,
    docstrings,
    evaluation,
    fields,
    finished,
    imports,
    licences,
    network,
    precision,
    results,
    suites,
    types,
)
from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject, SuiteSubject

METHOD_CHECKS: tuple[Check[MethodSubject], ...] = (
    card.CHECK,
    claims.CHECK,
    docstrings.CHECK,
    fields.CHECK,
    imports.METHOD_CHECK,
    types.CHECK,
    budget.CHECK,
    determinism.CHECK,
    precision.CHECK,
    network.CHECK,
    evaluation.CHECK,
    finished.METHOD_CHECK,
)

SUITE_CHECKS: tuple[Check[SuiteSubject], ...] = (
    suites.INFO,
    suites.METHODS,
    suites.README,
    imports.SUITE_CHECK,
    suites.TINY,
    finished.SUITE_CHECK,
)

SUBMISSION_CHECKS: tuple[Check[Changes], ...] = (central.CHECK, results.CHECK, licences.CHECK)
