"""A model and all that it was made from as a CycloneDX ML-BOM, by the extra ``bom``.

https://cyclonedx.org/docs/1.6/json/
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from styledag import __version__
from styledag.errors import PublishError
from styledag.graph.exports.exportable import Exportable
from styledag.graph.exports.exported_card import CardTerms, card_of
from styledag.graph.tracing.ancestry import TracedImage, traced_images
from styledag.publishing.cards.records import HUB_ID, CardBase, CardScore, ModelCard
from styledag.store.artifact import Artifact

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import DisjunctiveLicense

PREFIX = "styledag:"
"""Of properties, which CycloneDX asks to be under a name of one's own."""


def bill_of_materials(source: Exportable, terms: CardTerms, *, images: bool = False) -> str:
    """Return a CycloneDX 1.6 document in JSON whose subject is a model.

    The model has a model card: recipe, datasets, scores with their intervals. Its base and each
    dataset that it saw are components. Files are listed with their SHA-256; the ``version`` of a
    model or dataset is styledag's own digest of its whole content.

    Args:
        source: The model.
        terms: What a person states, the licence above all.
        images: Whether each image is a component of its dataset, with address, licence and author.

    Raises:
        PublishError: If cyclonedx-python-lib is not installed.
        LineageError: If the model came from no dataset or no recipe.
    """
    try:
        from cyclonedx.model.bom import Bom, BomMetaData
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.model.tool import ToolRepository
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError as exc:
        raise PublishError(
            "a bill of materials needs cyclonedx-python-lib, which is not installed: "
            "pip install 'styledag[bom]'"
        ) from exc
    card = card_of(source, "diffusers", terms)
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_reference(source.model),
        name=card.title,
        version=source.model.version,
        description=card.description or None,
        licenses=_licences([card.licence]) if card.licence != "unknown" else (),
        components=_files(source.model),
        properties=_properties({f"version:{name}": each for name, each in card.lineage.items()}),
    )
    bases = [_base(each) for each in card.bases]
    datasets = [_dataset(each, images=images) for each in source.datasets]
    tool = Component(type=ComponentType.APPLICATION, name="styledag", version=__version__)
    bom = Bom(
        metadata=BomMetaData(component=model, tools=ToolRepository(components=[tool])),
        components=[*bases, *datasets],
    )
    bom.register_dependency(model, [*bases, *datasets])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    _add_what_the_library_lacks(document, card, source.datasets)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _add_what_the_library_lacks(
    document: dict[str, Any], card: ModelCard, datasets: Iterable[Artifact]
) -> None:
    """Add the model card and the datasets' descriptions, which cyclonedx-python-lib has not yet."""
    references = {_reference(each): each for each in datasets}
    document["metadata"]["component"]["modelCard"] = _model_card(card, list(references))
    for component in document["components"]:
        if component["bom-ref"] in references:
            component["data"] = [
                {
                    "type": "dataset",
                    "name": component["name"],
                    "description": component["description"],
                }
            ]


def _model_card(card: ModelCard, datasets: list[str]) -> dict[str, Any]:
    return {
        "modelParameters": {
            "task": "text-to-image",
            "modelArchitecture": card.pipeline,
            "datasets": [{"ref": reference} for reference in datasets],
            "inputs": [{"format": "string"}],
            "outputs": [{"format": "image"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [_metric(each) for each in card.scores]},
        "properties": [
            {"name": f"{PREFIX}recipe:{name}", "value": str(value)}
            for name, value in card.recipe.items()
        ],
    }


def _metric(score: CardScore) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": f"{score.name}: {score.meaning}", "value": str(score.value)}
    if score.low is not None and score.high is not None:
        metric["confidenceInterval"] = {
            "lowerBound": str(score.low),
            "upperBound": str(score.high),
        }
    return metric


def _base(base: CardBase) -> "Component":
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = None
    if HUB_ID.fullmatch(base.name):
        owner, _, name = base.name.partition("/")
        purl = PackageURL("huggingface", owner, name, base.revision)
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"base/{base.name}@{base.revision}",
        name=base.name,
        version=base.revision,
        licenses=_licences([base.licence]) if base.licence else (),
        purl=purl,
    )


def _dataset(dataset: Artifact, *, images: bool) -> "Component":
    from cyclonedx.model.component import Component, ComponentType

    rows = traced_images(dataset)
    licences = Counter(row.licence for row in rows)
    splits = Counter(row.split for row in rows)
    counted = ", ".join(f"{count} for {split}" for split, count in sorted(splits.items()))
    return Component(
        type=ComponentType.DATA,
        bom_ref=_reference(dataset),
        name=dataset.partition,
        version=dataset.version,
        description=f"{len(rows)} images with captions: {counted}",
        licenses=_licences(licences),
        components=[*_files(dataset), *(_image(dataset, row) for row in rows if images)],
        properties=_properties(
            {f"images under {licence}": str(count) for licence, count in licences.items()}
        ),
    )


def _image(dataset: Artifact, image: TracedImage) -> "Component":
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalContact

    addresses = {
        ExternalReferenceType.DISTRIBUTION: image.url,
        ExternalReferenceType.WEBSITE: image.page_url,
    }
    return Component(
        type=ComponentType.DATA,
        bom_ref=f"{_reference(dataset)}/{image.sha256}",
        name=image.title or image.sha256,
        description=image.caption,
        hashes=[_sha256(image.sha256)],
        licenses=_licences([image.licence]),
        authors=[OrganizationalContact(name=image.author)] if image.author else (),
        external_references=[
            ExternalReference(type=kind, url=XsUri(_quoted(address)))
            for kind, address in addresses.items()
            if address
        ],
    )


def _quoted(address: str) -> str:
    """Return an address, or a path below a source's folder, its other signs escaped."""
    whole = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", address)
    return quote(whole, safe="!$%&'()*+,/:;=?@~")


def _files(artifact: Artifact) -> "list[Component]":
    from cyclonedx.model.component import Component, ComponentType

    return [
        Component(
            type=ComponentType.FILE,
            bom_ref=f"{_reference(artifact)}/{name}",
            name=name,
            hashes=[_sha256(_digest_of_bytes(artifact, name))],
        )
        for name in artifact.build.files
    ]


def _digest_of_bytes(artifact: Artifact, name: str) -> str:
    """Return the sha256 of a file's bytes; the store's own digest of a Parquet file is another."""
    if not name.endswith(".parquet"):
        return artifact.build.files[name]
    with (artifact.folder / name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _licences(names: Iterable[str]) -> "list[DisjunctiveLicense]":
    from cyclonedx.contrib.license.exceptions import InvalidSpdxLicenseException
    from cyclonedx.contrib.license.factories import LicenseFactory

    factory, licences = LicenseFactory(), []
    for name in filter(None, names):
        try:
            licences.append(factory.make_with_id(name))
        except InvalidSpdxLicenseException:
            licences.append(factory.make_with_name(name))
    return licences


def _properties(values: Mapping[str, str]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=f"{PREFIX}{name}", value=value) for name, value in values.items()]


def _sha256(digest: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _reference(artifact: Artifact) -> str:
    return f"{artifact.asset}/{artifact.partition}@{artifact.version}"
