"""A CycloneDX ML-BOM: valid by the strict schema, and as the store and the style file have it."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from styledag.collect.records import Origin
from styledag.dataset.read import read_dataset
from styledag.errors import PublishError
from styledag.graph.exports.bill_of_materials import bill_of_materials
from styledag.graph.exports.exported_card import CardTerms
from styledag.graph.find_exportable import find_exportable
from styledag.graph.tracing import ancestry
from styledag_tests.cli.made_project import MadeProject, made_project
from styledag_tests.dataset.captioned import HOSTILE
from styledag_tests.whole.small_project import MODEL

Document = dict[str, Any]
TERMS = CardTerms(licence="openrail", licence_url="", repo="", dataset="")


@pytest.fixture
def made(tmp_path: Path, starter: Path) -> MadeProject:
    (tmp_path / "project").mkdir()
    return made_project(tmp_path / "project", starter)


def bill(made: MadeProject, name: str, *, images: bool = False) -> Document:
    """Return a bill of materials that is valid by the library's own strict schema."""
    pytest.importorskip("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    artifact = ancestry.find_artifact(made.catalogue.store, name)
    source = find_exportable(made.catalogue, artifact, "diffusers")
    text = bill_of_materials(source, TERMS, images=images)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document: Document = json.loads(text)
    return document


def properties(component: Document) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component["properties"]}


def by_type(document: Document) -> dict[str, Document]:
    return {each["type"]: each for each in document["components"]}


def test_a_blend_states_recipe_scores_base_and_data(made: MadeProject) -> None:
    document = bill(made, f"{MODEL}:0.5")
    model = document["metadata"]["component"]
    assert (document["specVersion"], model["type"]) == ("1.6", "machine-learning-model")
    blend = made.catalogue.store.require("merged_unet", f"{MODEL}/0.50")
    assert (model["name"], model["version"]) == (f"{MODEL}@0.50", blend.version)
    assert properties(model)["styledag:version:ema_unet"] == made.model.version

    card = model["modelCard"]
    assert card["modelParameters"]["modelArchitecture"] == "StableDiffusionPipeline"
    assert {"name": "styledag:recipe:epochs", "value": "2"} in card["properties"]
    (learned,) = (
        each
        for each in card["quantitativeAnalysis"]["performanceMetrics"]
        if each["type"].startswith("style learned: ")
    )
    assert learned["value"] == "0.25"
    assert learned["confidenceInterval"] == {"lowerBound": "0.125", "upperBound": "0.5"}

    components = by_type(document)
    base, dataset = components["machine-learning-model"], components["data"]
    assert base["name"] == "stable-diffusion"
    assert base["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert dataset["version"] == made.dataset.version
    assert card["modelParameters"]["datasets"] == [{"ref": dataset["bom-ref"]}]
    assert properties(dataset) == {
        "styledag:images under CC-BY-4.0": "3",
        "styledag:images under unknown": "3",
    }
    assert dataset["data"][0]["description"] == "6 images with captions: 6 for train"
    (depends,) = (each for each in document["dependencies"] if each["ref"] == model["bom-ref"])
    assert set(depends["dependsOn"]) == {base["bom-ref"], dataset["bom-ref"]}


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}@1", f"{MODEL}:0.5"])
def test_every_hash_is_that_of_a_file(made: MadeProject, name: str) -> None:
    document = bill(made, name)
    subjects = [document["metadata"]["component"], by_type(document)["data"]]
    store, checked = made.root / "data" / "store" / "artifacts", 0
    for subject in subjects:
        for file in subject["components"]:
            (path,) = store.glob(f"*/*/**/{subject['version']}/{file['name']}")
            (digest,) = file["hashes"]
            assert digest == {
                "alg": "SHA-256",
                "content": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            checked += 1
    assert checked > 2


def test_each_image_is_listed_when_asked_for(made: MadeProject) -> None:
    listed = {
        each["hashes"][0]["content"]: each
        for each in by_type(bill(made, MODEL, images=True))["data"]["components"]
        if each["type"] == "data"
    }
    rows = list(read_dataset(made.dataset.folder))
    assert listed.keys() == {hashlib.sha256(row.jpeg).hexdigest() for row in rows}
    row = next(row for row in rows if row.origin.author)
    image = listed[hashlib.sha256(row.jpeg).hexdigest()]
    assert image["description"] == row.text
    assert image["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert image["authors"] == [{"name": "Ada"}]
    addresses = {each["type"]: each["url"] for each in image["externalReferences"]}
    assert addresses == {"distribution": row.origin.url, "website": row.origin.page_url}
    assert not any(
        each["type"] == "data" for each in by_type(bill(made, MODEL))["data"]["components"]
    )


@pytest.mark.parametrize("url", [HOSTILE, "100% fox[1].png", "https://a.example/%41?b[]=é#1#2"])
def test_what_a_page_says_of_an_image_cannot_break_the_document(
    made: MadeProject, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    origin = Origin(url=url, page_url=url, title=HOSTILE, licence=HOSTILE, author=HOSTILE)
    monkeypatch.setattr(
        ancestry,
        "read_dataset",
        lambda folder: [replace(row, origin=origin) for row in read_dataset(folder)],
    )
    dataset = by_type(bill(made, MODEL, images=True))["data"]
    assert dataset["licenses"] == [{"license": {"name": HOSTILE}}]


def test_without_the_library_the_remedy_is_named(
    made: MadeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx.model.bom", None)
    source = find_exportable(made.catalogue, made.model, "diffusers")
    with pytest.raises(PublishError, match=r"pip install 'styledag\[bom\]'"):
        bill_of_materials(source, TERMS)
