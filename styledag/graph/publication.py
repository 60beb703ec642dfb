"""A style's dataset or a model, with its card, published to the Hub or to a folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from styledag.graph.catalogue import Catalogue
from styledag.graph.exported_card import CardTerms, export_with_card
from styledag.graph.exported_dataset import DATASET, find_dataset
from styledag.graph.exported_model import ModelFormat
from styledag.graph.lineage import find_ancestor
from styledag.graph.names import Partition
from styledag.graph.snapshots import link_tree
from styledag.publishing.cards.model_card import CARD_FILE
from styledag.publishing.hub.settings import PublishSettings
from styledag.publishing.model_file import DType
from styledag.publishing.target_folder import MARKER
from styledag.store.artifact import Artifact, Facts


def publish_dataset(
    catalogue: Catalogue, style: str, target: str, settings: PublishSettings
) -> Facts:
    """Publish a style's dataset, its images' licences on its card, and return what was done.

    Args:
        catalogue: The project.
        style: The style.
        target: Hub id ``owner/name``, or the path of a folder.
        settings: Where to publish, and under which conditions.

    Raises:
        ArtifactMissingError: If there is no dataset.
        PublishError: If a licence is denied, the Hub refuses, or the connection fails.
        StorageError: If the target folder cannot be written, or contains something else.
    """
    from styledag.publishing.cards.dataset_card import dataset_card_with_licence
    from styledag.publishing.hub.publish import publish_folder
    from styledag.publishing.licences import count_licences

    dataset = find_dataset(catalogue.store, style)
    with _staging(catalogue) as folder:
        link_tree(dataset.folder, folder)
        card = (folder / CARD_FILE).read_text(encoding="utf-8")
        (folder / CARD_FILE).unlink()  # not written through the link, into the store
        text = dataset_card_with_licence(card, count_licences(folder))
        (folder / CARD_FILE).write_text(text, encoding="utf-8")
        return publish_folder(
            folder, target, "dataset", settings, dataset=folder, source_revision=dataset.version
        )


def publish_model(
    catalogue: Catalogue,
    model: Artifact,
    target: str,
    settings: PublishSettings,
    form: ModelFormat,
    *,
    dtype: DType,
    terms: CardTerms,
) -> Facts:
    """Publish a model with its card and return what was done.

    Args:
        catalogue: The project.
        model: A checkpoint, an ``ema_unet`` or a blend.
        target: Hub id ``owner/name``, or the path of a folder.
        settings: Where to publish, and under which conditions.
        form: The format.
        dtype: Of all weights.
        terms: What a person states on the card.

    Raises:
        PublishError: If a licence is denied, the Hub refuses, or the connection fails.
        ModelError: If the format has no place for the model, or the dtype not for a weight.
        LineageError: If a build that it came from is no longer in the store.
        StorageError: If the target folder cannot be written, or contains something else.
    """
    from styledag.publishing.hub.publish import publish_folder
    from styledag.publishing.licences import check_licences, count_licences

    dataset = find_ancestor(catalogue.store, model, DATASET).folder
    check_licences(count_licences(dataset), settings.deny_licences)  # before gigabytes are written
    with _staging(catalogue) as folder:
        if form == "diffusers":
            to = folder
        else:
            to = folder / f"{Partition.from_store(model.partition).key}.safetensors"
        export_with_card(catalogue, model, to, form, dtype=dtype, terms=terms)
        if to is not folder:
            to.with_suffix(".md").rename(folder / CARD_FILE)
        (folder / MARKER).unlink(missing_ok=True)
        return publish_folder(
            folder, target, "model", settings, dataset=dataset, source_revision=model.version
        )


@contextmanager
def _staging(catalogue: Catalogue) -> Iterator[Path]:
    """Yield a name for a folder on the store's disk, which is removed at the end."""
    cache = catalogue.store.files.cache
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="publish-") as folder:
        yield Path(folder) / "content"
