"""What methods and suites there are, read without running any of them, and what a result comes from."""

from bench.registry.names import UnknownName
from bench.registry.registry import Listed, Registry, open_registry
from bench.registry.suites import ProblemInfo, SuiteInfo

__all__ = ["Listed", "ProblemInfo", "Registry", "SuiteInfo", "UnknownName", "open_registry"]
