"""The columns of the dataset, and those of captioned images as they are in it."""

import json
from typing import TYPE_CHECKING, Any

from styledag.manifest import field_of

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
IMAGE_COLUMN = "image"
VARIANTS_COLUMN = "variants"
FRAMING_COLUMNS = ("original_width", "original_height", "crop_left", "crop_top")
"""In pixels: the original's size, and what is cut off of it on two sides once it is scaled."""


def dataset_schema() -> "pa.Schema":
    """Return the Arrow schema, with what tells ``datasets`` that ``image`` holds images.

    It is that of ``datasets.Features``, without the second that importing these takes.
    """
    import pyarrow as pa

    text, number = {"dtype": "string", "_type": "Value"}, {"dtype": "int32", "_type": "Value"}
    features: dict[str, Any] = {IMAGE_COLUMN: {"_type": "Image"}}
    features |= dict.fromkeys(TEXT_COLUMNS, text)
    # As datasets before 4.0 wrote lists too; a "List" these refuse, and newer ones read either.
    features |= {VARIANTS_COLUMN: [text]}
    features |= dict.fromkeys(FRAMING_COLUMNS, number)
    types = dict.fromkeys(TEXT_COLUMNS, pa.string()) | dict.fromkeys(FRAMING_COLUMNS, pa.int32())
    types[IMAGE_COLUMN] = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    types[VARIANTS_COLUMN] = pa.list_(pa.string())
    return pa.schema(
        [(name, types[name]) for name in features],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


_FIELDS = {
    "text": "caption",
    "id": "image.sha256",
    "family": "image.family",
    **{name: f"image.origin.{name}" for name in ("url", "page_url", "title", "licence", "author")},
    "caption_source": "source",
    "original_width": "image.raw_width_px",
    "original_height": "image.raw_height_px",
    "crop_left": "image.crop_left_px",
    "crop_top": "image.crop_top_px",
}
"""Fields of a captioned image, by the columns that are not called so."""


def dataset_columns(captioned: "pa.Table") -> "pa.Table":
    """Return all columns of the dataset but ``image``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = dataset_schema()
    schema = schema.remove(schema.get_field_index(IMAGE_COLUMN))
    version, hits = captioned["rules_version"], captioned["rule_hits"]
    joined = pc.binary_join_element_wise(version, pc.binary_join(hits, ", "), ", ")
    rules = pc.if_else(pc.equal(pc.list_value_length(hits), 0), version, joined)
    columns = {
        name: rules if name == "caption_rules" else field_of(captioned, _FIELDS.get(name, name))
        for name in schema.names
    }
    return pa.table(columns).cast(schema)
