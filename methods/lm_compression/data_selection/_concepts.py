"""Concepts of a text, and whether a text is consistent with the texts before it.

Concepts are the best phrases by RAKE (Rose et al., 2010): runs of words between stop words and punctuation; a word
scores the length of the phrases that it stands in over its frequency, a phrase the sum of its words.
"""

import itertools
import re
from collections import Counter

_FUNCTION_WORDS = """
a about above after again against all also although am among an and any are as at be because been before being below
between both but by can could did do does doing down during each either even ever every few for from further had has
have having he her here hers herself him himself his how however i if in into is it its itself just last less like
made many may me might more most much must my neither new no nor not now of off often on once one only or other our
out over own part per same several shall she should since so some still such than that the their them then there
these they this those three through thus to together too two under until up upon us used using very was we well were
what when where whether which while who whom whose why will with within without would yet you your
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())

_BREAK = re.compile(r"[^\w\s'-]|\n")


def concepts(text: str, count: int) -> frozenset[str]:
    """The `count` best phrases of the text, in lower case."""
    phrases = [
        tuple(words)
        for part in _BREAK.split(text.lower())
        for stop, run in itertools.groupby(part.split(), key=lambda word: word in STOP_WORDS or not word[0].isalpha())
        if not stop and (words := list(run))
    ]
    frequency = Counter(word for phrase in phrases for word in phrase)
    degree: Counter[str] = Counter()
    for phrase in phrases:
        for word in phrase:
            degree[word] += len(phrase)
    best = sorted(set(phrases), key=lambda phrase: (-sum(degree[word] / frequency[word] for word in phrase), phrase))
    return frozenset(" ".join(phrase) for phrase in best[:count])


class ConceptGraph:
    """Which concepts stood together in the texts that were accepted."""

    def __init__(self) -> None:
        self.neighbours: dict[str, set[str]] = {}

    def consistent(self, found: frozenset[str]) -> bool:
        """Whether no two of these concepts are both known without ever having stood together."""
        known = [concept for concept in sorted(found) if concept in self.neighbours]
        return all(b in self.neighbours[a] for a, b in itertools.combinations(known, 2))

    def add(self, found: frozenset[str]) -> None:
        """Accept a text with these concepts."""
        for concept in found:
            self.neighbours.setdefault(concept, set()).update(found - {concept})
