"""What the warm process loads for each suite: it stays one that can be forked, and says nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import open_registry
from bench.run.local import variables_of
from bench.run.party import Warm

SUITES = open_registry().suites
PRELOADS = sorted({info.preload for info in SUITES.values()})


@pytest.mark.parametrize("preload", PRELOADS, ids=" ".join)
def test_all_of_it_is_loaded_in_one_thread(
    preload: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    warm = Warm(preload, variables_of(1, offline=True))
    try:
        party = warm.starter(sys.stderr.fileno()).start("builder", tmp_path)
        assert warm.process is not None
        for pid in (warm.process.pid, party.pid):
            assert len(os.listdir(f"/proc/{pid}/task")) == 1
        party.kill()
        party.ended()
    finally:
        warm.close()
    assert capfd.readouterr().err == ""


def test_whether_data_are_there_is_asked_without_loading_models() -> None:
    code = """
import sys
from bench.registry import open_registry
from bench.registry.registry import load_problem
for info in open_registry().suites.values():
    for problem in info.problems:
        load_problem(info, problem).missing("tiny", info.bases["tiny"][0])
assert "transformers" in sys.modules
assert "transformers.modeling_utils" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
