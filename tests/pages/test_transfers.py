"""Weights on their way: in the background, once per model, with words for what went wrong."""

import threading
import time

import pytest

from pages._transfers import Transfer, Transfers, transfer_line
from scfm_core.errors import Cancelled, ModelError
from scfm_core.registry import find_model


@pytest.fixture
def transfer() -> Transfer:
    return Transfer(find_model("scfm-mini"), "Downloading", stoppable=True, total_bytes=2_000_000)


def finish(transfers: Transfers) -> None:
    until = time.monotonic() + 10
    while transfers.running():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_second_transfer_of_a_model_joins_the_first(transfer):
    transfers, go_on = Transfers(), threading.Event()
    transfers.start(transfer, lambda _: go_on.wait(10))
    transfers.start(Transfer(transfer.spec, "Downloading", stoppable=True), lambda _: go_on.wait(10))
    assert transfers.running() == [transfer]
    go_on.set()
    finish(transfers)
    assert (transfer.error, transfer.stopped) == ("", False)
    assert transfers.of(transfer.spec) is transfer
    assert transfers.lately_done() == [transfer]


def test_a_stop_is_heard_and_is_no_error(transfer):
    def work(told: Transfer) -> None:
        while not told.asked_to_stop():
            time.sleep(0.01)
        msg = "stopped"
        raise Cancelled(msg, "cancelled")

    transfers = Transfers()
    transfers.start(transfer, work)
    transfer.stop()
    finish(transfers)
    assert transfer.stopped
    assert not transfer.error
    assert not transfer.stopping


def test_errors_speak_and_faults_have_a_number(transfer, caplog):
    def refuse(_: Transfer) -> None:
        msg = "Expected weights, found none."
        raise ModelError(msg, "no-weights")

    transfer.run(refuse)
    assert transfer.finished
    assert transfer.error == "Expected weights, found none."
    other = Transfer(transfer.spec, "Downloading", stoppable=True)
    other.run(lambda _: {}["secret"])
    assert other.id in other.error
    assert "secret" not in other.error
    assert other.id in caplog.text


def test_progress_in_words(transfer):
    assert transfer_line(transfer) == "Downloading scfm\\-mini: 0 kB of 2 MB"
    transfer.told(500_000, 2_000_000)  # from an earlier try: says nothing about speed
    transfer.started -= 9.5
    assert transfer_line(transfer) == "Downloading scfm\\-mini: 500 kB of 2 MB"
    transfer.told(1_000_000, 2_000_000)
    assert transfer.share == 0.5
    assert transfer_line(transfer) == "Downloading scfm\\-mini: 1 MB of 2 MB, about 20 s left"
    transfer.told(2_000_000, 2_000_000)
    assert transfer_line(transfer).endswith("checking and converting")
