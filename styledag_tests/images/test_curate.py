import io
import random
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from styledag.errors import DataError
from styledag.images.converting.resize import to_square
from styledag.images.curate import curate_images, curation_facts
from styledag.images.embedding import PixelEmbedder
from styledag.images.looks import open_jpeg
from styledag.images.records import CuratedImage, JpegImage
from styledag.images.settings import CurationSettings
from styledag.manifest import Manifest
from styledag.store.digest import folder_digest
from styledag.store.workspace import Workspace
from styledag_tests.images.images import jpeg_image, noisy, plain, saved
from styledag_tests.images.test_embedding import face

SETTINGS = CurationSettings(embedding="pixels", family_similarity=0.93)
HANDS = [(70, 128), (190, 128), (128, 190), (80, 80), (176, 80)]


def curate(
    rows: list[JpegImage], workspace: Workspace, settings: CurationSettings = SETTINGS
) -> Manifest[CuratedImage]:
    return curate_images(Manifest(tuple(rows)), settings, workspace, embed=PixelEmbedder())


def again(workspace: Workspace, folder: Path) -> Workspace:
    folder.mkdir()
    return Workspace(folder, workspace.scratch, workspace.blobs, workspace.items)


def mixture(workspace: Workspace) -> list[JpegImage]:
    """Five clock faces, four other images, a copy at quality 60, an exact one, a blank one."""
    return [
        *(jpeg_image(face(hand), f"clock{at}", workspace) for at, hand in enumerate(HANDS)),
        *(jpeg_image(noisy(seed), f"blots{seed}", workspace) for seed in range(4)),
        jpeg_image(noisy(0), "blots0-small", workspace, raw_size=(32, 32), quality=60),
        jpeg_image(noisy(1), "blots1-large", workspace, raw_size=(900, 900)),
        jpeg_image(plain("red", (64, 64)), "plain", workspace),
    ]


def reasons(manifest: Manifest[CuratedImage]) -> dict[str, str]:
    return {each.subject.rsplit("/", 1)[-1]: each.reason for each in manifest.rejected}


def test_copies_blanks_and_families_are_found(workspace: Workspace) -> None:
    found = curate(mixture(workspace), workspace)
    assert found.facts == {"found": 12, "kept": 9, "rejected_blank": 1, "rejected_copy": 2}
    assert reasons(found) == {"plain": "blank", "blots0-small": "copy", "blots1": "copy"}
    assert Manifest.read(workspace.folder, CuratedImage) == found
    clocks = [row for row in found.rows if row.origin.title.startswith("clock")]
    assert {row.family_size for row in clocks} == {5}
    assert len({row.family for row in clocks}) == 1
    assert clocks[0].family in {row.sha256 for row in clocks}
    others = [row for row in found.rows if row not in clocks]
    assert all(row.family == row.sha256 and row.family_size == 1 for row in others)


def test_the_largest_original_is_kept_and_names_its_copies(workspace: Workspace) -> None:
    found = curate(mixture(workspace), workspace)
    copies = {row.origin.title: row.copies for row in found.rows if row.copies}
    assert copies == {
        "blots0": ("http://images.test/blots0-small",),
        "blots1-large": ("http://images.test/blots1",),
    }
    near = next(each for each in found.rejected if each.subject.endswith("blots0-small"))
    assert near.detail.startswith("copy of http://images.test/blots0: hash distance ")


@pytest.mark.parametrize("lossless", ["fine", "coarse"])
def test_of_copies_of_one_size_a_lossless_original_is_kept(
    workspace: Workspace, lossless: str
) -> None:
    rows = [
        jpeg_image(noisy(0), name, workspace, quality=quality)
        for name, quality in (("fine", 95), ("coarse", 60))
    ]
    formats = [
        replace(row, raw_format="PNG" if row.origin.title == lossless else "JPEG") for row in rows
    ]
    [kept] = curate(formats, workspace).rows
    assert kept.origin.title == lossless


def test_copies_of_a_copy_go_to_what_is_kept(workspace: Workspace) -> None:
    rows = [
        jpeg_image(noisy(0), "large", workspace, raw_size=(99, 99)),
        jpeg_image(noisy(0), "small", workspace, quality=60),
        jpeg_image(noisy(0), "small-again", workspace, quality=60),
        jpeg_image(noisy(1), "other", workspace),
    ]
    found = curate(rows, workspace)
    assert found.facts == {"found": 4, "kept": 2, "rejected_copy": 2}
    (keeper,) = (row for row in found.rows if row.copies)
    assert keeper.origin.title == "large"
    assert keeper.copies == ("http://images.test/small", "http://images.test/small-again")


def test_what_is_kept_without_a_caption_gets_that_of_its_copy(workspace: Workspace) -> None:
    """The larger file is kept, and it may be the smaller one that somebody described."""

    def captioned(row: JpegImage, caption: str) -> JpegImage:
        return replace(row, origin=replace(row.origin, caption=caption))

    small = jpeg_image(noisy(0), "small", workspace, quality=60)
    again = jpeg_image(noisy(0), "small-again", workspace, quality=60)
    own = jpeg_image(noisy(1), "own", workspace, raw_size=(99, 99))
    rows = [
        jpeg_image(noisy(0), "large", workspace, raw_size=(99, 99)),
        captioned(small, ""),
        captioned(again, 'a "tent"\non a hill'),
        captioned(own, "a fox"),
        captioned(jpeg_image(noisy(1), "owns-copy", workspace, quality=60), "another"),
        jpeg_image(noisy(2), "alone", workspace),
    ]
    found = curate(rows, workspace)
    captions = {row.origin.title: row.origin.caption for row in found.rows}
    assert captions == {"large": 'a "tent"\non a hill', "own": "a fox", "alone": ""}
    assert Manifest.read(workspace.folder, CuratedImage) == found
    used = [each.subject for each in found.rejected if each.detail.endswith("its caption is used")]
    assert used == ["http://images.test/small", "http://images.test/small-again"]


def test_one_drawing_in_two_colours_is_no_copy(workspace: Workspace) -> None:
    rows = [
        jpeg_image(face(HANDS[0], rim), rim.lstrip("#"), workspace)
        for rim in ("#99aab5", "#ff4010")
    ]
    assert curate(rows, workspace).facts == {"found": 2, "kept": 2}


def test_a_cap_keeps_the_centre_and_those_most_like_it(workspace: Workspace) -> None:
    rows = mixture(workspace)
    full = curate(rows, workspace)
    capped = curate(rows, workspace, replace(SETTINGS, family_cap=2))
    assert capped.facts["rejected_family_cap"] == 3
    assert capped.facts["found"] == 12
    assert capped.facts["kept"] == 6
    clocks = [row for row in capped.rows if row.family_size == 5]
    assert len(clocks) == 2
    assert clocks[0].family in {row.sha256 for row in clocks}
    assert {row.family for row in clocks} <= {row.family for row in full.rows}
    rest = [each for each in capped.rejected if each.reason == "family_cap"]
    (member,) = (row for row in clocks if row.sha256 != row.family)
    images = [open_jpeg(each, workspace) for each in (member.family, member.sha256)]
    centre_vector, vector = PixelEmbedder()(images)
    assert all(
        float(each.detail.rsplit(" ", 1)[-1]) <= vector @ centre_vector + 0.002 for each in rest
    )
    alone = curate(rows, workspace, replace(SETTINGS, family_cap=1))
    assert all(row.family == row.sha256 for row in alone.rows)


def test_size_and_shape_of_the_original_are_filtered_without_looking(workspace: Workspace) -> None:
    rows = [
        jpeg_image(noisy(0), "fine", workspace),
        jpeg_image(noisy(1), "small", workspace, raw_size=(400, 31)),
        jpeg_image(noisy(2), "wide", workspace, raw_size=(400, 39)),
        jpeg_image(noisy(3), "tall", workspace, raw_size=(39, 400)),
        jpeg_image(noisy(4), "just", workspace, raw_size=(320, 32)),
    ]
    found = curate(rows, workspace, replace(SETTINGS, min_side_px=32))
    assert reasons(found) == {"small": "too_small", "wide": "too_narrow", "tall": "too_narrow"}
    assert workspace.work["hashes"] == workspace.work["embeddings"] == 2


def test_blur_and_grey_are_left_out_where_asked_for(workspace: Workspace) -> None:
    clock = face(HANDS[0])
    rows = [
        jpeg_image(clock, "fine", workspace),
        jpeg_image(clock.convert("L").convert("RGB"), "grey", workspace),
        jpeg_image(noisy(2).filter(ImageFilter.GaussianBlur(4)), "blurred", workspace),
    ]
    settings = replace(SETTINGS, copy_hash_distance=0, copy_similarity=1)
    assert "rejected_blurred" not in curate(rows, workspace, settings).facts
    strict = replace(settings, min_sharpness=10, min_saturation=2)
    found = curate(rows, workspace, strict)
    assert reasons(found) == {"grey": "greyscale", "blurred": "blurred"}


@pytest.mark.parametrize(
    ("mirrored", "kept"), [(True, "rejected_copy"), (False, None), (None, None)]
)
def test_a_mirror_image_is_a_copy_where_images_are_flipped(
    workspace: Workspace, mirrored: bool | None, kept: str | None
) -> None:
    image = noisy(0)
    rows = [
        jpeg_image(image, "large", workspace, raw_size=(99, 99)),
        jpeg_image(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirror", workspace),
        jpeg_image(noisy(1), "other", workspace),
    ]
    found = curate(rows, workspace, replace(SETTINGS, mirrored_copies=mirrored))
    if kept is None:
        assert found.facts == {"found": 3, "kept": 3}
        return
    assert reasons(found) == {"mirror": "copy"}
    assert found.rejected[0].detail.startswith("mirror image of http://images.test/large")
    (keeper,) = (row for row in found.rows if row.copies)
    assert keeper.copies == ("http://images.test/mirror",)


def test_recipes_that_flip_make_mirror_images_copies() -> None:
    assert CurationSettings().with_flips(flips=True).mirrored_copies is True
    assert CurationSettings().with_flips(flips=False).mirrored_copies is False
    stated = CurationSettings(mirrored_copies=False)
    assert stated.with_flips(flips=True) is stated


def test_a_thumbnail_and_a_poor_jpeg_are_copies_and_a_cut_or_framed_image_is_none(
    workspace: Workspace,
) -> None:
    drawing = Image.new("RGB", (512, 512), "#fff4d6")
    pen = ImageDraw.Draw(drawing)
    pen.ellipse((60, 90, 300, 330), fill="#d03020", outline="black", width=6)
    pen.rectangle((250, 260, 450, 470), fill="#2050c0", outline="black", width=6)
    pen.line((20, 480, 490, 60), fill="#108040", width=14)
    thumbnail = drawing.resize((120, 120), Image.Resampling.LANCZOS)
    poor = Image.open(io.BytesIO(saved(drawing, "JPEG", quality=30)))
    variants = {
        "whole": drawing,
        "thumbnail": thumbnail,
        "poor": poor,
        "cut": drawing.crop((15, 15, 497, 497)),
        "framed": ImageOps.expand(drawing, 20, "black"),
    }
    rows = [
        jpeg_image(
            to_square(image, size_px=64, mode="pad", upscale=True, background="#ffffff"),
            name,
            workspace,
            raw_size=image.size,
        )
        for name, image in variants.items()
    ]
    found = curate(rows, workspace)
    assert reasons(found) == {"thumbnail": "copy", "poor": "copy"}
    assert [row.origin.title for row in found.rows if row.copies] == ["whole"]


def test_two_clock_faces_are_no_copies(workspace: Workspace) -> None:
    """Half past twelve and half past six: one hand lies the other way round, all else is equal."""
    rows = [
        jpeg_image(face((128, y)), name, workspace) for name, y in (("half12", 90), ("half6", 166))
    ]
    loose = replace(SETTINGS, copy_hash_distance=16, copy_similarity=0.5)
    assert curate(rows, workspace, loose).facts == {"found": 2, "kept": 2}


def test_a_person_keeps_and_drops(workspace: Workspace) -> None:
    rows = mixture(workspace)
    names = ("plain", "blots0-small", "http://images.test/clock4", "nobody")
    settings = replace(SETTINGS, keep=names, drop=("clock0", rows[7].sha256), family_cap=1)
    found = curate(rows, workspace, settings)
    titles = {row.origin.title for row in found.rows}
    assert {"plain", "blots0-small", "clock4"} <= titles
    assert "blots0" not in titles
    assert {reasons(found)[name] for name in ("clock0", "blots2")} == {"dropped_by_hand"}
    assert found.facts["found"] == len(rows)
    facts = curation_facts(found, Manifest(tuple(rows)), settings)
    assert (facts["names_unmatched"], facts["names_unmatched_first"]) == (1, ["nobody"])
    assert curation_facts(found, Manifest(tuple(rows)), replace(settings, keep=())) == found.facts


def test_a_name_in_both_lists_is_refused() -> None:
    with pytest.raises(ValueError, match=r"keep and drop both name 'a.png'"):
        CurationSettings(keep=("a.png",), drop=("b.png", "a.png"))


def test_the_order_of_the_rows_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    rows = mixture(workspace)
    settings = replace(SETTINGS, family_cap=3)
    first = curate(rows, workspace, settings)
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        other = again(workspace, tmp_path / f"run{seed}")
        shuffled = Manifest(())
        object.__setattr__(shuffled, "rows", tuple(rows))
        assert curate_images(shuffled, settings, other, embed=PixelEmbedder()) == first
        assert folder_digest(other.folder) == folder_digest(workspace.folder)


def test_a_second_run_works_on_nothing_and_an_added_image_on_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    rows = mixture(workspace)
    first = curate(rows, workspace)
    second = again(workspace, tmp_path / "second")
    assert curate(rows, second) == first
    assert not second.work
    third = again(workspace, tmp_path / "third")
    curate([*rows, jpeg_image(noisy(77), "new", workspace)], third)
    assert third.work == {"hashes": 1, "embeddings": 1, "thumbnails": 1}


def test_what_jpeg_images_rejected_is_not_counted_again(workspace: Workspace) -> None:
    found = curate(mixture(workspace), workspace)
    assert {row.sha256 for row in found.rows} <= {row.sha256 for row in mixture(workspace)}
    assert found.facts["found"] == len(mixture(workspace))


def test_nothing_kept_is_said_with_its_reasons(workspace: Workspace) -> None:
    rows = [jpeg_image(plain("red"), "a", workspace), jpeg_image(plain("blue"), "b", workspace)]
    with pytest.raises(DataError, match=r"none of 2 images .2 blank.*curation"):
        curate(rows, workspace)
    with pytest.raises(DataError, match="no images to curate"):
        curate([], workspace)


def test_every_kept_blob_is_a_image(workspace: Workspace) -> None:
    for row in curate(mixture(workspace), workspace).rows:
        content = workspace.blobs.read(row.sha256)
        assert Image.open(io.BytesIO(content)).size == (64, 64)
        assert content != saved(noisy(0), "JPEG", quality=60, subsampling=0)
