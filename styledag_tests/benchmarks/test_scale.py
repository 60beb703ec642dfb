"""What an answer about many styles reads, in counts that no machine's speed changes."""

from collections import Counter

import pytest

from benchmarks.large_store import CheapCatalogue
from benchmarks.scale import QUICK, measure, prepare
from styledag.defs.opened_history import open_history
from styledag.defs.placement import Placement
from styledag.defs.settings_nodes import changed_settings
from styledag.graph.catalogue import Catalogue
from styledag.graph.status import AssetStatus, style_status
from styledag.images.records import CuratedImage
from styledag.manifest import Manifest
from styledag.project import Project
from styledag.store.files import Files


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> CheapCatalogue:
    return prepare(tmp_path_factory.mktemp("scale"), QUICK)


def statuses_of(catalogue: Catalogue, styles: list[str]) -> list[AssetStatus]:
    now = catalogue.at_once()
    return [each for style in styles for each in style_status(now, style)]


def test_a_store_of_the_size_is_filled_and_current(filled: CheapCatalogue) -> None:
    catalogue = Catalogue(Project.at(filled.project.root))
    statuses = statuses_of(catalogue, QUICK.names)
    assert {each.state for each in statuses} == {"current"}
    made = Counter(each.asset for each in catalogue.store.heads())
    assert made["checkpoint"] == QUICK.checkpoints
    assert made["ema_unet"] == QUICK.styles
    images = [
        Manifest.read(catalogue.store.require("curated_images", style).folder, CuratedImage)
        for style in QUICK.names
    ]
    assert sum(len(each.rows) for each in images) == QUICK.images
    assert len(images[0].rows) > len(images[1].rows) > 0


def test_status_reads_each_record_once_and_each_model_once_for_all_styles(
    filled: CheapCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    original = Files.read

    def counting(self: Files, name: str) -> bytes | None:
        reads[name] += 1
        return original(self, name)

    monkeypatch.setattr(Files, "read", counting)
    one = statuses_of(filled, QUICK.names[:1])
    models = {name: count for name, count in reads.items() if name.startswith("items/")}
    assert sum(models.values()) > 0
    reads.clear()
    statuses = statuses_of(filled, QUICK.names)
    assert len(statuses) == QUICK.styles * len(one)
    assert {name: count for name, count in reads.items() if name in models} == models
    records = {name: count for name, count in reads.items() if name not in models}
    assert set(records.values()) == {1}
    # A head and a build of each partition, and the record of each checkpoint that a model lists.
    assert len(records) == 2 * len(statuses) + QUICK.checkpoints


def test_the_history_is_asked_once_for_each_asset_whatever_the_styles(
    filled: CheapCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = statuses_of(filled, QUICK.names)
    asked: list[str] = []
    with open_history(filled.project.root) as instance:
        storage = instance.event_log_storage
        original = storage.get_latest_tags_by_partition
        monkeypatch.setattr(
            storage,
            "get_latest_tags_by_partition",
            lambda key, *rest: asked.append(key.path[-1]) or original(key, *rest),
        )
        assert list(changed_settings(instance, statuses, Placement())) == []
    assert sorted(asked) == sorted({each.asset for each in statuses})


@pytest.mark.slow
def test_every_answer_is_measured(filled: CheapCatalogue) -> None:
    figures = measure(filled)
    assert {name.partition(" style-")[0] for name in figures} == {
        "styledag status",
        "code location",
        "styledag gc",
        "checks of",
    }
    assert all(each > 0 for each in figures.values())
