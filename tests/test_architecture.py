"""The rules that import-linter cannot see: pages, lean first page, no pickle, no silenced checks."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "scfm_core").rglob("*.py"))
PAGES = sorted((ROOT / "pages").glob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module}
    return names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_import_neither_models_nor_each_other(path):
    names = imported(path)
    assert not {name for name in names if name.startswith("scfm_core.models")}
    assert not {name for name in names if name.startswith("pages.") and not name.startswith("pages._")}


FIRST_PAGE = (
    "from streamlit.testing.v1 import AppTest;"
    "assert not AppTest.from_file('app.py').run(timeout=60).exception"
)


@pytest.mark.parametrize("opening", [FIRST_PAGE, "import scfm_core.cli"], ids=["first page", "command line"])
def test_opens_without_the_slow_libraries(opening, tmp_path):
    slow = "{'torch', 'scanpy', 'umap', 'transformers', 'matplotlib.pyplot', 'sklearn'}"
    code = f"import sys; {opening}; sys.exit(' '.join(sorted({slow} & set(sys.modules))) or 0)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    environment = {**os.environ, "SCFM_WORKSPACE": str(tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def unpickling(path: Path) -> set[str]:
    """What reads a pickle in a module: calls of a reader, other than torch's restricted one, and readers of its own."""
    readers = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "pd.read_pickle", "torch.load"}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            restricted = ast.unparse(node.func) == "torch.load" and options.get("weights_only") == "True"
            found |= set() if restricted else {ast.unparse(node.func)}
        elif isinstance(node, ast.ClassDef):
            found |= {ast.unparse(parent) for parent in node.bases}
    return found & readers


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    """But the dictionaries of published checkpoints, by a reader that calls nothing (tests/checkpoints)."""
    dictionaries = ROOT / "scfm_core" / "checkpoints" / "pickled.py"
    assert unpickling(path) == ({"pickle.Unpickler"} if path == dictionaries else set())
    assert "allow_pickle=True" not in path.read_text()
    assert "weights_only=False" not in path.read_text()


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_asserts_stand_only_in_tests(path):
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]


def test_pages_never_render_raw_html():
    for path in [ROOT / "app.py", *PAGES]:
        assert "unsafe_allow_html=True" not in path.read_text(), path.name
