"""Several runners in one folder share the work."""

import os
import subprocess
import sys
from pathlib import Path

from bench.record.claims import FOLDER, claimed

HOLD = """
import sys, time
from pathlib import Path
from bench.record.claims import claimed
with claimed(Path(sys.argv[1]), "key") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_claim_is_ours_until_it_is_given_up(tmp_path: Path) -> None:
    with claimed(tmp_path, "key") as first, claimed(tmp_path, "key") as second, claimed(tmp_path, "other") as third:
        assert (first, second, third) == (True, False, True)
    with claimed(tmp_path, "key") as again:
        assert again
    assert not (tmp_path / FOLDER).exists()


def test_a_claim_goes_with_the_process_that_had_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with claimed(tmp_path, "key") as mine:
            assert not mine
        os.kill(process.pid, 9)
    with claimed(tmp_path, "key") as mine:
        assert mine
