import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from styledag.bases.texts.clip import ClipTokens
from styledag.captions.blip import BlipCaptioner
from styledag.captions.facts import caption_facts
from styledag.captions.records import CaptionedImage
from styledag.captions.settings import CaptionSettings
from styledag.collect.records import Origin
from styledag.errors import StorageError
from styledag.manifest import Manifest
from styledag.models.compute import Compute
from styledag.store.workspace import Workspace
from styledag_tests.captions.images import COLOURS, curated, curated_manifest, jpeg
from styledag_tests.captions.narrator import SETTINGS, Narrator

TITLES_FIRST = replace(SETTINGS, sources=("override", "title", "captioner"))


def test_real_captioner_captions_every_image_once(
    workspace: Workspace, caption, starter: Path
) -> None:
    manifest = curated_manifest(workspace, *COLOURS)
    blip = BlipCaptioner(starter / "blip", "v1", Compute(torch.device("cpu"), torch.float32))
    settings = replace(SETTINGS, num_beams=2, max_new_tokens=4)
    first = caption(manifest, settings, blip)
    assert first.facts == {"found": 8, "kept": 8}
    assert {row.image for row in first.rows} == set(manifest.rows)
    assert {row.source for row in first.rows} == {"captioner"}
    assert workspace.work == {"captions": 8}
    unloaded = BlipCaptioner(starter / "nowhere", "v1", blip.compute)
    assert caption(manifest, settings, unloaded) == first
    assert not workspace.work


def test_one_more_image_is_one_more_question(workspace: Workspace, caption) -> None:
    caption(curated_manifest(workspace, "red", "green"))
    narrator = Narrator()
    caption(curated_manifest(workspace, "red", "green", "blue"), captioner=narrator)
    assert narrator.batches == [1]


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"template": "{caption}, again"}, []),
        ({"variants": ("{caption}, again",)}, []),
        ({"batch_size": 1}, []),
        ({"sources": ("title", "captioner")}, []),
        ({"num_beams": 1}, [2]),
        ({"max_new_tokens": 5}, [2]),
        ({"prefix": "a drawing of"}, [2]),
    ],
)
def test_only_what_decides_a_raw_caption_asks_again(
    workspace: Workspace, caption, change, asked: list[int]
) -> None:
    manifest = curated_manifest(workspace, "red", "green")
    caption(manifest)
    narrator = Narrator()
    caption(manifest, replace(SETTINGS, **change), captioner=narrator)
    assert narrator.batches == asked


def test_another_captioner_is_asked_again(workspace: Workspace, caption) -> None:
    manifest = curated_manifest(workspace, "red")
    caption(manifest)
    assert caption(manifest, captioner=Narrator("a dog", "v2")).rows[0].caption == "a dog"


def test_batches_are_of_images_of_one_size_where_that_can_be(workspace: Workspace, caption) -> None:
    class Measuring(Narrator):
        def __call__(self, images, settings: CaptionSettings) -> list[str]:
            sizes.append([image.size for image in images])
            return super().__call__(images, settings)

    sizes: list[list[tuple[int, int]]] = []
    rows = []
    for at, colour in enumerate(COLOURS):
        size_px = (96, 64)[at % 2]
        sha256 = workspace.blobs.put(jpeg(colour, size_px))
        rows.append(curated(workspace, colour, sha256=sha256, width_px=size_px, height_px=size_px))
    manifest = caption(Manifest(tuple(rows)), replace(SETTINGS, batch_size=4), Measuring())
    assert sizes == [[(64, 64)] * 4, [(96, 96)] * 4]
    assert {row.image for row in manifest.rows} == set(rows)


def test_interrupted_run_keeps_finished_batches(workspace: Workspace, caption) -> None:
    manifest = curated_manifest(workspace, *COLOURS)
    with pytest.raises(KeyboardInterrupt):
        caption(manifest, captioner=Narrator(dies_at=2))
    rest = Narrator()
    again = caption(manifest, captioner=rest)
    assert rest.batches == [2]
    assert again.facts["kept"] == 8


def test_raw_caption_rules_and_template_are_kept_apart(workspace: Workspace, caption) -> None:
    narrator = Narrator("there is a hat on top of a hat")
    settings = replace(SETTINGS, template="{caption}, in red")
    row = caption(curated_manifest(workspace, "red"), settings, narrator).rows[0]
    assert row.raw_caption == "there is a hat on top of a hat"
    assert row.caption == "a hat, in red"
    assert row.rule_hits == ("opening", "loop")
    assert row.rules_version


def test_variants_say_the_same_caption_in_further_templates(
    workspace: Workspace, caption, tokens: ClipTokens
) -> None:
    settings = replace(
        SETTINGS, template="{caption}", variants=("{caption}, flat", "art: {caption}")
    )
    manifest = caption(
        curated_manifest(workspace, "red", "blue"), settings, Narrator("it is a hat")
    )
    for row in manifest.rows:
        assert row.caption == "a hat"
        assert row.variants == ("a hat, flat", "art: a hat")
    assert caption_facts(manifest, tokens)["variants"] == 2
    assert Manifest.read(workspace.folder, CaptionedImage) == manifest


def test_a_variant_comes_as_often_as_its_weight_says(
    workspace: Workspace, caption, tokens: ClipTokens
) -> None:
    settings = replace(SETTINGS, variants=("{caption}, flat", "art: {caption}"), weights=(2, 1, 3))
    manifest = caption(curated_manifest(workspace, "red"), settings, Narrator("it is a hat"))
    row = manifest.rows[0]
    assert row.caption == "a hat"
    assert Counter((row.caption, *row.variants)) == {
        "a hat": 2,
        "a hat, flat": 1,
        "art: a hat": 3,
    }
    assert caption_facts(manifest, tokens)["variants"] == 2


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3, 4), (1, 0, 2), (1, 2, 101)])
def test_weights_that_fit_no_templates_are_refused(weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"weights is .*from 1 to 100"):
        replace(SETTINGS, variants=("{caption}, flat", "art: {caption}"), weights=weights)


def test_variants_are_cut_to_fit_each_by_itself(
    workspace: Workspace, caption, tokens: ClipTokens
) -> None:
    words = ["cat0"]
    while tokens.count(" ".join([*words, f"cat{len(words)}"])) <= 77:
        words.append(f"cat{len(words)}")
    settings = replace(SETTINGS, variants=("{caption} and a great many other things besides",))
    row = caption(curated_manifest(workspace, "red"), settings, Narrator(" ".join(words))).rows[0]
    assert row.caption == " ".join(words)
    assert tokens.count(row.variants[0]) <= 77
    assert row.variants[0].endswith("things besides")
    assert "cut" in row.rule_hits


@pytest.mark.parametrize("variants", [("no mark",), ("{caption}",), ("x {caption}", "x {caption}")])
def test_variants_that_say_nothing_new_are_refused(variants: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"lacks \{caption\}|hold a template twice"):
        replace(SETTINGS, variants=variants)


def test_long_caption_is_cut_and_counted(workspace: Workspace, caption, tokens: ClipTokens) -> None:
    narrator = Narrator(" ".join(f"cat{number}" for number in range(500)))
    manifest = caption(curated_manifest(workspace, "red"), captioner=narrator)
    assert tokens.count(manifest.rows[0].caption) <= 77
    assert "cut" in manifest.rows[0].rule_hits
    assert caption_facts(manifest, tokens)["cut_to_fit"] == 1


def test_empty_caption_falls_back_to_the_title_or_is_rejected(
    workspace: Workspace, caption
) -> None:
    titled, bare = curated(workspace, "red", title="Red Square"), curated(workspace, "blue")
    manifest = caption(Manifest((titled, bare)), captioner=Narrator("there is"))
    assert [(row.caption, row.source) for row in manifest.rows] == [("Red Square", "title")]
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        (bare.sha256, "empty_caption")
    ]
    assert manifest.facts == {"found": 2, "kept": 1, "rejected_empty_caption": 1}


def test_page_titles_are_text_and_missing_ones_are_asked_for(workspace: Workspace, caption) -> None:
    hostile = "<script>alert(1)</script>\x00 {caption}\u202e\n| cell"
    titled, bare = curated(workspace, "red", title=hostile), curated(workspace, "blue")
    narrator = Narrator()
    manifest = caption(
        Manifest((titled, bare)),
        TITLES_FIRST,
        narrator,
    )
    said = {row.image.sha256: row for row in manifest.rows}
    assert said[titled.sha256].caption == "<script>alert(1)</script> {caption} | cell"
    assert said[titled.sha256].raw_caption == hostile
    assert (said[bare.sha256].caption, said[bare.sha256].source) == ("a cat", "captioner")
    assert narrator.batches == [1]


def test_person_wins_and_the_captioner_is_not_asked(
    workspace: Workspace, caption, tmp_path: Path, tokens: ClipTokens
) -> None:
    by_url, by_hash = curated(workspace, "red", title="Red"), curated(workspace, "blue")
    path = tmp_path / "captions.csv"
    path.write_text(
        f"image,caption\n{by_url.origin.url},there is a hat hat\n{by_hash.sha256},the sea\n"
        "https://gone.example/1.png,gone\n"
    )
    narrator = Narrator()
    manifest = caption(
        Manifest((by_url, by_hash, curated(workspace, "green"))),
        replace(SETTINGS, sources=("override", "title", "captioner"), template="{caption}!"),
        narrator,
        overrides=path,
    )
    said = {row.image.sha256: row for row in manifest.rows}
    assert said[by_url.sha256].caption == "there is a hat hat!"
    assert said[by_hash.sha256].source == "override"
    assert narrator.batches == [1]
    facts = caption_facts(manifest, tokens, overrides=path)
    assert (facts["source_override"], facts["source_captioner"]) == (2, 1)
    assert facts["source_title"] == facts["source_alt"] == 0
    assert facts["overrides_unmatched"] == 1
    assert list(facts["overrides_unmatched_first"]) == ["https://gone.example/1.png"]


EVERYTHING = Origin(
    url="https://a.example/File:Red_fox.png",
    title="File:Red_fox.png",
    alt="red_fox.jpg",
    caption="the fox\nat dawn",
    description="Seen in a wood",
    author="A. Painter {caption}",
)


@pytest.mark.parametrize(
    ("sources", "expected", "hits"),
    [
        (("title",), "Red fox", ("file_name",)),
        (("alt", "title"), "red fox", ("file_name",)),
        (("caption", "alt"), "the fox at dawn", ("lines_join", "whitespace")),
        (("description",), "Seen in a wood", ()),
        (("override", "description"), "Seen in a wood", ()),
    ],
)
def test_words_come_from_the_first_source_that_has_any(
    workspace: Workspace, caption, sources, expected: str, hits: tuple[str, ...]
) -> None:
    settings = CaptionSettings(sources=sources)
    image = curated(workspace, "red", origin=EVERYTHING)
    (row,) = caption(Manifest((image,)), settings).rows
    first = sources[0] if sources[0] != "override" else "description"
    assert (row.caption, row.source, row.rule_hits) == (expected, first, hits)
    assert row.raw_caption == getattr(EVERYTHING, first)
    assert row.cleaned_caption == expected
    assert row.captioner == ""
    assert workspace.work == {}


def test_without_words_and_captioner_an_image_is_counted(workspace: Workspace, caption) -> None:
    images = (curated(workspace, "red", origin=EVERYTHING), curated(workspace, "blue"))
    manifest = caption(Manifest(images), CaptionSettings(sources=("alt", "caption")))
    assert manifest.facts == {"found": 2, "kept": 1, "rejected_empty_caption": 1}
    assert "alt, caption" in manifest.rejected[0].detail


def test_what_made_a_caption_is_in_its_row(workspace: Workspace, caption) -> None:
    row = caption(curated_manifest(workspace, "red"), replace(SETTINGS, template="a {caption}"))
    version, decoding = json.loads(row.rows[0].captioner)
    assert (version, decoding["num_beams"]) == ("v1", 3)
    assert row.rows[0].template == "a {caption}"


def test_fields_of_a_template_are_text_and_never_templates(workspace: Workspace, caption) -> None:
    settings = CaptionSettings(
        sources=("caption",), template="a {caption}[ by {author}][ under {licence}][, {alt} ]!"
    )
    image = curated(workspace, "red", origin=replace(EVERYTHING, licence="", alt=""))
    (row,) = caption(Manifest((image,)), settings).rows
    assert row.caption == "the fox at dawn by A. Painter {caption}!"


@pytest.mark.parametrize("sources", [("captioner",), ("title", "title")])
def test_sources_that_cannot_be_meant_are_refused(sources: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"there is none|twice"):
        CaptionSettings(sources=sources)


ODD = {
    "control": ("a\x00 red\x1b fox\x07", "a red fox"),
    "new_emoji": ('a face \U0001fae9, "tired"', 'a face \U0001fae9, "tired"'),
    "unassigned": ("a \U0001fadf splash \u0c5c", "a \U0001fadf splash \u0c5c"),
    "rtl": ("\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",) * 2,
    "persian": ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",) * 2,
    "flag": ("the flag \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",)
    * 2,
    "smuggled": ("a fox\U000e0067\U000e0062", "a fox"),
    "override": ("\u202exof der a", "xof der a"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_characters_are_kept_or_counted(
    workspace: Workspace, caption, tokens: ClipTokens, name: str
) -> None:
    raw, expected = ODD[name]
    image = curated(workspace, "red", origin=Origin(url="x", caption=raw))
    manifest = caption(Manifest((image,)), CaptionSettings(sources=("caption",)))
    (row,) = Manifest.read(workspace.folder, CaptionedImage).rows
    assert (row.raw_caption, row.caption) == (raw, expected)
    assert bool(row.rule_hits) == (raw != expected)
    facts = caption_facts(manifest, tokens)
    assert facts.get("rule_control", 0) == int(raw != expected)


def test_half_a_character_of_an_answer_is_left_out_and_counted(
    workspace: Workspace, caption
) -> None:
    """JSON may state it, where a server has cut an answer inside an emoji; no file can hold it."""
    captioned = caption(curated_manifest(workspace, "red"), captioner=Narrator("a fox \ud83d"))
    (row,) = captioned.rows
    assert (row.raw_caption, row.cleaned_caption) == ("a fox ", "a fox")
    assert "half_character" in row.rule_hits


def test_ten_thousand_words_are_cut_and_the_cut_is_counted(
    workspace: Workspace, caption, tokens: ClipTokens
) -> None:
    words = " ".join(f"word{number}" for number in range(10_000))
    origin = Origin(url="x", caption="a fox", description=words)
    manifest = caption(
        Manifest(
            (
                curated(workspace, "red", origin=replace(origin, url="y", caption=words)),
                curated(workspace, "blue", origin=origin),
            )
        ),
        CaptionSettings(sources=("caption",), template="{caption}[, {description}]"),
    )
    by_raw = {row.raw_caption: row for row in manifest.rows}
    assert tokens.count(by_raw[words].caption) <= 77
    assert by_raw[words].raw_caption == by_raw[words].cleaned_caption == words
    assert by_raw["a fox"].caption.startswith("a fox")
    facts = caption_facts(manifest, tokens)
    assert facts["cut_to_fit"] == 2
    assert facts["most_tokens_before_cut"] == tokens.count(words)


def test_facts_show_a_collapsed_captioner(
    workspace: Workspace, caption, tokens: ClipTokens
) -> None:
    titled = curated(workspace, "white", title="one two three")
    rows = (*curated_manifest(workspace, "red", "green", "blue").rows, titled)
    facts = caption_facts(
        caption(Manifest(rows), TITLES_FIRST),
        tokens,
    )
    assert (facts["commonest_caption"], facts["commonest_caption_share"]) == ("a cat", 0.75)
    assert facts["distinct_captions"] == 2
    assert (facts["mean_tokens"], facts["most_tokens"]) == (4.25, 5)


def test_manifest_lies_in_the_workspace(workspace: Workspace, caption) -> None:
    origin = Origin(url="https://a.example/x", title="שלום 👨\u200d👩\u200d👧")
    images = (curated(workspace, "red", origin=origin), curated(workspace, "blue"))
    manifest = caption(Manifest(images), captioner=Narrator("there is"))
    assert manifest.facts == {"found": 2, "kept": 1, "rejected_empty_caption": 1}
    assert Manifest.read(workspace.folder, CaptionedImage) == manifest


def test_no_images_is_no_captions(workspace: Workspace, caption, tokens: ClipTokens) -> None:
    empty = caption(Manifest(()))
    assert caption_facts(empty, tokens)["found"] == 0
    assert not workspace.work


def test_damaged_blob_is_named(workspace: Workspace, caption) -> None:
    damaged = workspace.blobs.put(b"not an image")
    image = curated(workspace, "red", sha256=damaged)
    with pytest.raises(StorageError, match=damaged):
        caption(Manifest((image,)))
