import logging

import pytest

from styledag.defs import resources
from styledag.defs.resources import LogProgress


def test_time_left_is_predicted_by_what_was_done_in_this_run_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((0.0, 20.0, 40.0, 40.0))
    monkeypatch.setattr(resources.time, "monotonic", lambda: next(seconds))
    progress = LogProgress(logging.getLogger("run"))
    with (
        caplog.at_level("INFO", "run"),
        progress.task("training", 1000, done=600) as advance,
    ):
        advance(10, loss=0.5)
        advance(10)
    assert caplog.messages == [
        "training: 610 of 1000, 0:13:00 left, loss 0.5",
        "training: 620 of 1000, 0:12:40 left",
        "training: 20 in 40.0 s",
    ]
