"""The collector of cycles rests for a block, and no longer."""

import gc

import pytest

from styledag.collector import many_objects


def test_collector_rests_inside_and_runs_again_after_an_error() -> None:
    @many_objects()
    def fails() -> None:
        assert not gc.isenabled()
        with many_objects():
            pass
        assert not gc.isenabled()
        raise ValueError("wrong")

    assert gc.isenabled()
    with pytest.raises(ValueError, match="wrong"):
        fails()
    assert gc.isenabled()
