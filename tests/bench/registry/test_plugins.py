"""What installed packages bring by their entry points."""

from bench.registry import Registry


def test_a_suite_and_the_methods_beside_it_are_each_read_once(toy_registry: Registry) -> None:
    assert not [fault for fault in toy_registry.faults if "toy" in fault]
    assert list(toy_registry.suite("toy").problems) == ["shrink"]
    assert {"toy-dense", "toy-half", "toy-vandal"} <= set(toy_registry.methods_of("toy"))
    half = toy_registry.method("toy", "toy-half")
    assert half.configured("third").share == 0.33  # type: ignore[attr-defined]
    assert {place.name for place in toy_registry.content(half).places} >= {"methods.py"}
