"""The rules that import-linter cannot see: pages, lean first page, no pickle, no silenced checks."""

import ast
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


@pytest.mark.parametrize("entry", ["app", "scfm_core.cli"])
def test_the_first_page_and_the_command_line_open_without_torch_and_scanpy(entry):
    code = (
        f"import sys, importlib; importlib.import_module({entry!r});"
        "slow = {'torch', 'scanpy', 'umap', 'transformers', 'matplotlib.pyplot', 'sklearn'} & set(sys.modules);"
        "sys.exit(' '.join(sorted(slow)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def calls(path: Path) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    unpickling = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "pd.read_pickle", "torch.load"}
    assert not calls(path) & unpickling
    assert "allow_pickle=True" not in path.read_text()
    assert "weights_only=False" not in path.read_text()


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_asserts_stand_only_in_tests(path):
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]


def test_pages_never_render_raw_html():
    for path in [ROOT / "app.py", *PAGES]:
        assert "unsafe_allow_html=True" not in path.read_text(), path.name
