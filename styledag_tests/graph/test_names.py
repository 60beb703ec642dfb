"""Partitions by their keys, and how those of different grains belong together."""

import pytest

from styledag.graph.names import Partition, epoch_key, parse_epoch


@pytest.mark.parametrize(
    ("key", "stored_as", "partition"),
    [
        ("twemoji", "twemoji", Partition("twemoji")),
        ("twemoji.full", "twemoji.full", Partition("twemoji", "full")),
        ("twemoji.full@e016", "twemoji.full/e016", Partition("twemoji", "full", "e016")),
        ("a.b@ema-0.150", "a.b/ema-0.150", Partition("a", "b", "ema-0.150")),
    ],
)
def test_a_key_is_the_partition_and_its_name_in_the_store(
    key: str, stored_as: str, partition: Partition
) -> None:
    assert Partition.parse(key) == partition == Partition.from_store(stored_as)
    assert (partition.key, partition.stored_as) == (key, stored_as)


def test_a_partition_belongs_to_its_model_and_its_style() -> None:
    blend = Partition.parse("a.b@0.50")
    assert blend.widened("model") == Partition("a", "b")
    assert blend.widened("style") == Partition("a")
    assert blend.widened("blend") == blend
    related = (Partition("a"), Partition("a", "b"), Partition("a", "b", "e001"))
    assert all(each.belongs_with(blend) and blend.belongs_with(each) for each in related)
    assert not any(each.belongs_with(blend) for each in (Partition("a", "c"), Partition("b")))


def test_an_epoch_is_read_from_its_key() -> None:
    assert [parse_epoch(epoch_key(epoch)) for epoch in (1, 64, 999)] == [1, 64, 999]
