from dataclasses import replace
from pathlib import Path

import pytest

from styledag.bases.texts.clip import ClipTokens
from styledag.captions.agreement import (
    Agreement,
    agrees,
    compare,
    read_agreement,
    write_agreement,
)
from styledag.captions.facts import caption_facts
from styledag.captions.settings import CaptionSettings
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.captions.images import curated
from styledag_tests.captions.narrator import SETTINGS


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a fox", "Fox Face", True),
        ("the red apple", "Red Apple", True),
        ("an owl, asleep", "owl", True),
        ("a dog", "Fox Face", False),
        ("a red pear", "Red Apple", False),
        ("a", "the", False),
        ("", "", False),
        ("שועל", "שועל", True),
    ],
)
def test_one_has_all_words_of_the_other(one: str, other: str, expected: bool) -> None:
    assert agrees(one, other) is agrees(other, one) is expected


def test_a_comparison_is_written_and_read(tmp_path: Path) -> None:
    found = compare([("a fox", "Fox"), ("a dog", "Fox")])
    assert found == Agreement(compared=2, agree=1)
    assert read_agreement(tmp_path) is None
    write_agreement(found, tmp_path)
    assert read_agreement(tmp_path) == found


def test_a_comparison_asks_about_every_image_and_changes_no_caption(
    workspace: Workspace, caption, tokens: ClipTokens
) -> None:
    images = Manifest(
        (
            curated(workspace, "red", title="Cat Face"),
            curated(workspace, "blue", title="Fox Face"),
            curated(workspace, "white"),
        )
    )
    titles = replace(SETTINGS, sources=("title", "captioner"))
    alone = caption(images, titles)
    assert workspace.work == {"captions": 1}
    assert read_agreement(workspace.folder) is None

    compared = caption(images, replace(titles, compare=True))

    assert compared == alone
    assert workspace.work == {"captions": 2}
    agreement = read_agreement(workspace.folder)
    assert agreement == Agreement(compared=2, agree=1)
    facts = caption_facts(compared, tokens, agreement=agreement)
    assert (facts["compared"], facts["agree"]) == (2, 1)
    assert (facts["source_title"], facts["source_captioner"]) == (2, 1)


def test_a_comparison_needs_a_captioner() -> None:
    with pytest.raises(ValueError, match="compare asks the captioner"):
        CaptionSettings(sources=("title",), compare=True)
