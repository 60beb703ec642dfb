"""Captions of several lines: trainers differ in what these mean, so the style file says it."""

from dataclasses import replace

import pytest

from styledag.captions.facts import caption_facts
from styledag.captions.settings import CaptionSettings
from styledag.collect.records import Origin
from styledag.manifest import Manifest
from styledag_tests.captions.images import curated

LINES = "A frog.\r\naf.utf8='n Padda.\r\n\r\nfr.utf8=Une  grenouille.\n"
JOINED = "A frog. af.utf8='n Padda. fr.utf8=Une grenouille."


def written(workspace, caption, **settings):
    origin = Origin(url="frog.png", caption=LINES)
    manifest = caption(
        Manifest((curated(workspace, "red", origin=origin),)),
        CaptionSettings(sources=("caption",), **settings),
    )
    (row,) = manifest.rows
    return row


def test_lines_are_joined_and_counted_unless_the_style_says_otherwise(workspace, caption) -> None:
    row = written(workspace, caption)
    assert (row.raw_caption, row.caption, row.variants) == (LINES, JOINED, ())
    assert row.rule_hits == ("lines_join", "whitespace")


def test_the_first_line_alone_is_taken_and_the_others_counted(workspace, caption, tokens) -> None:
    row = written(workspace, caption, lines="first")
    assert (row.caption, row.cleaned_caption, row.variants) == ("A frog.", "A frog.", ())
    assert caption_facts(Manifest((row,)), tokens)["rule_lines_first"] == 1


def test_each_line_becomes_a_caption_in_each_template(workspace, caption) -> None:
    row = written(
        workspace, caption, lines="each", template="{caption}", variants=("sks, {caption}",),
        weights=(2, 1),
    )  # fmt: skip
    lines = ["A frog.", "af.utf8='n Padda.", "fr.utf8=Une grenouille."]
    in_all = [line for line in lines for _ in range(2)] + [f"sks, {line}" for line in lines]
    assert sorted([row.caption, *row.variants]) == sorted(in_all)
    assert row.caption == "A frog."
    assert row.cleaned_caption.split("\n") == lines


@pytest.mark.parametrize("lines", ["join", "first", "each"])
def test_one_line_among_blank_ones_is_one_caption(workspace, caption, lines: str) -> None:
    origin = Origin(url="frog.png", caption="\n \u200b\n a frog \r\n\r\n")
    image = curated(workspace, "red", origin=origin)
    settings = CaptionSettings(sources=("caption",), lines=lines)
    (row,) = caption(Manifest((image,)), settings).rows
    assert (row.caption, row.variants) == ("a frog", ())
    assert not any(hit.startswith("lines") for hit in row.rule_hits)


def test_lines_of_a_description_are_one_text(workspace, caption) -> None:
    image = curated(workspace, "red", origin=Origin(url="a.png", description="a frog\nin a pond"))
    settings = CaptionSettings(sources=("description",), lines="each")
    (row,) = caption(Manifest((image,)), settings).rows
    assert row.caption == "a frog in a pond"
    assert replace(row, variants=()) == row
