import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from styledag.errors import StyledagError
from styledag.sampling.marking import mark_png, marked_png
from styledag.sampling.provenance import png_with_provenance, read_provenance

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def generated() -> tuple[Image.Image, bytes]:
    image = Image.linear_gradient("L").convert("RGB")
    return image, png_with_provenance(image, {"prompt": "ein Bär", "seed": "3"})


def test_pillow_reads_the_digital_source_type() -> None:
    _, png = generated()

    with Image.open(io.BytesIO(mark_png(png))) as image:
        xmp = image.info["xmp"]

    description = ElementTree.fromstring(xmp).find(f".//{RDF}Description")
    assert description is not None
    assert description.attrib[SOURCE_TYPE] == TRAINED


def test_pixels_and_provenance_stay() -> None:
    image, png = generated()

    marked = mark_png(png)

    with Image.open(io.BytesIO(marked)) as read:
        read.verify()  # the checksum of every chunk
    with Image.open(io.BytesIO(marked)) as read:
        assert read.tobytes() == image.tobytes()
    assert read_provenance(marked) == {"prompt": "ein Bär", "seed": "3"}


def test_a_sheet_of_images_is_marked() -> None:
    image, _ = generated()

    with Image.open(io.BytesIO(marked_png(image))) as read:
        assert read.tobytes() == image.tobytes()
        assert TRAINED in str(read.info["xmp"])


def test_marking_twice_changes_nothing() -> None:
    _, png = generated()

    assert mark_png(mark_png(png)) == mark_png(png) != png


def test_foreign_xmp_is_replaced() -> None:
    image, _ = generated()
    buffer = io.BytesIO()
    image.save(buffer, "PNG", xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a camera</x:xmpmeta>")

    marked = mark_png(buffer.getvalue())

    assert marked.count(b"XML:com.adobe.xmp") == 1
    assert b"a camera" not in marked


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a jpeg of some length"])
def test_other_formats_are_refused(content: bytes) -> None:
    with pytest.raises(StyledagError, match="not a PNG"):
        mark_png(content)


def test_a_cut_file_is_refused() -> None:
    _, png = generated()

    with pytest.raises(StyledagError, match="cut off"):
        mark_png(png[:-5])
