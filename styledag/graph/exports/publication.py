"""A style's dataset or a model, with its card, published to the Hub or to a folder."""

import shutil
from pathlib import Path

from styledag.graph.exports.exportable import Exportable
from styledag.graph.exports.exported_card import CardTerms, export_with_card
from styledag.graph.snapshots import write_json
from styledag.publishing.cards.model_card import CARD_FILE
from styledag.publishing.hub.settings import PublishSettings
from styledag.publishing.target_folder import MARKER
from styledag.store.artifact import Artifact, Facts
from styledag.store.files import link_tree

RECORD = "publication.json"


def publish_dataset(
    dataset: Artifact, target: str, settings: PublishSettings, staging: Path
) -> Facts:
    """Publish a dataset, its images' licences on its card, and return what was done.

    Raises:
        PublishError: If a licence is denied, the Hub refuses, or the connection fails.
        StorageError: If the target folder cannot be written, or contains something else.
    """
    from styledag.publishing.cards.dataset_card import (
        LICENCE_FILE,
        dataset_card_with_licence,
        licence_page,
    )
    from styledag.publishing.hub.publish import publish_folder
    from styledag.publishing.licences import count_licences

    shutil.rmtree(staging, ignore_errors=True)
    link_tree(dataset.folder, staging)
    card = (staging / CARD_FILE).read_text(encoding="utf-8")
    (staging / CARD_FILE).unlink()  # not written through the link, into the store
    licences = count_licences(staging)
    text, page = dataset_card_with_licence(card, licences), licence_page(licences)
    (staging / CARD_FILE).write_text(text, encoding="utf-8")
    if page is not None:
        (staging / LICENCE_FILE).write_text(page, encoding="utf-8")
    return publish_folder(
        staging, target, "dataset", settings, dataset=staging, source_revision=dataset.version
    )


def publish_model(
    source: Exportable, target: str, settings: PublishSettings, staging: Path, terms: CardTerms
) -> Facts:
    """Publish a model with its card and return what was done.

    Raises:
        PublishError: If a licence is denied, the Hub refuses, or the connection fails.
        ModelError: If the format has no place for the model, or the dtype not for a weight.
        LineageError: If it came from no dataset or no recipe.
        StorageError: If the target folder cannot be written, or contains something else.
    """
    from styledag.publishing.hub.publish import publish_folder
    from styledag.publishing.licences import check_licences, count_licences

    dataset = source.dataset.folder
    check_licences(count_licences(dataset), settings.deny_licences)  # before gigabytes are written
    shutil.rmtree(staging, ignore_errors=True)
    in_folder = settings.format == "diffusers"
    to = staging if in_folder else staging / f"{source.partition.key}.safetensors"
    export_with_card(source, to, settings.format, dtype=settings.dtype, terms=terms)
    if not in_folder:
        to.with_suffix(".md").rename(staging / CARD_FILE)
    (staging / MARKER).unlink(missing_ok=True)
    return publish_folder(
        staging,
        target,
        "model",
        settings,
        dataset=dataset,
        source_revision=source.model.version,
    )


def located(target: str, settings: PublishSettings, root: Path) -> str:
    """Return a target of a style file: a Hub id, or the path of a folder of the project."""
    return target if settings.to == "hub" else str(root / target)


def record(published: Facts, target: str, staging: Path, folder: Path) -> None:
    """Write into an artifact what was published, and its card."""
    stated = {"target": target, "version": published["version"], "tag": published["tag"]}
    write_json(folder / RECORD, stated)
    shutil.copyfile(staging / CARD_FILE, folder / CARD_FILE)
