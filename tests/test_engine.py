import logging
import threading
import time

import numpy as np
import pytest

from scfm_core.engine import Engine, Progress, ThreadExecutor
from scfm_core.errors import Cancelled, RequestError
from scfm_core.store import Store
from tests.counting_requests import (
    AfterShown,
    Failing,
    FirstOnly,
    RunningSum,
    Shown,
    Square,
    SumOfSquares,
    marks,
    wait_for,
)


@pytest.fixture
def marked(tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path):
    """Return a function that starts an engine on the one store of this test, as a restarted program would."""
    engines = []

    def start(n_threads: int = 1) -> Engine:
        engines.append(Engine(Store(tmp_path / "store"), ThreadExecutor(["cpu"] * n_threads)))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def test_equal_questions_share_one_job(start, marked):
    engine = start()
    jobs = [engine.submit(Square(str(marked), seconds=0.05)) for _ in range(8)]
    assert len({job.id for job in jobs}) == 1
    assert jobs[0].result(10).values.tolist() == [0, 1, 4, 9, 16]
    assert marks(marked, "run-squares") == 1
    assert engine.submit(Square(str(marked), seconds=0.05)) is jobs[0]


def test_many_threads_that_ask_at_once_share_one_job(start, marked):
    engine = start(2)
    barrier, jobs = threading.Barrier(16), []

    def ask() -> None:
        barrier.wait()
        jobs.append(engine.submit(Square(str(marked), n=3)))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job in jobs}) == 1
    assert jobs[0].result(10).values.tolist() == [0, 1, 4]
    assert marks(marked, "run-squares") == 1


def test_a_nested_question_is_computed_once_and_kept(start, marked):
    engine = start()
    squares = Square(str(marked))
    assert engine.compute(SumOfSquares(squares)).values.tolist() == [30]
    assert engine.compute(SumOfSquares(squares, name="again")).values.tolist() == [30]
    assert marks(marked, "run-squares") == 1
    assert engine.answer(squares).values.tolist() == [0, 1, 4, 9, 16]
    assert [job.request.name for job in engine.jobs()] == ["again", "sum"]  # newest first, the nested one is not listed


def test_a_stored_answer_returns_in_under_a_second_and_runs_nothing(start, marked):
    question = Square(str(marked))
    first = start().compute(question)
    began = time.monotonic()
    job = start().submit(question)
    assert job.finished
    np.testing.assert_array_equal(job.result().values, first.values)
    assert job.result().label == "squares"
    assert time.monotonic() - began < 1
    assert marks(marked, "run-squares") == 1


def test_answer_computes_nothing(start, marked):
    engine = start()
    assert engine.answer(Square(str(marked))) is None
    assert marks(marked, "run-squares") == 0


def test_pieces_come_in_order_from_several_threads(start, marked):
    question = Square(str(marked), n=40)
    assert start(4).compute(question).values.tolist() == [number**2 for number in range(40)]


def test_cancel_keeps_the_finished_pieces_and_the_next_run_goes_on(start, marked, tmp_path):
    question = Square(str(marked), n=10, seconds=0.05)
    engine = start()
    job = engine.submit(question)
    wait_for(lambda: job.done >= 30)
    job.cancel()
    with pytest.raises(Cancelled, match="is kept"):
        job.result(10)
    assert job.finished
    time.sleep(0.3)  # the piece in the making is kept too
    done = sum(marks(marked, f"piece-{number}") for number in range(10))
    assert 3 <= done < 10
    again = start().submit(question)
    assert again.result(10).values.tolist() == [number**2 for number in range(10)]
    assert [marks(marked, f"piece-{number}") for number in range(10)] == [1] * 10
    assert again.progress.done_at_start == 10 * done
    assert not list((tmp_path / "store" / "parts").iterdir())


def test_a_cancelled_question_is_asked_again_in_the_same_engine(start, marked):
    engine = start()
    question = Square(str(marked), n=10, seconds=0.05)
    first = engine.submit(question)
    wait_for(lambda: first.done >= 10)
    first.cancel()
    second = engine.submit(question)
    assert second is not first
    assert second.result(10).values.tolist() == [number**2 for number in range(10)]


def test_cancel_of_a_finished_job_does_nothing(start, marked):
    engine = start()
    job = engine.submit(Square(str(marked)))
    job.result(10)
    job.cancel()
    assert engine.submit(Square(str(marked))) is job


def test_a_nested_job_is_stopped_with_its_only_parent(start, marked):
    engine = start()
    parent = engine.submit(SumOfSquares(Square(str(marked), n=50, seconds=0.05)))
    wait_for(lambda: parent.done >= 10)
    parent.cancel()
    with pytest.raises(Cancelled):
        parent.result(10)
    time.sleep(0.3)
    done = sum(marks(marked, f"piece-{number}") for number in range(50))
    time.sleep(0.3)
    assert sum(marks(marked, f"piece-{number}") for number in range(50)) == done


def test_a_nested_job_that_somebody_asked_for_goes_on_without_its_parent(start, marked):
    engine = start()
    squares = Square(str(marked), n=10, seconds=0.05)
    parent = engine.submit(SumOfSquares(squares))
    wait_for(lambda: parent.done >= 10)
    child = engine.submit(squares)
    parent.cancel()
    with pytest.raises(Cancelled):
        parent.result(10)
    assert child.result(10).values[-1] == 81
    assert marks(marked, "run-squares") == 1


def test_a_nested_job_of_two_parents_goes_on_when_one_is_stopped(start, marked):
    engine = start()
    squares = Square(str(marked), n=10, seconds=0.05)
    one, other = engine.submit(SumOfSquares(squares, name="one")), engine.submit(SumOfSquares(squares, name="other"))
    wait_for(lambda: one.done >= 10 and other.done >= 10)
    one.cancel()
    with pytest.raises(Cancelled):
        one.result(10)
    assert other.result(10).values.tolist() == [285]
    assert marks(marked, "run-squares") == 1


def test_an_error_reaches_everybody_who_waits_and_the_next_submit_tries_again(start, marked, caplog):
    engine = start()
    jobs = [engine.submit(Failing(str(marked))) for _ in range(2)]
    for job in jobs:
        with pytest.raises(RequestError, match="Piece 0 cannot") as raised:
            job.result(10)
        assert raised.value.code == "test-failure"
    assert isinstance(jobs[0].error, RequestError)
    assert not caplog.records  # written for the person at the screen, not for the log
    (marked / "mended").touch()
    assert engine.submit(Failing(str(marked))).result(10).values.tolist() == [0, 1, 2]


def test_a_bug_is_logged_once_with_the_job_id(start, marked, caplog):
    (marked / "bug").touch()
    job = start().submit(Failing(str(marked)))
    with caplog.at_level(logging.ERROR), pytest.raises(ZeroDivisionError):
        job.result(10)
    assert [job.id in record.getMessage() for record in caplog.records] == [True]


def test_reading_only_some_pieces_gives_up_the_rest(start, marked):
    engine = start()
    assert engine.compute(FirstOnly(str(marked))).values.tolist() == [0]
    time.sleep(0.3)
    assert sum(marks(marked, f"piece-{number}") for number in range(20)) <= 3


def test_progress_tells_how_far_and_how_long(start, marked):
    job = start().submit(Square(str(marked), n=10, seconds=0.05))
    wait_for(lambda: job.done >= 30)
    progress = job.progress
    assert (progress.step, progress.total, progress.unit) == ("Squaring", 100, "cells")
    assert 0 < progress.seconds_left < 5
    job.result(10)
    assert job.done == job.total == 100


def test_time_left_counts_only_what_was_done_in_this_run():
    progress = Progress(done=60, total=100, done_at_start=50, started=time.monotonic() - 10)
    assert progress.seconds_left == pytest.approx(40, abs=0.1)
    assert Progress(done=50, total=100, done_at_start=50).seconds_left is None
    assert Progress(done=0, total=0).seconds_left is None


def test_the_log_of_a_parent_holds_the_lines_of_its_child_in_order(start, marked):
    engine = start()
    job = engine.submit(SumOfSquares(Square(str(marked), n=10, seconds=0.03)))
    wait_for(lambda: job.done >= 10)
    assert [text for _, text in job.log] == ["Asking for squares", "Squaring: 100 cells"]  # while the child runs
    assert job.progress.step == "Squaring"
    job.result(10)
    expected = ["Asking for squares", "Squaring: 100 cells", "All squared", "Adding up"]
    assert [text for _, text in job.log] == expected
    times = [at for at, _ in job.log]
    assert times == sorted(times)
    assert times[0] >= 0


def test_pieces_of_another_cut_are_never_taken_for_ones_own(start, marked, tmp_path):
    question = Square(str(marked), n=4)
    store = Store(tmp_path / "store")
    for number in range(4):
        store.put_part(question.identity, f"0-{number}", {"squares": np.array([-1])})
        store.put_part(question.identity, f"0-{number}-0123456789abcdef", {"squares": np.array([-1])})
    assert start().compute(question).values.tolist() == [0, 1, 4, 9]


def kept_parts(tmp_path):
    return [part.name for folder in (tmp_path / "store" / "parts").iterdir() for part in folder.iterdir()]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_step_of_a_fold_gets_what_the_one_before_gave(start, marked, tmp_path, n_threads):
    job = start(n_threads).submit(RunningSum(str(marked), steps=10))
    assert job.result(20).values.tolist() == [1, 3, 6, 10, 15]
    assert [marks(marked, f"added-{number}") for number in range(1, 6)] == [1] * 5
    assert (job.done, job.total, job.progress.unit) == (50, 50, "steps")
    assert [text for _, text in job.log] == ["Adding: 50 steps", "All added"]
    assert kept_parts(tmp_path) == []


def test_a_stopped_fold_keeps_its_last_state_and_goes_on_from_there(start, marked, tmp_path):
    request = RunningSum(str(marked), n=8, seconds=0.05)
    job = start().submit(request)
    wait_for(lambda: job.done >= 3)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(20)
    wait_for(lambda: len(kept_parts(tmp_path)) == 1)  # of all states only the last one
    again = start().submit(request)
    assert again.result(20).values.tolist() == np.cumsum(np.arange(1, 9)).tolist()
    assert [marks(marked, f"added-{number}") for number in range(1, 4)] == [1] * 3
    assert marks(marked, "run-sum") == 2
    assert again.progress.done_at_start >= 3


def test_a_fold_of_other_steps_never_takes_a_kept_state_for_its_own(start, marked, tmp_path):
    request = RunningSum(str(marked), n=4, seconds=0.05)
    identity, store = request.identity, Store(tmp_path / "store")
    store.put_part(identity, "0-after-1-0123456789abcdef", {"values": np.array([100])})
    assert start().submit(request).result(20).values.tolist() == [1, 3, 6, 10]


def test_an_unreadable_piece_is_computed_again(start, marked, tmp_path):
    question = Square(str(marked), n=10, seconds=0.05)
    job = start().submit(question)
    wait_for(lambda: job.done >= 30)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(10)
    for file in (tmp_path / "store" / "parts").rglob("*.npy"):
        file.write_bytes(b"")
    assert start().compute(question).values.tolist() == [number**2 for number in range(10)]


def test_an_answer_that_cannot_be_stored_is_delivered_all_the_same(start, marked, tmp_path):
    engine = start()
    answers = tmp_path / "store" / "answers"
    job = engine.submit(Square(str(marked), n=10, seconds=0.02))
    answers.rmdir()
    answers.write_text("a file where a folder should be")
    assert job.result(10).values.tolist() == [number**2 for number in range(10)]
    assert "could not be stored" in job.log[-1][1]


def test_finished_jobs_are_forgotten_but_not_their_answers(start, marked):
    engine = start()
    for number in range(70):
        engine.compute(Square(str(marked), n=1, label=str(number)))
    assert len(engine.jobs()) <= 65
    assert engine.answer(Square(str(marked), n=1, label="0")).values.tolist() == [0]


def test_close_stops_the_jobs(start, marked):
    engine = start()
    job = engine.submit(Square(str(marked), n=100, seconds=0.05))
    wait_for(lambda: job.done >= 10)
    engine.close()
    with pytest.raises(Cancelled):
        job.result(10)


def test_what_a_request_shows_can_be_read_while_it_runs_and_goes_when_the_answer_is_there(start, marked):
    engine = start()
    job = engine.submit(Shown(str(marked), n=10, seconds=0.05))
    seen = [job.partial]
    while not job.wait(0.01):
        seen.append(job.partial)
    assert seen[0] is None
    lengths = [0 if partial is None else len(partial.values) for partial in seen]
    assert lengths == sorted(lengths)
    assert {1, 5, 9} <= set(lengths)
    assert all(partial is None or partial.label == f"so far {len(partial.values)}" for partial in seen)
    assert job.result().label == "whole"
    wait_for(lambda: job.partial is None)
    assert engine.submit(Shown(str(marked), n=10, seconds=0.05)).result().label == "whole"  # what was stored


def test_what_was_shown_can_be_read_from_many_threads(start, marked):
    job = start().submit(Shown(str(marked), n=30, seconds=0.02))
    seen: dict[int, list[int]] = {}

    def read(number: int) -> None:
        while not job.finished:
            partial = job.partial
            seen.setdefault(number, []).append(0 if partial is None else len(partial.values))
            time.sleep(0.002)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 8
    assert all(one == sorted(one) and max(one) >= 25 for one in seen.values())


def test_cancel_keeps_what_was_shown(start, marked):
    job = start().submit(Shown(str(marked), n=50, seconds=0.05))
    wait_for(lambda: job.partial is not None and len(job.partial.values) >= 3)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(10)
    kept = job.partial
    assert 3 <= len(kept.values) < 50
    assert kept.values.tolist() == [number**2 for number in range(len(kept.values))]
    time.sleep(0.2)
    assert job.partial is kept


def test_a_failure_keeps_what_was_shown(start, marked):
    job = start().submit(Shown(str(marked), fails_after=2))
    with pytest.raises(RequestError):
        job.result(10)
    assert job.partial.values.tolist() == [0, 1]


def test_a_job_shows_what_its_running_nested_job_shows(start, marked):
    parent = start().submit(AfterShown(Shown(str(marked), n=20, seconds=0.05)))
    wait_for(lambda: parent.partial is not None and parent.partial.label == "so far 3")
    wait_for(lambda: marks(marked, "asked") == 1)
    assert parent.partial is None  # the nested answer is there, and the parent has shown nothing itself
    assert len(parent.result(20).values) == 40


def test_what_a_job_shows_itself_goes_before_what_a_nested_one_shows(start, marked):
    parent = start().submit(AfterShown(Shown(str(marked), n=10, seconds=0.05), own=True))
    wait_for(lambda: parent.done >= 4 and parent.progress.total == 10)
    assert parent.partial.label == "own"
    parent.result(20)


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_what_a_nested_job_had_shown_is_kept_when_it_ends_early(start, marked, how):
    shown = Shown(str(marked), n=50, seconds=0.05, fails_after=4 if how == "failed" else 10**9)
    parent = start().submit(AfterShown(shown))
    wait_for(lambda: parent.partial is not None and len(parent.partial.values) >= 3)
    if how == "cancelled":
        parent.cancel()
    with pytest.raises(Cancelled if how == "cancelled" else RequestError):
        parent.result(10)
    assert len(parent.partial.values) >= 3


def test_the_device_named_by_the_environment_is_used(monkeypatch):
    from scfm_core.devices import this_device

    monkeypatch.setenv("SCFM_DEVICE", "cuda:7")
    executor = ThreadExecutor()
    assert executor.submit(lambda _: this_device(), None).result(10) == "cuda:7"
    executor.close()
