"""The engine on a real scheduler and a real worker, which are killed in the middle of their work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from scfm_core.analyses.embed_cells import EmbedCells
from scfm_core.analyses.perturb_as_authors import PerturbAsAuthors, State, States
from scfm_core.cluster import DaskExecutor, connect, start_cluster, visible_gpus
from scfm_core.dataset import subset_dataset
from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.errors import Cancelled, RequestError, ScfmError
from scfm_core.registry import find_model
from scfm_core.store import Store
from scfm_core.workspace import Workspace
from tests.counting_requests import Deadly, Failing, Square, SumOfSquares, marks, wait_for

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # the workers import this folder's requests
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
        with start_cluster(1, workspace=Workspace(tmp_path_factory.mktemp("workspace"))) as cluster:
            yield cluster


@pytest.fixture
def engine(cluster, tmp_path):
    engine = Engine(Store(tmp_path / "store"), DaskExecutor(cluster.address))
    yield engine
    engine.close()


@pytest.fixture
def marked(tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def worker_pid(cluster) -> int:
    executor = DaskExecutor(cluster.address)
    try:
        return int(executor.submit(_pid, None).result(30))
    finally:
        executor.close()


def _pid(_: None) -> int:
    return os.getpid()


def tree(pid: int) -> set[int]:
    process = psutil.Process(pid)
    return {pid, *(child.pid for child in process.children(recursive=True))}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE}


def n_pieces(folder: Path, n: int) -> int:
    return sum(marks(folder, f"piece-{number}") for number in range(n))


def test_the_work_is_done_by_another_process(engine, marked):
    assert engine.compute(SumOfSquares(Square(str(marked)))).values.tolist() == [30]
    assert {int(file.name.split(".")[1]) for file in marked.glob("piece-*")} != {os.getpid()}


def test_the_job_of_a_killed_worker_finishes_with_the_undisturbed_result(engine, cluster, marked):
    question = Square(str(marked), n=12, seconds=0.1)
    job = engine.submit(question)
    wait_for(lambda: job.done >= 30)
    killed = worker_pid_of(marked)
    os.kill(killed, signal.SIGKILL)
    assert job.result(40).values.tolist() == [number**2 for number in range(12)]
    workers = {int(file.name.split(".")[1]) for file in marked.glob("piece-*")}
    assert len(workers) == 2  # the killed one and the one that its nanny started
    assert n_pieces(marked, 12) <= 13
    assert worker_pid(cluster) != killed


def test_a_killed_worker_does_not_change_an_embedding(engine, cluster, demo_dataset, tmp_path):
    first = np.arange(demo_dataset.n_cells) < 200
    dataset = subset_dataset(demo_dataset, first, title="200 cells", note="The first 200 cells.")
    question = EmbedCells(dataset, find_model("scfm-mini"))
    undisturbed = Engine(Store(tmp_path / "undisturbed"), DaskExecutor(cluster.address))
    expected = undisturbed.compute(question)
    undisturbed.close()
    worker = worker_pid(cluster)
    job = engine.submit(question)
    wait_for(lambda: job.progress.unit == "cells" and job.done > 0, 200)
    assert job.done < 200
    os.kill(worker, signal.SIGKILL)
    embedding = job.result(200)
    np.testing.assert_array_equal(embedding.points, expected.points)
    np.testing.assert_array_equal(embedding.n_tokens, expected.n_tokens)
    assert worker_pid(cluster) != worker


def worker_pid_of(folder: Path) -> int:
    return int(next(folder.glob("piece-*")).name.split(".")[1])


def test_work_that_kills_every_worker_ends_in_words(engine):
    with pytest.raises(ScfmError, match="took 2 workers down") as raised:
        engine.submit(Deadly()).result(60)
    assert raised.value.code == "worker-killed"


def test_an_error_on_a_worker_arrives_as_itself(engine, marked):
    with pytest.raises(RequestError, match="Piece 0 cannot be computed") as raised:
        engine.submit(Failing(str(marked))).result(30)
    assert raised.value.code == "test-failure"
    (marked / "mended").touch()
    assert engine.submit(Failing(str(marked))).result(30).values.tolist() == [0, 1, 2]


def test_a_bug_on_a_worker_arrives_as_itself(engine, marked):
    (marked / "bug").touch()
    with pytest.raises(ZeroDivisionError):
        engine.submit(Failing(str(marked))).result(30)


def test_cancel_between_chunks_keeps_the_chunks(engine, marked):
    question = Square(str(marked), n=12, seconds=0.1)
    job = engine.submit(question)
    wait_for(lambda: job.done >= 30)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(10)
    time.sleep(0.5)
    done = n_pieces(marked, 12)
    assert 3 <= done < 12
    assert engine.submit(question).result(30).values.tolist() == [number**2 for number in range(12)]
    assert n_pieces(marked, 12) == 12


DRIVER = (
    "import sys\n"
    "from pathlib import Path\n"
    "from scfm_core.cluster import connect\n"
    "from scfm_core.workspace import Workspace\n"
    "from tests.counting_requests import Square\n"
    "connect(Workspace(Path(sys.argv[1]))).compute(Square(sys.argv[2], n=20, seconds=0.1))\n"
)


@pytest.mark.parametrize("where", ["cluster", "threads"])
def test_a_killed_server_loses_at_most_one_chunk(cluster, marked, tmp_path, monkeypatch, where):
    if where == "cluster":
        monkeypatch.setenv("SCFM_SCHEDULER", cluster.address)
    else:
        monkeypatch.delenv("SCFM_SCHEDULER", raising=False)
        monkeypatch.setenv("SCFM_DEVICE", "cpu")
    workspace = Workspace(tmp_path / "workspace")
    server = subprocess.Popen([sys.executable, "-c", DRIVER, str(workspace.root), str(marked)], cwd=ROOT)
    wait_for(lambda: n_pieces(marked, 20) >= 4, 40)
    server.kill()
    server.wait()
    time.sleep(0.5)
    assert n_pieces(marked, 20) < 15
    engine = connect(workspace)
    job = engine.submit(Square(str(marked), n=20, seconds=0.1))
    assert job.result(40).values.tolist() == [number**2 for number in range(20)]
    assert n_pieces(marked, 20) <= 21
    assert job.progress.done_at_start >= 30
    engine.close()


def test_nobody_at_the_address_is_said_in_words(monkeypatch, workspace_of):
    monkeypatch.setattr("scfm_core.cluster._CONNECT_SECONDS", 1)
    monkeypatch.setenv("SCFM_SCHEDULER", "tcp://127.0.0.1:9")
    with pytest.raises(ScfmError, match="No Dask scheduler answers at 'tcp://127.0.0.1:9'") as raised:
        connect(workspace_of)
    assert raised.value.code == "no-scheduler"
    monkeypatch.setenv("SCFM_SCHEDULER", "nonsense://nowhere")
    with pytest.raises(ScfmError, match="No Dask scheduler"):
        connect(workspace_of)


@pytest.fixture
def workspace_of(tmp_path):
    return Workspace(tmp_path / "workspace")


STARTER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from scfm_core.cluster import start_cluster\n"
    "from scfm_core.workspace import Workspace\n"
    "cluster = start_cluster(1, workspace=Workspace(Path(sys.argv[1])))\n"
    "print(cluster.address, flush=True)\n"
    "time.sleep(600)\n"
)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_program_outlives_the_one_that_started_it(tmp_path, how):
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert starter.stdout.readline().startswith(b"tcp://127.0.0.1:")
    programs = tree(starter.pid)
    assert len(programs) >= 4  # itself, the scheduler, the nanny, the worker
    starter.send_signal(how)
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not alive(programs), 15)


def test_close_ends_everything_and_listens_on_loopback_alone(tmp_path):
    cluster = start_cluster(1, workspace=Workspace(tmp_path))
    programs = set().union(*(tree(process.pid) for process in cluster.processes))
    listening = {
        connection.laddr.ip
        for pid in programs
        for connection in psutil.Process(pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert cluster.running
    cluster.close()
    wait_for(lambda: not alive(programs), 2)
    assert not cluster.running


def test_gpus_are_those_that_the_environment_allows(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_workers_read_out_as_the_authors_do(engine, demo_dataset, tmp_path):
    first = np.arange(demo_dataset.n_cells) < 24
    dataset = subset_dataset(demo_dataset, first, title="24 cells", note="The first 24 cells.")
    here = Engine(Store(tmp_path / "here"), ThreadExecutor(["cpu"]))
    column = dataset.roles["cell_type"]
    one, other = dataset.cells()[column].astype(str).value_counts().index[:2]
    question = PerturbAsAuthors(
        EmbedCells(dataset, find_model("scfm-mini")),
        every_gene="delete",
        max_genes=12,
        states=States(State(column, one), State(column, other)),
    )
    answers = [each.compute(question) for each in (here, engine)]
    here.close()
    assert len(answers[0].cells) >= 12
    pd.testing.assert_frame_equal(answers[0].cells, answers[1].cells, rtol=0, atol=1e-7)
