"""A folder that `datasets.load_dataset` reads, one row an image.

With provenance and a card; families of near-duplicates are never split.
"""

from styledag.captions.records import CaptionedImage
from styledag.dataset import build
from styledag.dataset.settings import DatasetSettings
from styledag.graph.checks import dataset_not_shrunk
from styledag.graph.previews import dataset_images
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.manifest import Manifest
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def build_dataset(inputs: Inputs, workspace: Workspace) -> Facts:
    """Build the dataset from the captioned images."""
    return build.build_image_dataset(
        Manifest.read(inputs.folder("captions"), CaptionedImage),
        inputs.settings.of(DatasetSettings),
        workspace,
        style=inputs.partition.style,
        description=inputs.settings["description"],
        captioner=inputs.settings["captioner"],
    )


def _settings(declared: Declaration) -> Settings:
    style = declared.style
    # The rows state the captioner's content; its name is for people.
    return Settings(style.dataset, description=style.description).beside(
        captioner=style.captions.captioner_name
    )


STAGE = Stage(
    name="image_dataset",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"huggingface", "parquet"}),
    code_version=build.CODE_VERSION,
    run=build_dataset,
    settings=_settings,
    reads=(Reads("captions"),),
    preview=dataset_images,
    checks=(dataset_not_shrunk,),
)
