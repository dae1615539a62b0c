"""What a row's builds trained on. A verdict over a control stays within a class of recovery: what was never trained is
not held against a control that was."""

from collections.abc import Mapping

from bench.analyse.rows import Row

_TRAINING = ("training", "passes")
"""In the names of meters that a training counts against; others meter calibration data or a search."""


def training_of(row: Row) -> Mapping[str, float] | None:
    """What its builds drew to train on, by meter, the mean over its seeds; {} where they drew nothing; None where no
    record tells."""
    drawn = [r.build.drawn for r in row.ok if r.build is not None and "drawn" in r.build.model_fields_set]
    if not drawn:
        return None
    names = {name for each in drawn for name in each if any(word in name for word in _TRAINING)}
    means = {name: sum(each.get(name, 0) for each in drawn) / len(drawn) for name in sorted(names)}
    return {name: amount for name, amount in means.items() if amount}


def is_fair(row: Row, control: Row) -> bool:
    """Whether the control has to be beaten: not where it was trained and the row surely was not."""
    return training_of(row) != {} or not training_of(control)
