"""VAE posterior moments and text-encoder states, one row an image and its mirror image.

Made once by the base's frozen parts, so that training never runs them. A recipe with a prior has
the base's own images of the class encoded beside them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, uses_base
from styledag.sampling import sampler
from styledag.settings import settings_identity
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace
from styledag.training.encoding import encode
from styledag.training.recipe import PriorSettings

if TYPE_CHECKING:
    from styledag.training.encoding.samples import EncodeSample


def encode_images(inputs: Inputs, workspace: Workspace) -> Facts:
    """Encode the dataset's images and captions, and the prior's."""
    from styledag.dataset.read import read_dataset
    from styledag.training.encoding.encode import encode_dataset
    from styledag.training.encoding.samples import EncodeSample

    prompt = inputs.settings["instance_prompt"]
    samples = [
        EncodeSample(
            id=row.id,
            caption=row.text if prompt is None else prompt,
            variants=row.variants if prompt is None else (),
            split=row.split,
            family=row.family,
            name=row.origin.url,
            image_sha256=row.id,
            original_px=row.original_px,
            crop_px=row.crop_px,
        )
        for row in read_dataset(inputs.folder("image_dataset"))
    ]
    base = inputs.models["base_encoders"]
    prior = _prior(inputs)
    facts = encode_dataset(
        [*samples, *_prior_samples(prior, samples, inputs, workspace)],
        base.folder,
        base_version=base.version,
        compute=inputs.compute(),
        workspace=workspace,
        flip=inputs.settings["flip"],
    )
    return facts if prior is None else {**facts, "prior_images": prior.images}


def _prior(inputs: Inputs) -> PriorSettings | None:
    prior = inputs.settings["prior"]
    return None if prior is None else PriorSettings(**prior["drawn"])


def _prior_samples(
    prior: PriorSettings | None,
    samples: "Sequence[EncodeSample]",
    inputs: Inputs,
    workspace: Workspace,
) -> "list[EncodeSample]":
    from styledag.sampling.prior_images import prior_samples
    from styledag.training.encoding.image_sizes import image_sizes

    if prior is None:
        return []
    trained = [each for each in samples if each.split == "train"]
    base = inputs.models["base"]
    return prior_samples(
        prior,
        base.folder,
        image_sizes(trained, workspace).values(),
        base_version=base.version,
        compute=inputs.compute(),
        workspace=workspace,
    )


def _settings(declared: Declaration) -> Settings:
    recipe = declared.recipe
    prior: dict[str, Any] | None = None
    if recipe.prior is not None:
        # Its weight in the loss changes no image.
        drawn = {k: v for k, v in settings_identity(recipe.prior).items() if k != "loss_weight"}
        prior = {"drawn": drawn, "code_version": sampler.CODE_VERSION}
    return Settings(
        flip=recipe.horizontal_flip, instance_prompt=recipe.instance_prompt, prior=prior
    )


STAGE = Stage(
    name="encoded_dataset",
    grain="model",
    description=__doc__,
    group="training",
    kinds=frozenset({"diffusers", "safetensors"}),
    code_version=encode.CODE_VERSION,
    run=encode_images,
    settings=_settings,
    reads=(Reads("image_dataset"),),
    uses=(
        uses_base("base_encoders", lambda parts: parts.encoding),
        # The whole base draws the class's images.
        uses_base(
            "base",
            lambda parts: parts.sampling,
            lambda declared: declared.recipe.prior is not None,
        ),
    ),
    pool="gpu",
)
