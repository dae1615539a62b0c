"""Hyper-parameters are read from text: own ones, inherited ones, and what their defaults are worth."""

from pathlib import Path

import pytest

from bench.registry.fields import Field, fields_of, known_fields
from bench.registry.tree import WorkTree
from tests.bench.small_checkout import ALPHA, make_checkout, registry_of, replace

BASE = """
from dataclasses import dataclass
from typing import ClassVar
from elsewhere import SIZE, Outside

STEPS = 4


@dataclass(frozen=True)
class Base(Outside):
    kind: ClassVar[str] = "base"
    size: int = SIZE
    steps: int = STEPS
    rate: float
"""
OWN = """
from methods._base import Base


class Own(Base):
    card = Card()
    variants: ClassVar = {}
    rate: float = -1e-4
    names: tuple[str, ...] = ("a", "b")

    def build(self): ...
"""


def test_fields_of_a_class_and_of_its_bases(tmp_path: Path) -> None:
    for name, text in (("_base", BASE), ("own", OWN)):
        (tmp_path / "methods").mkdir(exist_ok=True)
        (tmp_path / f"methods/{name}.py").write_text(text)
    tree = WorkTree(tmp_path)
    assert fields_of(tree, "methods.own", "Own") == [
        Field("size", "int", text="SIZE"),
        Field("steps", "int", known=True, default=4, text="4"),
        Field("rate", "float", known=True, default=-1e-4, text="-0.0001"),
        Field("names", "tuple[str, ...]", known=True, default=("a", "b"), text="('a', 'b')"),
    ]
    assert fields_of(tree, "methods._base", "Base")[-1] == Field("rate", "float", required=True)
    for module, name in (("methods.none", "Own"), ("methods.own", "None")):
        with pytest.raises(LookupError):
            fields_of(tree, module, name)


def test_variant_and_point_go_before_defaults(tmp_path: Path) -> None:
    root = make_checkout(tmp_path)
    tables = 'variants = {"default": {}, "few": {"samples": 8}}\n    at_point = {"half": {"samples": 64}}\n    samples'
    replace("samples", tables, ALPHA)(root)
    registry = registry_of(root)
    alpha = registry.find("alpha")
    found = [known_fields(registry.tree, alpha, variant, "half")["samples"] for variant in ("default", "few")]
    assert found == [64, 8]
