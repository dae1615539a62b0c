"""What cards say: no results, which the pages compute, and claims that are held against their like.

How long notes and points may be is a check of submissions."""

import re

import pytest

from bench.contract import Claim
from bench.registry import Listed
from tests.conformance.places import REGISTRY

LISTED = {listed.full_name: listed for _, listed in sorted(REGISTRY.methods.items())}
METHODS = {name: listed for name, listed in LISTED.items() if listed.card.claims}

RESULT = re.compile(
    r"\bmeasured (at|here)\b|at the embedded scale|\btold apart\b|\bwithin (the )?noise\b|\bearlier records\b"
    r"|\b(better|worse|faster|slower|fewer|more|level|far) (than|as|from|with|of) `",
    re.IGNORECASE,
)
"""A sentence that says how a method did here. An answer of today, written by hand, is wrong tomorrow."""

KEPT = re.compile(r"(?P<at_most>at most )?(?P<number>\d+(\.\d+)?) % of the (performance|accuracy)", re.IGNORECASE)
"""In the text of a claim: how much is kept, or at most lost."""


@pytest.mark.parametrize("name", LISTED)
def test_no_card_holds_a_result_of_ours(name: str) -> None:
    shown = LISTED[name].card
    sentences = [each for text in (*shown.differences, shown.notes) for each in re.split(r"(?<=[.;!?]) ", text)]
    assert not [each for each in sentences if RESULT.search(each)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Measured at the embedded scale: far better than magnitude.",
        "At a quarter of the bytes better than `gptq`, by the rotation.",
        "Distillation and next-token training are not told apart.",
    ],
)
def test_a_result_of_ours_is_recognised(sentence: str) -> None:
    assert RESULT.search(sentence)


@pytest.mark.parametrize(
    "sentence",
    ["Features are measured on a calibration set.", "Bits are fewer than the paper's.", "Kernels as in `rtn`."],
)
def test_what_differs_is_no_result(sentence: str) -> None:
    assert not RESULT.search(sentence)


@pytest.mark.parametrize("name", METHODS)
def test_a_claim_has_an_opponent_on_a_board_of_its_own(name: str) -> None:
    """Another variant, or another method that is for the problem in which the metric is measured."""
    for claim in METHODS[name].card.claims:
        assert opponents(METHODS[name], claim), claim.text


@pytest.mark.parametrize("name", METHODS)
def test_a_claim_is_about_some_variant(name: str) -> None:
    listed = METHODS[name]
    for claim in listed.card.claims:
        points = REGISTRY.suite(listed.suite).points
        about = [v for v in listed.variants if any(listed.card.is_claimed(claim, v, point) for point in points)]
        assert about, claim.text
        assert claim.versus not in [f"{listed.slug}:{variant}" for variant in about], claim.text


@pytest.mark.parametrize("name", METHODS)
def test_what_keeps_a_share_is_held_to_that_share(name: str) -> None:
    """What keeps 90 % and is tested as no worse by 2 % would fail the papers themselves."""
    for claim in METHODS[name].card.claims:
        if said := KEPT.search(claim.text):
            share = float(said["number"]) / 100
            assert claim.relation == "keeps", claim.text
            assert claim.share == pytest.approx(1 - share if said["at_most"] else share), claim.text


@pytest.mark.parametrize("name", METHODS)
def test_no_two_claims_of_a_card_are_the_same_test(name: str) -> None:
    tests = [(c.metric, c.versus, c.relation, c.share, c.variant, c.points) for c in METHODS[name].card.claims]
    assert len(set(tests)) == len(tests)


def opponents(listed: Listed, claim: Claim) -> list[str]:
    """Those that a claim is held against, by slug and variant."""
    info = REGISTRY.suite(listed.suite)
    found = []
    for problem in info.problems.values():
        if not listed.is_for(problem.name) or claim.metric not in problem.metrics:
            continue
        versus = claim.versus or problem.baseline
        found += [
            f"{other.slug}:{variant}"
            for other in REGISTRY.methods_of(listed.suite).values()
            for variant in other.variants
            if other.is_for(problem.name) and versus in (other.slug, f"{other.slug}:{variant}")
        ]
    return found
