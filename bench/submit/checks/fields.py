"""Check: a method is a frozen dataclass whose fields are plain values with defaults."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from bench.submit.checks.check import Check
from bench.submit.subject import MethodSubject


def problems(subject: MethodSubject) -> Iterator[str]:
    listed, method = subject.listed, subject.listed.load()
    if not dataclasses.is_dataclass(method) or "__dataclass_fields__" not in vars(method):
        yield f"{method.__name__} is no dataclass"
        return
    if not method.__dataclass_params__.frozen:
        yield f"{method.__name__} is not frozen: @dataclass(frozen=True)"
    names = {field.name for field in dataclasses.fields(method)}
    for settings in listed.at_point.values():
        if unknown := sorted(set(settings) - names):
            yield f"at_point sets {unknown[0]!r}, which is no field"
    for variant, settings in listed.variants.items():
        unknown = sorted(set(settings) - names)
        if unknown:
            yield f"variant {variant!r} sets {unknown[0]!r}, which is no field"
            continue
        try:
            instance = listed.configured(variant)
        except Exception as error:  # __post_init__ may raise anything
            yield f"variant {variant!r} can't be made: {type(error).__name__}: {error}"
            continue
        for name in sorted(names):
            if not _plain(getattr(instance, name)):
                yield f"{name}={getattr(instance, name)!r} of variant {variant!r} is no plain value"


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, int | float | str | bool | None)


CHECK = Check(
    "fields",
    guards="the hyper-parameters are frozen, plain (numbers, strings, booleans, None, tuples) and can be recorded",
    mend="give each field a plain type and a default; `variants` and `at_point` may only set fields",
    problems=problems,
)
