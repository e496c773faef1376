import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from scfm_core.engine import Engine, ThreadExecutor
from scfm_core.store import Store
from tests.counting_requests import Square, marks, wait_for

ROOT = Path(__file__).parents[1]
DAY = 24 * 3600


@dataclass(frozen=True)
class Everything:
    array: np.ndarray
    table: pd.DataFrame
    named: dict
    number: int
    words: tuple
    nothing: None = None


@dataclass(frozen=True)
class Block:
    array: np.ndarray


def block(megabytes: float) -> Block:
    return Block(np.ones(int(megabytes * 2**20), dtype=np.uint8))


def age(store_root: Path, identity: str, seconds: float) -> None:
    about = store_root / "answers" / identity / "_about.json"
    then = time.time() - seconds
    os.utime(about, (then, then))


def run(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE)


def test_every_kind_of_value_comes_back(tmp_path):
    store = Store(tmp_path)
    table = pd.DataFrame({"gene": pd.Categorical(["LYZ", "CD3D"]), "p": [1e-300, np.nan]}, index=["a", "b"])
    answer = Everything(
        array=np.arange(6, dtype=np.float32).reshape(2, 3),
        table=table,
        named={"x": np.array([1.5]), "RP11-34P13.7": np.array(["text"])},
        number=np.int64(7),
        words=("one", "two"),
    )
    store.put("id", answer, {"question": "Everything"})
    back = store.get("id", Everything)
    np.testing.assert_array_equal(back.array, answer.array)
    assert back.array.dtype == np.float32
    pd.testing.assert_frame_equal(back.table, table)
    assert back.named.keys() == answer.named.keys()
    assert back.named["RP11-34P13.7"].tolist() == ["text"]
    assert (back.number, back.words, back.nothing) == (7, ("one", "two"), None)


def test_what_is_stored_is_listed_with_its_question(tmp_path):
    store = Store(tmp_path)
    store.put("older", block(0.5), {"question": "Older"})
    store.put("newer", block(0.1), {"question": "Newer"})
    listed = list(store.answers())
    assert [answer.identity for answer in listed] == ["newer", "older"]
    assert listed[1].recipe == {"question": "Older"}
    assert 2**19 < listed[1].size_bytes < 2**19 + 1000
    assert store.has("older")
    assert not store.has("other")


def test_an_answer_that_holds_an_object_is_refused_and_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        store.put("id", Block(np.array([object()])))
    with pytest.raises(TypeError, match="plain values, found set"):
        store.put("id", Block({1, 2}))
    assert store.get("id", Block) is None
    assert not list((tmp_path / "scratch").iterdir())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part=st.one_of(
        arrays(scalar_dtypes(), array_shapes(min_dims=0, min_side=0)),
        st.dictionaries(st.text(min_size=1, max_size=20), arrays("f4", array_shapes(min_side=0)), min_size=1),
    )
)
def test_parts_come_back_as_they_were(tmp_path, part):
    store = Store(tmp_path)
    store.drop_parts("id")
    store.put_part("id", "0", part)
    back = store.get_part("id", "0")
    if isinstance(part, dict):
        assert back.keys() == part.keys()
        for key in part:
            np.testing.assert_array_equal(back[key], part[key])
    else:
        np.testing.assert_array_equal(back, part)
        assert back.dtype == part.dtype


@pytest.mark.parametrize("part", [3, "text", ("a", 2), {}, {"a": 1, "b": [1, 2]}, {"x": np.arange(3), "n": 5}])
def test_plain_parts_come_back(tmp_path, part):
    store = Store(tmp_path)
    store.put_part("id", "0", part)
    back = store.get_part("id", "0")
    if isinstance(part, dict) and "x" in part:
        assert back["x"].tolist() == [0, 1, 2]
        assert back["n"] == 5
    else:
        assert back == ({"a": 1, "b": (1, 2)} if isinstance(part, dict) and part else part)


def test_parts_go_when_the_answer_is_whole(tmp_path):
    store = Store(tmp_path)
    store.put_part("id", "0", 1)
    store.put_part("other", "0", 1)
    assert store.has_part("id", "0")
    store.put("id", block(0.1))
    assert not store.has_part("id", "0")
    assert store.has_part("other", "0")
    assert store.get_part("id", "0") is None


def test_a_part_is_kept_though_the_others_are_dropped_at_that_moment(tmp_path):
    store = Store(tmp_path)
    stop = threading.Event()

    def drop() -> None:
        while not stop.is_set():
            store.drop_parts("id")

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        for number in range(300):
            store.put_part("id", str(number), number)  # raises nothing
    finally:
        stop.set()
        thread.join()
    store.put_part("id", "last", 1)
    assert store.get_part("id", "last") == 1


def test_old_parts_and_leftovers_are_aged_out(tmp_path):
    store = Store(tmp_path)
    store.put_part("old", "0", 1)
    store.put_part("young", "0", 1)
    left = tmp_path / "scratch" / "left-by-a-killed-writer"
    left.mkdir()
    for folder in (tmp_path / "parts" / "old", left):
        os.utime(folder, (time.time() - 8 * DAY,) * 2)
    store.put("id", block(0.1))
    assert not store.has_part("old", "0")
    assert not left.exists()
    assert store.has_part("young", "0")


def test_a_writer_killed_in_the_middle_leaves_nothing_to_be_seen(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from dataclasses import make_dataclass\n"
        "from scfm_core.store import Store\n"
        "names = [f'field_{number}' for number in range(200)]\n"
        "Many = make_dataclass('Many', names)\n"
        "store = Store(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    store.put('id', Many(*[np.ones(2**17) for _ in names]))\n"
        "    store._remove(store._answers / 'id')\n"
    )
    scratch, answers = tmp_path / "scratch", tmp_path / "answers"
    for wait_seconds in (0.0, 0.05, 0.11):
        writer = run(code, str(tmp_path))
        writer.stdout.readline()
        wait_for(lambda: any((folder / "field_0.npy").exists() for folder in scratch.iterdir()))
        time.sleep(wait_seconds)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for folder in answers.iterdir():  # killed between two puts: then the answer is whole
            assert len(list(folder.iterdir())) == 201
    assert list(scratch.iterdir())
    for folder in answers.iterdir():
        Store(tmp_path)._remove(folder)
    assert Store(tmp_path).get("id", Block) is None
    assert not list(Store(tmp_path).answers())


def test_two_programs_that_write_the_same_answers_do_no_harm(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from scfm_core.store import Store\n"
        "from tests.test_store import Block\n"
        "store = Store(Path(sys.argv[1]), size_cap_bytes=20 * 2**16)\n"
        "for number in range(80):\n"
        "    identity = f'answer-{number % 30}'\n"
        "    store.put_part(identity, '0', np.ones(10))\n"
        "    store.put(identity, Block(np.full(2**16, number % 30, dtype=np.uint8)))\n"
        "    back = store.get(identity, Block)\n"
        "    assert back is None or (back.array == number % 30).all()\n"
        "    list(store.answers())\n"
    )
    writers = [run(code, str(tmp_path)) for _ in range(2)]
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    store = Store(tmp_path)
    listed = list(store.answers())
    assert 0 < sum(answer.size_bytes for answer in listed) <= 21 * (2**16 + 1000)
    for answer in listed:
        assert (store.get(answer.identity, Block).array == int(answer.identity.split("-")[1])).all()


def test_the_oldest_unused_answers_go_first_and_the_cap_holds(tmp_path):
    store = Store(tmp_path, size_cap_bytes=4 * 2**20)
    for number in range(3):
        store.put(str(number), block(1))
        age(tmp_path, str(number), (3 - number) * DAY)
    assert store.get("0", Block) is not None  # used now, though written first
    store.put("3", block(1.5))
    assert [store.has(str(number)) for number in range(4)] == [True, False, True, True]
    store.put("4", block(2))
    assert [store.has(str(number)) for number in range(5)] == [False, False, False, True, True]
    assert sum(answer.size_bytes for answer in store.answers()) <= 4 * 2**20


def test_an_answer_larger_than_the_cap_is_kept_until_the_next_one(tmp_path):
    store = Store(tmp_path, size_cap_bytes=2**20)
    store.put("large", block(2))
    assert store.has("large")
    age(tmp_path, "large", 10)
    store.put("small", block(0.5))
    assert (store.has("large"), store.has("small")) == (False, True)


def test_kept_parts_count_against_the_cap(tmp_path):
    store = Store(tmp_path, size_cap_bytes=2**20)
    for name in ("abandoned", "running"):
        store.put_part(name, "0", np.ones(2**16))
    os.utime(tmp_path / "parts" / "abandoned", (time.time() - DAY,) * 2)
    store.put("id", block(0.4))
    assert (store.has_part("abandoned", "0"), store.has_part("running", "0")) == (False, True)


def test_the_cap_is_read_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SCFM_STORE_GIGABYTES", str(1 / 1024))
    store = Store(tmp_path)
    store.put("0", block(0.8))
    age(tmp_path, "0", 10)
    store.put("1", block(0.8))
    assert not store.has("0")


def test_an_answer_in_use_survives_its_eviction(tmp_path):
    store = Store(tmp_path, size_cap_bytes=2**20)
    store.put("0", block(0.8))
    held = store.get("0", Block)
    age(tmp_path, "0", 10)
    store.put("1", block(0.8))
    assert store.get("0", Block) is None
    assert held.array.sum() == len(held.array)


@pytest.mark.parametrize("damage", ["array.npy", "table.parquet", "named.npz", "number.json"])
@pytest.mark.parametrize("how", ["emptied", "cut", "gone"])
def test_a_damaged_answer_counts_as_absent_and_can_be_written_again(tmp_path, damage, how, caplog):
    store = Store(tmp_path)
    answer = Everything(np.arange(9), pd.DataFrame({"x": [1]}), {"a": np.arange(9)}, 3, ())
    store.put("id", answer)
    file = tmp_path / "answers" / "id" / damage
    content = file.read_bytes()
    match how:
        case "emptied":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "gone":
            file.unlink()
    assert store.get("id", Everything) is None
    assert "computed again" in caplog.text
    store.put("id", answer)
    assert store.get("id", Everything).number == 3


def test_an_unreadable_answer_is_computed_again(tmp_path):
    marked = tmp_path / "marks"
    marked.mkdir()
    question = Square(str(marked))
    first = Engine(Store(tmp_path / "store"), ThreadExecutor(["cpu"]))
    first.compute(question)
    (tmp_path / "store" / "answers" / question.identity / "values.npy").write_bytes(b"")
    second = Engine(Store(tmp_path / "store"), ThreadExecutor(["cpu"]))
    assert second.compute(question).values.tolist() == [0, 1, 4, 9, 16]
    assert marks(marked, "run-squares") == 2
    first.close()
    second.close()


def test_reading_while_another_thread_evicts_gives_a_whole_answer_or_none(tmp_path):
    store = Store(tmp_path, size_cap_bytes=3 * 2**16)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            for number in range(6):
                back = store.get(str(number), Block)
                if back is not None and not (back.array == number).all():
                    wrong.append(number)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(80):
        store.put(str(turn % 6), Block(np.full(2**16, turn % 6, dtype=np.uint8)))
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
