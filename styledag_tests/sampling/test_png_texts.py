"""Texts of a PNG are found whatever other programs have put beside them."""

import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from styledag.errors import StyledagError
from styledag.sampling.png_texts import texts_of
from styledag.sampling.provenance import read_provenance, with_provenance


def png(**texts: tuple[str, bool]) -> bytes:
    """A PNG with texts by keyword, each with whether it is compressed."""
    info = PngInfo()
    for keyword, (text, is_compressed) in texts.items():
        info.add_text(keyword.replace("_", "."), text, zip=is_compressed)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("is_compressed", [False, True])
def test_each_kind_of_text_is_read_as_pillow_writes_it(is_compressed: bool) -> None:
    content = png(a_latin=("größe", is_compressed), a_any=("🦊 fox", is_compressed), b=("c", False))
    assert dict(texts_of(content, "a.")) == {"a.latin": "größe", "a.any": "🦊 fox"}


def test_texts_of_others_are_not_read_however_large_they_are() -> None:
    """Pillow opens no PNG with more than a mebibyte of compressed text, as of a large workflow."""
    workflow = png(workflow=("x" * 3_000_000, True), a_mine=("mine", False))
    with pytest.raises(ValueError, match="MAX_TEXT_CHUNK"), Image.open(io.BytesIO(workflow)) as own:
        own.load()
    assert dict(texts_of(workflow, "a.")) == {"a.mine": "mine"}
    assert dict(texts_of(workflow, "workflow")) == {}


def test_a_file_that_is_cut_off_or_goes_on_is_read_up_to_its_end() -> None:
    """Some services put bytes of their own behind a PNG."""
    content = with_provenance(png(), {"prompt": "a fox"})
    assert read_provenance(content + b"\0" * 5 + content) == {"prompt": "a fox"}
    assert read_provenance(content[:-40]) == {"prompt": "a fox"}
    assert read_provenance(content[:12]) == {}


def test_another_file_is_refused() -> None:
    with pytest.raises(StyledagError, match="no PNG"):
        read_provenance(b"\xff\xd8\xff")
