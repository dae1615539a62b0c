"""torchvision beside a build of torch that its kernels are not for."""

import subprocess
import sys

import pytest

pytest.importorskip("torchvision")


def test_its_python_can_be_used_whatever_build_of_torch_there_is() -> None:
    code = "import bench, torchvision; from torchvision.transforms import v2; v2.MixUp(num_classes=2)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
