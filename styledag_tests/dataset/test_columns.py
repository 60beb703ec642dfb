"""The dataset's schema is the one that ``datasets`` would write."""

import re

from datasets import Features, Image, List, Value

from styledag.dataset.columns import FRAMING_COLUMNS, TEXT_COLUMNS, VARIANTS_COLUMN, dataset_schema


def test_schema_means_what_the_datasets_library_would_write() -> None:
    columns = {"image": Image()} | {name: Value("string") for name in TEXT_COLUMNS}
    columns |= {VARIANTS_COLUMN: List(Value("string"))}
    columns |= {name: Value("int32") for name in FRAMING_COLUMNS}
    assert dataset_schema().equals(Features(columns).arrow_schema)
    assert Features.from_arrow_schema(dataset_schema()) == Features(columns)


def test_no_type_is_newer_than_readers_of_years_ago() -> None:
    """``List`` came with datasets 4.0, and 3.6 refuses a dataset with it."""
    stated = (dataset_schema().metadata or {})[b"huggingface"].decode()
    assert set(re.findall(r'"_type": "(\w+)"', stated)) == {"Image", "Value"}
