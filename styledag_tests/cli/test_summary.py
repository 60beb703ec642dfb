"""The line that a run ends with tells work, what was made without any, and nothing, apart."""

from collections.abc import Mapping
from typing import cast

from styledag.cli.run import summary
from styledag.store.artifact import Artifact
from styledag.store.store import Built


def outcome(work: Mapping[str, int], *, cached: bool) -> Built:
    return Built(artifact=cast(Artifact, None), cached=cached, work=work)


def test_work_is_counted_by_kind() -> None:
    done = [outcome({"samples": 3}, cached=False), outcome({"samples": 2, "pages": 1}, cached=True)]
    assert summary(done, 7.4) == "done in 7 s: 1 pages, 5 samples"


def test_what_was_made_of_remembered_items_is_no_nothing() -> None:
    done = [outcome({}, cached=True), outcome({}, cached=False)]
    assert summary(done, 7.4) == "done in 7 s: 1 made anew"


def test_where_all_was_there_nothing_changed() -> None:
    assert summary([outcome({}, cached=True)], 7.4).startswith("nothing changed: ")


def test_questions_to_an_api_and_pages_read_anew_are_no_change() -> None:
    done = [outcome({"questions": 4}, cached=True)]
    nothing = "nothing changed: all was looked at in 7 s, nothing redone"
    assert summary(done, 7.4) == f"{nothing}, 4 questions asked"
    done = [outcome({"questions": 4, "pages": 2}, cached=True)]
    assert summary(done, 7.4) == f"{nothing}, 2 pages read, 4 questions asked"
