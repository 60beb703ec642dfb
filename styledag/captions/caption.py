"""Say what each image shows: asked once of the captioner, cleaned anew whenever rules change."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.base import Tokens
from styledag.captions.captioner import Captioner, decoding_identity
from styledag.captions.length import say_within
from styledag.captions.overrides import Overrides, read_overrides
from styledag.captions.records import CaptionedImage
from styledag.captions.rules import RULES_VERSION, Cleaned, clean_caption, clean_text
from styledag.captions.settings import CaptionSettings
from styledag.errors import StorageError
from styledag.images.records import CuratedImage
from styledag.manifest import Manifest, Rejection
from styledag.store.files import storage_errors
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

CODE_VERSION = "2"
ITEMS = "captions"


def caption_images(
    curated: Manifest[CuratedImage],
    settings: CaptionSettings,
    workspace: Workspace,
    *,
    captioner: Captioner,
    tokens: Tokens,
    overrides: Path | None = None,
) -> Manifest[CaptionedImage]:
    """Write and return every image with its caption, and those of which nothing can be said.

    A person's caption comes first, then the page's title or the captioner as the settings say, and
    the other of the two where that is empty. A raw caption is asked for once per image, captioner
    and way of decoding; cleaning, template and length cost nothing to do again.

    Args:
        curated: The images; their JPEGs are blobs of the workspace.
        settings: Who says it, and how.
        workspace: Where the manifest goes; counts asked captions under ``captions``.
        captioner: Asked for what nobody has said yet.
        tokens: Counts tokens as the base's text encoder will.
        overrides: CSV of a person's captions.

    Raises:
        StyleFileError: If the CSV is wrong, or the template leaves no room for a caption.
        ModelError: If the captioner or the tokenizer cannot be loaded.
    """
    by_hand = Overrides({}) if overrides is None else read_overrides(overrides)
    to_ask = [
        image
        for image in curated.rows
        if by_hand.of(image) is None and not (settings.source == "page" and _title(image).text)
    ]
    raw_captions = _ask(to_ask, settings, workspace, captioner)
    rows: list[CaptionedImage] = []
    rejected: list[Rejection] = []
    for image in curated.rows:
        raw, cleaned, source = _chosen(image, by_hand, raw_captions)
        if not cleaned.text:
            rejected.append(
                Rejection(
                    subject=image.sha256,
                    reason="empty_caption",
                    detail=f"{raw!r} cleans to nothing, and {image.origin.url} has no title",
                )
            )
            continue
        said = [
            say_within(cleaned.text, template, tokens)
            for template in (settings.template, *settings.variants)
        ]
        cut = any(was_cut for _, was_cut in said)
        rows.append(
            CaptionedImage(
                image=image,
                raw_caption=raw,
                caption=said[0][0],
                source=source,
                rules_version=RULES_VERSION,
                rule_hits=(*cleaned.hits, *(("cut",) if cut else ())),
                variants=tuple(caption for caption, _ in said[1:]),
            )
        )
    manifest = Manifest(tuple(rows), tuple(rejected))
    with storage_errors(str(workspace.folder)):
        manifest.write(workspace.folder)
    return manifest


def _chosen(
    image: CuratedImage, by_hand: Overrides, raw_captions: Mapping[str, str]
) -> tuple[str, Cleaned, str]:
    """Return the raw caption, what is left of it when cleaned, and who said it."""
    said = by_hand.of(image)
    if said is not None:
        return said, clean_text(said), "hand"
    if image.sha256 not in raw_captions:
        return image.origin.title, _title(image), "page"
    raw = raw_captions[image.sha256]
    cleaned = clean_caption(raw)
    title = _title(image)
    if not cleaned.text and title.text:
        return image.origin.title, Cleaned(title.text, ("fallback", *title.hits)), "page"
    return raw, cleaned, "blip"


def _title(image: CuratedImage) -> Cleaned:
    return clean_text(image.origin.title)


def _ask(
    images: Sequence[CuratedImage],
    settings: CaptionSettings,
    workspace: Workspace,
    captioner: Captioner,
) -> dict[str, str]:
    """Return raw captions by sha256, asking the captioner for those not known yet."""
    decoding = decoding_identity(settings)
    keys = {
        image.sha256: item_key(sha256=image.sha256, captioner=captioner.version, decoding=decoding)
        for image in images
    }
    known = workspace.items.get_many_json(ITEMS, list(keys.values()))
    captions = {
        sha256: known[key] for sha256, key in keys.items() if isinstance(known.get(key), str)
    }
    missing = iter([sha256 for sha256 in keys if sha256 not in captions])
    with workspace.progress.task("captions", len(keys)) as advance:
        advance(len(captions))
        while batch := list(islice(missing, settings.batch_size)):
            said = captioner([_image(workspace, sha256) for sha256 in batch], settings)
            for sha256, caption in zip(batch, said, strict=True):
                workspace.items.put_json(ITEMS, keys[sha256], caption)
                captions[sha256] = caption
            workspace.work["captions"] += len(batch)
            advance(len(batch))
    return captions


def _image(workspace: Workspace, sha256: str) -> "Image":
    from PIL import Image, UnidentifiedImageError

    content = workspace.blobs.read(sha256)
    try:
        with Image.open(BytesIO(content), formats=["JPEG"]) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise StorageError(
            f"blob {sha256} is no longer the JPEG that was stored ({exc}): remove it from the "
            "store and materialise jpeg_images again"
        ) from exc
