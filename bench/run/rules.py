"""The rules that a run is held to. A broken one makes the record `failed`, with the rule as the beginning of its
reason."""

LEFT_BEHIND = "process left behind"
UNFINISHED = "work not done when the step returned"
WRONG = "timed result is not the scored one"
REMEMBERED = "outputs remembered"
COUNTED = "counted work is not the timed work"
TOO_MANY_CORES = "more processors than the run has"
EXAM_READ = "the exam read"
RESULTS_TOUCHED = "results touched"
PROGRAM_STARTED = "a program started"
ALTERED = "libraries altered"
CLOCK = "stamps that the judge's own clock contradicts"
TRAINED_OTHERWISE = "told what only the judge finds out"


class RuleBroken(RuntimeError):
    """The method broke a rule of the benchmark. The message begins with the rule."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
