"""The card of a method: what it is, where it comes from, what its paper claims."""

import re
from dataclasses import dataclass
from typing import Literal

SLUG = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")


@dataclass(frozen=True)
class Claim:
    """One sentence of what the paper says of its method, in our words, in a form that can be held against records.

    `metric` names a score or a cost of the suite. With `versus` the claim is that the method is better than that
    method at the same operating point: "slug:variant" names one variant, "slug" the strongest, or the one that is held
    against it where both have it; without it the claim is held against the suite's baseline.
    `relation`: "better", by any amount; "same", no worse by more than the margin that the suite states for the metric;
    "keeps", at least `share` of the other's value (of what is better when it is less: at most 1/share of it).
    `out_of_reach` says what the claim needs that the tiny and the embedded scale have not (a training ten times as
    long, a model of billions); there the verdict is "cannot be tested here".
    `variant` names the only variant of the method that the claim is about; else it is about all of them but those that
    a claim is held against.
    `points` names the operating points that it is about ("a quarter left out" says nothing of half); none means all.
    `paper_value` is the paper's own figure, on the paper's model and hardware, for people to read.
    """

    text: str
    source: str
    metric: str
    versus: str | None = None
    relation: Literal["better", "same", "keeps"] = "better"
    paper_value: str | None = None
    variant: str | None = None
    points: tuple[str, ...] = ()
    share: float | None = None
    out_of_reach: str | None = None

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ValueError(f"claim {self.text!r} has no source: name the section, table or abstract that says it")
        if self.relation not in ("better", "same", "keeps"):
            raise ValueError(f"claim {self.text!r}: relation {self.relation!r} is none of better, same, keeps")
        if (self.relation == "keeps") != (self.share is not None) or not 0 < (self.share or 1) <= 1:
            raise ValueError(f'claim {self.text!r}: relation="keeps" takes a share above 0 and up to 1, no other does')
        if self.out_of_reach is not None and not self.out_of_reach.strip():
            raise ValueError(f"claim {self.text!r}: out_of_reach says in words what the claim needs")
        if not isinstance(self.points, tuple):
            raise ValueError(f'claim {self.text!r}: points are a tuple of names: ("size-50",)')


@dataclass(frozen=True)
class Card:
    """What the leaderboard says of a method before any number.

    slug: lower case, unique within its suite, e.g. "attention-drop". title, paper: the method's name for people, and
    the citation (authors, year); url: http(s) address of the paper.
    problems: names of the suite's problems that it is for; none means all. No other run of it is ever planned.
    suite: slug of its suite, where the file does not lie in methods/<suite>/ (a plug-in's).
    control: True for what anyone would try first. trivial: True for a control that looks at no input, or at frequencies
    and means alone (the most frequent class, a table of words): its score is the floor, and what does not beat it is no
    better than guessing. reference: True for a control that has more than the others of its track may have (all
    adapters unmerged, the real data): a level to look at, that no method is asked to beat.
    stochastic: True if its result depends on the seed, so that it is run with several. seeds: how many, where its
    results differ so widely that the suite's own number tells too little (a random control).
    speed_realised: False if no kernel, ours or a library's, turns the saving into time here: the site then shows
    "not realised" in place of a speed.
    differences: where our version differs from the paper or its code, a short point each. notes: what else a reader has
    to know, in at most 300 characters. Neither holds a result of ours: the site shows those as they are today.
    """

    slug: str
    title: str
    paper: str
    url: str | None = None
    problems: tuple[str, ...] = ()
    suite: str | None = None
    control: bool = False
    trivial: bool = False
    reference: bool = False
    stochastic: bool = False
    seeds: int | None = None
    speed_realised: bool = True
    claims: tuple[Claim, ...] = ()
    differences: tuple[str, ...] = ()
    notes: str = ""

    @property
    def kind(self) -> str:
        """What the leaderboard calls it: "method", "control" or "reference"."""
        return "reference" if self.reference else "control" if self.control else "method"

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise ValueError(f"card slug {self.slug!r}: use lower-case words joined by '-'")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise ValueError(f"card {self.slug}: url {self.url!r} must start with https:// or http://")
        if self.reference and not self.control:
            raise ValueError(f"card {self.slug}: a reference is a control; set control=True")
        if self.seeds is not None and not (self.stochastic and self.seeds > 0):
            raise ValueError(f"card {self.slug}: seeds={self.seeds} is for a method with stochastic=True, and above 0")
        if self.trivial and not self.control:
            raise ValueError(f"card {self.slug}: a trivial method is a control; set control=True")
        if not isinstance(self.differences, tuple):
            raise ValueError(f'card {self.slug}: differences are a tuple of points: ("Without healing.",)')
        if not self.control and not self.claims:
            raise ValueError(f"card {self.slug}: a method that is not a control states at least one claim of its paper")

    def is_claimed(self, claim: Claim, variant: str, point: str) -> bool:
        """Whether one of its claims is about a variant at an operating point. The variant: the one that it names, else
        all but those that a claim is held against, which are there as controls. The point: one of those that it
        names."""
        if claim.points and point not in claim.points:
            return False
        held_against = {each.versus for each in self.claims}
        return variant == claim.variant if claim.variant else f"{self.slug}:{variant}" not in held_against
