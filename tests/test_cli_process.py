"""The command line as programs of their own: exit status, Ctrl-C, the server and its workers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from scfm_core.analyses.export_dataset import to_anndata, write_h5ad
from tests.counting_requests import wait_for

ROOT = Path(__file__).parents[1]
SCFM = [sys.executable, "-c", "from scfm_core.cli import main; main()"]


@pytest.fixture
def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "SCFM_SCHEDULER"}
    return {**kept, "SCFM_WORKSPACE": str(tmp_path / "workspace"), "SCFM_DEVICE": "cpu", "DISPLAY": ""}


@pytest.fixture
def file(tiny_dataset, tmp_path):
    write_h5ad(to_anndata(tiny_dataset), tmp_path / "tiny.h5ad")
    return str(tmp_path / "tiny.h5ad")


def scfm(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*SCFM, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def tree(pid: int) -> set[int]:
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE}


def test_the_installed_program_embeds_and_is_quiet(file, tmp_path, environment):
    program = Path(sys.executable).with_name("scfm")
    if not program.exists():
        pytest.skip("scfm is not installed beside this Python")
    done = subprocess.run(
        [program, "embed", file, "--model", "pca", "--out", tmp_path / "out.h5ad"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")  # no terminal: no progress, no warnings of libraries
    assert "X_pca" in done.stdout


def test_an_error_is_one_paragraph_on_stderr_and_status_one(environment):
    done = scfm("info", "no-such-file.h5ad", environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("scfm: There is no file 'no-such-file.h5ad'")
    assert "Traceback" not in done.stderr


def test_help_opens_without_the_heavy_libraries(environment):
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom scfm_core.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print({'torch', 'scanpy', 'sklearn', 'umap', 'distributed', 'anndata'} & set(sys.modules))\n"
    )
    program = [sys.executable, "-c", code]
    run = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout == "set()\n", run.stderr


def test_ctrl_c_ends_with_130_and_keeps_the_finished_chunks(environment, tmp_path):
    out = tmp_path / "out.h5ad"
    arguments = ["embed", "demo:pbmc3k", "--model", "scfm-mini", "--out", str(out)]
    program = subprocess.Popen([*SCFM, *arguments], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "workspace" / "parts"
    wait_for(lambda: len(list(parts.glob("*/*"))) >= 2, 120)
    program.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = program.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert program.returncode == 130
    assert said == "scfm: stopped. Finished chunks are kept; the same command goes on from there.\n"
    assert not out.exists()
    assert len(list(parts.glob("*/*"))) >= 2


def test_ctrl_c_in_a_perturbation_ends_with_130_and_keeps_the_finished_chunks(file, environment, tmp_path):
    out = tmp_path / "out"
    options = ["--model", "scfm-mini", "--delete", "FTL", "--null", "300", "--null-cells", "all"]
    arguments = ["perturb", file, *options, "--out", str(out)]
    program = subprocess.Popen([*SCFM, *arguments], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "workspace" / "parts"
    wait_for(lambda: len(list(parts.glob("*/*"))) >= 2, 240)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)
    assert program.returncode == 130
    assert said == "scfm: stopped. Finished chunks are kept; the same command goes on from there.\n"
    assert not out.exists()
    assert len(list(parts.glob("*/*"))) >= 2


def test_serve_brings_up_pages_and_workers_and_takes_them_down(environment, tmp_path):
    arguments = ["serve", "--port", str(_free_port()), "--demo", "pbmc3k", "--workers", "1"]
    program = subprocess.Popen([*SCFM, *arguments], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        line = program.stdout.readline()
        address = re.search(r"http://\S+", line).group()
        assert address.endswith("/?demo=pbmc3k")
        with urllib.request.urlopen(address.split("/?")[0] + "/_stcore/health", timeout=10) as answer:
            assert answer.read() == b"ok"
        programs = tree(program.pid)
        assert len(programs) >= 5  # scfm, scheduler, nanny, worker, server
        server = next(pid for pid in programs if "streamlit" in psutil.Process(pid).cmdline())
        variables = psutil.Process(server).environ()
        assert variables["SCFM_SCHEDULER"].startswith("tcp://127.0.0.1:")
        assert variables["SCFM_WORKSPACE"] == environment["SCFM_WORKSPACE"]
        assert psutil.Process(server).cwd() == str(ROOT)  # .streamlit/config.toml applies
    finally:
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "Stopped" in said
    wait_for(lambda: not alive(programs), 2)


def test_serve_refuses_a_taken_port_and_an_unknown_demo(environment):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = scfm("serve", "--port", port, "--threads-only", environment=environment)
    assert done.returncode == 1
    assert f"Port {port} of '127.0.0.1' is taken" in done.stderr
    done = scfm("serve", "--demo", "nonsense", "--threads-only", environment=environment)
    assert "No demo is called 'nonsense'" in done.stderr


def test_json_of_models_is_all_that_stands_on_stdout(environment):
    done = scfm("models", "--json", environment=environment)
    assert [card["key"] for card in json.loads(done.stdout)["models"]][0] == "pca"


def test_a_reader_that_has_read_enough_is_no_bug(environment):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = subprocess.Popen([*SCFM, "models", "--json"], env=environment, cwd=ROOT, text=True, **pipes)
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()
    program.wait(60)
    assert said == ""


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
