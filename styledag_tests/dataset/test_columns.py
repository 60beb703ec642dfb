"""The dataset's schema is the one that ``datasets`` would write."""

from datasets import Features, Image, List, Value

from styledag.dataset.columns import FRAMING_COLUMNS, TEXT_COLUMNS, VARIANTS_COLUMN, dataset_schema


def test_schema_is_that_of_the_datasets_library() -> None:
    columns = {"image": Image()} | {name: Value("string") for name in TEXT_COLUMNS}
    columns |= {VARIANTS_COLUMN: List(Value("string"))}
    columns |= {name: Value("int32") for name in FRAMING_COLUMNS}
    assert dataset_schema().equals(Features(columns).arrow_schema, check_metadata=True)
