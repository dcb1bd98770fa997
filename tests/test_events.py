"""A run yields events, ends in a result, and can be cancelled from anywhere with what is done kept."""

import pytest

from earmark.errors import Cancelled
from earmark.events import Notice, Progress, Record, use_case


@use_case
def counting(total, log):
    try:
        yield Notice("It begins.")
        for done in range(1, total + 1):
            yield Progress(done, total)
            yield Record(done)
        return "the end"
    finally:
        log.append("closed")


def test_events_then_the_result():
    log: list = []
    run = counting(2, log)
    with pytest.raises(RuntimeError):
        _ = run.result
    assert [type(event).__name__ for event in run] == ["Notice", "Progress", "Record", "Progress", "Record"]
    assert run.result == "the end" and log == ["closed"]
    assert counting(3, log).wait() == "the end"


def test_a_cancelled_run_closes_its_work():
    log: list = []
    run = counting(100, log)
    seen = 0
    with pytest.raises(Cancelled):
        for _ in run:
            seen += 1
            if seen == 5:
                run.cancel()
    assert seen == 5 and log == ["closed"]
