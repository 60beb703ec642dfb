import io

import pytest
from PIL import Image

from styledag.errors import ImageError
from styledag.images.converting import formats
from styledag_tests.images.containers.files import RED, decode
from styledag_tests.images.images import plain

HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
JXL = b"\xff\x0a\xfa\x1f"
JXL_BOX = b"\x00\x00\x00\x0cJXL \r\n\x87\n"


@pytest.mark.parametrize(
    ("content", "name"), [(HEIC, "HEIC"), (JXL, "JPEG XL"), (JXL_BOX, "JPEG XL")]
)
def test_without_its_package_a_format_is_refused_by_the_extras_name(
    content: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _module: None)
    error = formats.refusal(content)
    assert error.reason == "unsupported_format"
    assert error.detail == f"is {name}: install styledag[formats] to open it"
    assert set(formats.opened_formats()).isdisjoint({"HEIF", "JXL"})


@pytest.mark.parametrize("content", [HEIC, JXL])
def test_with_its_package_a_broken_file_is_damaged(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _module: object())
    assert formats.refusal(content).reason == "damaged"


def test_avif_under_another_brand_is_not_taken_for_heic() -> None:
    brands = b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf"
    assert "HEIC" not in formats.refusal(brands).detail


@pytest.mark.parametrize(("format_name", "module"), list(formats._OPTIONAL.items()))
@pytest.mark.parametrize("orientation", [1, 6])
def test_an_optional_format_is_opened_upright(
    format_name: str, module: str, orientation: int
) -> None:
    package = pytest.importorskip(module)
    if format_name == "HEIF":
        package.register_heif_opener()
    image = plain((0, 0, 255), (64, 48))
    image.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, format_name, exif=exif.tobytes(), quality=95)
    found = decode(file.getvalue())
    assert found.size == ((64, 48) if orientation == 1 else (48, 64))
    assert found.image.getpixel((4, 4) if orientation == 1 else (43, 4))[0] > 240


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<!doctype html><p>no", "not_an_image"), (b"8BPS\x00\x01", "unsupported_format")],
)
def test_with_the_packages_other_files_keep_their_reason(
    content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _module: object())
    # As in a process that has opened none of their images yet.
    for name in formats._OPTIONAL:
        monkeypatch.delitem(Image.OPEN, name, raising=False)
    with pytest.raises(ImageError) as raised:
        decode(content)
    assert raised.value.reason == reason
