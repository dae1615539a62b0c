"""From an idea to a merged method: `effbench new` writes a first version, `effbench check` tells what is left to do."""


class Refused(ValueError):
    """What was asked for can't be done; the message says why."""
