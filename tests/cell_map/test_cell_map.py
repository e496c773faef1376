"""The cell map's own arithmetic is tested where it runs: in Node."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_arithmetic_of_the_cell_map():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node: none is installed")
    files = sorted(map(str, (ROOT / "tests" / "cell_map").glob("*.test.js")))
    assert files
    run = subprocess.run([node, "--test", *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert "# fail 0" in run.stdout or "fail 0" in run.stdout
