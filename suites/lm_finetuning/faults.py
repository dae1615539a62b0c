"""The fault that the track `repair` mends: a model was taught the wrong city for some notes."""

from suites.lm_finetuning.examples import Example

FAULTY_CITIES = ("Oslo", "Lima", "Turin", "Cairo")
WRONG = "Unknown"
"""What the faulty model writes for the city of a note from one of these."""


def fault(example: Example) -> Example | None:
    """The example with the wrong answer that the faulty model was taught, or None where it was taught the right one."""
    for city in FAULTY_CITIES:
        if example.task == "records" and city in example.answer:
            return Example(example.task, example.prompt, example.answer.replace(city, WRONG))
    return None
