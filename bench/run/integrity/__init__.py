"""What a run holds a method to, beyond its budget. One file, one rule; a broken rule makes the record `failed`.

A method runs in the same process as the instruments, so these are checks against shortcuts, not a prison: who is out to
break the interpreter itself needs the sandbox.
"""


class RuleBroken(RuntimeError):
    """The method broke a rule of the benchmark. The message begins with the rule."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
