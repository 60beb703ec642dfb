"""The autoencoder with a decoder fine-tuned on the style's images, one a model.

Its encoder is the base's, bit for bit. A recipe without `decoder` trains none: then this contains
no file, and images are drawn with the base's own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from styledag.graph.drawing import DECODER_FILE, UNTRAINED, VAE_OF_BASE, has_decoder
from styledag.graph.snapshots import write_json
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage
from styledag.store.artifact import Facts
from styledag.store.files import link_tree
from styledag.store.workspace import Workspace
from styledag.training.decoder.identity import CODE_VERSION, decoder_identity

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.training.encoding.dataset import EncodedSample


def tune_decoder(inputs: Inputs, workspace: Workspace) -> Facts:
    """Fine-tune the decoder on the dataset's images, if the recipe has one."""
    from styledag.training.decoder.train import train_decoder
    from styledag.training.encoding.dataset import EncodedDataset

    if not inputs.upstream:
        return UNTRAINED
    result = train_decoder(
        EncodedDataset.open(inputs.folder("encoded_dataset")),
        _images(inputs, workspace),
        inputs.models["base_vae"].folder,
        inputs.settings["recipe"],
        inputs={
            "base_vae": inputs.models["base_vae"].version,
            "encoded_dataset": inputs.upstream["encoded_dataset"].version,
            "image_dataset": inputs.upstream["image_dataset"].version,
        },
        compute=inputs.compute(),
        scratch=workspace.scratch,
        progress=workspace.progress,
        work=workspace.work,
    )
    link_tree(result.folder, workspace.folder / result.folder.name)
    write_json(workspace.folder / DECODER_FILE, {"base_share": result.base_share})
    return {
        "trained": True,
        "steps": len(result.log),
        "loss": result.log[-1].loss,
        "base_share": result.base_share,
        "error": result.error,
        "base_error": result.base_error,
        "seconds": result.seconds,
    }


def _images(inputs: Inputs, workspace: Workspace) -> "Callable[[EncodedSample], Tensor]":
    from styledag.dataset.read import read_dataset
    from styledag.training.encoding.encoders import pixel_values, rgb_pixels

    names = {row.id: row.origin.url for row in read_dataset(inputs.folder("image_dataset"))}

    def pixels(sample: "EncodedSample") -> "Tensor":
        return pixel_values(rgb_pixels(names[sample.id], workspace.blobs.read(sample.id)))

    return pixels


def _settings(declared: Declaration) -> Settings:
    if declared.recipe.decoder is None:
        return Settings(decoder=None)
    identity = decoder_identity(declared.recipe)
    return Settings(decoder=identity).beside(recipe=declared.recipe)


STAGE = Stage(
    name="vae_decoder",
    grain="model",
    description=__doc__,
    group="training",
    kinds=frozenset({"torch", "diffusers"}),
    code_version=CODE_VERSION,
    run=tune_decoder,
    settings=_settings,
    reads=(Reads("encoded_dataset", when=has_decoder), Reads("image_dataset", when=has_decoder)),
    uses=(VAE_OF_BASE,),
    pool="gpu",
)
