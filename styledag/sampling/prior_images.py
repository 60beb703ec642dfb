"""Images that a base draws of its own class, for DreamBooth's prior preservation."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.find import find_base
from styledag.images.converting.resize import covered
from styledag.sampling.marking import mark_png, marked_png
from styledag.sampling.sampler import Sample, Sampler
from styledag.sampling.settings import SampleSettings
from styledag.store.items import item_key
from styledag.store.workspace import Workspace
from styledag.training.encoding.samples import EncodeSample
from styledag.training.recipe import PriorSettings

if TYPE_CHECKING:
    from styledag.models.compute import Compute

_BATCH_SIZE = 8


def prior_samples(
    prior: PriorSettings,
    base: Path,
    buckets: Iterable[tuple[int, int]],
    *,
    base_version: str,
    compute: "Compute",
    workspace: Workspace,
) -> list[EncodeSample]:
    """Return the class's images as samples of the split ``prior``, drawing what is not known.

    The base draws at its own size, with seeds from 0. What another shape needs is scaled and
    cropped from the middle, so that each image comes once in every shape.

    Args:
        prior: What is asked for, and how.
        base: Folder of the base in diffusers' layout.
        buckets: Widths and heights of the images beside which they will be trained on.
        base_version: sha256 of the whole base.
        compute: Where and how to compute.
        workspace: Remembers images by item, and counts those really drawn under ``samples``.

    Raises:
        DeviceError: If the device's memory does not suffice.
        ModelError: If a model cannot be loaded, or gives NaN.
        StyleFileError: If the class prompt is longer than the base reads.
    """
    found = find_base(base)
    guidance_scale = prior.guidance_scale
    if guidance_scale is None:
        guidance_scale = found.usual_guidance_scale
    settings = SampleSettings(
        prompts=(prior.class_prompt,),
        seeds=tuple(range(prior.images)),
        scheduler=found.usual_sampler,
        num_inference_steps=prior.num_inference_steps,
        # The sampler calls 1 what is without guidance; below it there is no other meaning.
        guidance_scale=max(1.0, guidance_scale),
        batch_size=_BATCH_SIZE,
    )
    sampler = Sampler(base, settings, compute, base_version=base_version)
    with workspace.progress.task("class images", prior.images) as advance:
        drawn = sampler.draw(sampler.pairs, workspace, advance)
    sizes = sorted(set(buckets))
    return [_sample(sampler, sample, size, workspace) for sample in drawn for size in sizes]


def _sample(
    sampler: Sampler, sample: Sample, size: tuple[int, int], workspace: Workspace
) -> EncodeSample:
    image = sample.image
    content = mark_png(sample.png) if image.size == size else marked_png(covered(image, size))
    drawn_as = sampler.image_key((sample.prompt, sample.seed))
    return EncodeSample(
        id=item_key(drawn_as=drawn_as, size=size),
        caption=sample.prompt,
        split="prior",
        name=f"the base's {sample.prompt!r} with seed {sample.seed}",
        image_sha256=workspace.blobs.put(content),
    )
