"""The licences in a dataset, and those with which nothing may be published."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from styledag.errors import DataError, PublishError


def count_licences(dataset: Path) -> Mapping[str, int]:
    """Return the number of images by licence, the commonest first; images are not read.

    Raises:
        DataError: If the folder contains no dataset, or a shard cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = sorted((dataset / "data").glob("*.parquet"))
    if not shards:
        raise DataError(f"{dataset} contains no dataset: materialise image_dataset first")
    counts: Counter[str] = Counter()
    for shard in shards:
        try:
            counts.update(pq.read_table(shard, columns=["licence"])["licence"].to_pylist())
        except (pa.ArrowException, OSError, KeyError) as exc:
            raise DataError(f"{shard} is no shard of a dataset: {exc}") from exc
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def check_licences(counts: Mapping[str, int], denied: Sequence[str]) -> None:
    """Check that no image has a licence on the deny list.

    Args:
        counts: Images by licence.
        denied: Licences, in which ``*`` stands for any letters; case does not matter.

    Raises:
        PublishError: If an image has one; names licence, pattern and number of images.
    """
    found = {
        licence: pattern
        for licence in counts
        for pattern in denied
        if fnmatchcase(licence.strip().casefold(), pattern.strip().casefold())
    }
    if found:
        listed = ", ".join(
            f"{counts[licence]} under {licence!r} (denied by {pattern!r})"
            for licence, pattern in found.items()
        )
        raise PublishError(
            f"the dataset contains images that may not be published: {listed}; leave them out by "
            "curation, or change publish.deny_licences"
        )
