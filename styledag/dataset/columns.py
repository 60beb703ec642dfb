"""The columns of the dataset, and a captioned image as one of its rows."""

import json
from typing import TYPE_CHECKING, Any

from styledag.captions.records import CaptionedImage

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_COLUMNS = (
    "text",
    "id",
    "family",
    "url",
    "page_url",
    "title",
    "licence",
    "author",
    "caption_source",
    "raw_caption",
    "cleaned_caption",
    "caption_rules",
    "template",
    "captioner",
)
VARIANTS_COLUMN = "variants"
FRAMING_COLUMNS = ("original_width", "original_height", "crop_left", "crop_top")
"""In pixels: the original's size, and what is cut off of it on two sides once it is scaled."""


def dataset_schema() -> "pa.Schema":
    """Return the Arrow schema, with what tells ``datasets`` that ``image`` holds images.

    It is that of ``datasets.Features``, without the second that importing these takes.
    """
    import pyarrow as pa

    text, number = {"dtype": "string", "_type": "Value"}, {"dtype": "int32", "_type": "Value"}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features |= dict.fromkeys(TEXT_COLUMNS, text)
    features |= {VARIANTS_COLUMN: {"feature": text, "_type": "List"}}
    features |= dict.fromkeys(FRAMING_COLUMNS, number)
    types = dict.fromkeys(TEXT_COLUMNS, pa.string()) | dict.fromkeys(FRAMING_COLUMNS, pa.int32())
    types["image"] = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    types[VARIANTS_COLUMN] = pa.list_(pa.string())
    return pa.schema(
        [(name, types[name]) for name in features],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def dataset_row(captioned: CaptionedImage, jpeg: bytes) -> dict[str, Any]:
    """Return one row; the JPEG's bytes are stored as they are, and not encoded again.

    Args:
        captioned: The image and its caption.
        jpeg: Content of the image's blob.
    """
    image, origin = captioned.image, captioned.image.origin
    return {
        "image": {"bytes": jpeg, "path": f"{image.sha256}.jpg"},
        "text": captioned.caption,
        "id": image.sha256,
        "family": image.family,
        "url": origin.url,
        "page_url": origin.page_url,
        "title": origin.title,
        "licence": origin.licence,
        "author": origin.author,
        "caption_source": captioned.source,
        "raw_caption": captioned.raw_caption,
        "cleaned_caption": captioned.cleaned_caption,
        "caption_rules": ", ".join((captioned.rules_version, *captioned.rule_hits)),
        "template": captioned.template,
        "captioner": captioned.captioner,
        VARIANTS_COLUMN: list(captioned.variants),
        "original_width": image.raw_width_px,
        "original_height": image.raw_height_px,
        "crop_left": image.crop_left_px,
        "crop_top": image.crop_top_px,
    }
