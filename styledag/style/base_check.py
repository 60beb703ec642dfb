"""Whether a style's settings fit its base, known before anything is gathered or trained."""

from styledag.bases.base import Base, check_length
from styledag.bases.blocks import prefix_of
from styledag.errors import StyledagError, StyleFileError
from styledag.style.model import Style


def check_base(style: Style, base: Base) -> None:
    """Check names and sizes that only the base's family knows, and the prompts' lengths.

    Of the base, configurations and tokenizers are read, and no weights.

    Raises:
        StyleFileError: If a recipe or blend names a block or layer that the base does not have,
            images do not have a size that it draws, it has no such sampler, or a prompt is too
            long; the message names the key and what the base has.
        ModelError: If one of the base's configurations is missing or damaged.
    """
    _check_recipes(style, base)
    for block in style.blends.block_weights:
        prefix_of(block, base.blocks, setting="blends.block_weights", error=StyleFileError)
    samples, side_px = style.samples, style.images.size_px
    sizes = {
        "images.size_px": (side_px, side_px),
        "samples": (samples.width_px or side_px, samples.height_px or side_px),
    }
    for key, (width_px, height_px) in sizes.items():
        try:
            base.latents.shape(width_px=width_px, height_px=height_px)
        except StyledagError as exc:
            raise StyleFileError(f"{key}: {exc}") from exc
    base.sampler(samples.scheduler, samples.num_inference_steps)
    for prompt in (*samples.prompts, samples.negative_prompt):
        check_length(prompt, base.tokens, called="prompt", error=StyleFileError)


def _check_recipes(style: Style, base: Base) -> None:
    from styledag.training.trainable import Trainable

    for name, recipe in style.recipes.items():
        try:
            Trainable(base, recipe)
            base.objective(min_snr_gamma=recipe.min_snr_gamma)
        except StyledagError as exc:
            raise StyleFileError(f"recipe {name!r}: {exc}") from exc
