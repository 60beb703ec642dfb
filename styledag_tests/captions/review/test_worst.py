from dataclasses import replace

from styledag.captions.review.worst import worst_first
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image


def test_those_that_agree_least_come_first_and_a_persons_last(workspace: Workspace) -> None:
    rows = [captioned_image(workspace, number) for number in range(4)]
    rows[0] = replace(rows[0], source="override")
    rows[1] = replace(rows[1], caption=rows[3].caption)
    similarities = dict(zip((row.key for row in rows), (-0.5, 0.3, 0.1, 0.2), strict=True))

    reviewed = worst_first(rows, similarities)

    assert [each.row for each in reviewed] == [rows[2], rows[3], rows[1], rows[0]]
    assert [each.repeats for each in reviewed] == [1, 2, 2, 1]
