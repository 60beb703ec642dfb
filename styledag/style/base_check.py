"""Whether a style's settings fit its base, known before anything is gathered or trained."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from styledag.bases.base import Base, Tokens
from styledag.captions.template import fill
from styledag.errors import StyledagError
from styledag.images.buckets import settings_buckets
from styledag.scoring.records import styled
from styledag.style.model import Style
from styledag.style.yaml_lines import Location
from styledag.training.recipe import Recipe

_WEB_UI_SYNTAX = re.compile(
    r"\([^()]*[^()\d\s]\s*:\s*\d*\.\d+\s*\)|<(?:lora|lyco|hypernet|embedding):[^<>]*>",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mismatch:
    """A setting that does not fit the base.

    Attributes:
        location: The setting's in the style file.
        message: What the base has, and what to do.
    """

    location: Location
    message: str

    def __str__(self) -> str:
        keys = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.location)
        return f"{''.join(keys).removeprefix('.')} {self.message}"


def mismatches(style: Style, base: Base) -> Iterator[Mismatch]:
    """Yield the settings that only the base's family can judge, where it refuses them.

    Blocks, layers, image sizes, sampler, and texts longer than the base reads. Of the base,
    configurations and tokenizers are read, and no weights.

    Raises:
        ModelError: If the base's tokenizer or denoiser has no readable configuration.
    """
    for name, recipe in style.recipes.items():
        yield from _recipe(("recipes", name), recipe, base)
    yield from _blocks(("blends", "block_weights"), style.blends.block_weights, base)
    yield from _refused(("blends", "method"), lambda: _check_method(style, base))
    yield from _parts(style, base)
    yield from _sizes(style, base)
    samples = style.samples
    own = base.latents.shape(width_px=base.size_px[0], height_px=base.size_px[1])
    yield from _refused(
        ("samples", "scheduler"),
        lambda: base.sampler(samples.scheduler, samples.num_inference_steps, own),
    )
    for location, text in _prompts(style, base.tokens).items():
        syntax = _WEB_UI_SYNTAX.search(text)
        if syntax:
            yield Mismatch(
                location,
                f"has {syntax[0]!r}, which web UIs read as a weight or a file to load, and the "
                "base as words of the prompt: write the words alone",
            )
        count, limit = base.tokens.count(text), base.tokens.limit
        if count > limit:
            yield Mismatch(
                location, f"is {count} tokens long, but the base reads {limit}: shorten it"
            )
    for location, template in _templates(style).items():
        count, limit = base.tokens.count(fill(template, {}, optional=False)), base.tokens.limit
        if count >= limit:
            yield Mismatch(
                location,
                f"is {count} tokens long without a caption, but the base reads {limit}: shorten it",
            )


def _check_method(style: Style, base: Base) -> None:
    """Check the merge method's settings against the denoiser's tensors; most have none to check."""
    method = style.blends.method
    if method.reads_names:
        method.check_names(base.denoiser(device="meta").state_dict())


def _parts(style: Style, base: Base) -> Iterator[Mismatch]:
    there = base.parts.beside_denoiser
    for part in style.blends.parts:
        if part not in there:
            yield Mismatch(
                ("blends", "parts", part),
                f"is no part of the base that can be blended beside its {base.parts.denoiser}: "
                f"name {' or '.join(there)}",
            )
        elif part == base.parts.autoencoder:
            for name, recipe in style.recipes.items():
                if recipe.decoder is not None:
                    yield Mismatch(
                        ("blends", "parts", part),
                        f"is the autoencoder, whose decoder recipe {name} tunes: leave out one of "
                        "the two",
                    )


def _prompts(style: Style, tokens: Tokens) -> Mapping[Location, str]:
    return {
        **{("samples", "prompts", at): text for at, text in enumerate(style.samples.prompts)},
        ("samples", "negative_prompt"): style.samples.negative_prompt,
        **_longest_styled(style, tokens),
        **{
            ("scores", "outside_prompts", at): text
            for at, text in enumerate(style.scores.outside_prompts)
        },
        **{
            ("recipes", name, "prior", "class_prompt"): recipe.prior.class_prompt
            for name, recipe in style.recipes.items()
            if recipe.prior is not None
        },
    }


def _longest_styled(style: Style, tokens: Tokens) -> Mapping[Location, str]:
    """Return the longest prompt with the style prompt, if the style has one.

    Of prompts that are not too long alone, which are named themselves.
    """
    words = style.scores.style_prompt
    prompts = (*style.samples.prompts, *style.scores.outside_prompts)
    fitting = [each for each in prompts if tokens.count(each) <= tokens.limit]
    if words is None or not fitting:
        return {}
    return {("scores", "style_prompt"): max((styled(each, words) for each in fitting), key=len)}


def _templates(style: Style) -> Mapping[Location, str]:
    captions = style.captions
    return {
        ("captions", "template"): captions.template,
        **{("captions", "variants", at): each for at, each in enumerate(captions.variants)},
    }


def _recipe(location: Location, recipe: Recipe, base: Base) -> Iterator[Mismatch]:
    from styledag.training.weights.trainable import Trainable

    yield from _blocks((*location, "blocks"), recipe.blocks or (), base)
    yield from _blocks((*location, "block_rates"), recipe.block_rates, base)
    prior = recipe.prior
    if prior is not None:
        own = base.latents.shape(width_px=base.size_px[0], height_px=base.size_px[1])
        yield from _refused(
            (*location, "prior", "num_inference_steps"),
            lambda: base.sampler(base.usual_sampler, prior.num_inference_steps, own),
        )
    everywhere = replace(recipe, blocks=None, block_rates={})
    yield from _refused((*location, "trained"), lambda: Trainable(base, everywhere))
    yield from _refused(
        location, lambda: base.objective(min_snr_gamma=recipe.min_snr_gamma, flow=recipe.flow)
    )


def _blocks(
    location: Location, named: Mapping[str, float] | tuple[str, ...], base: Base
) -> Iterator[Mismatch]:
    for at, block in enumerate(named):
        if block not in base.blocks:
            there = ", ".join(base.blocks)
            yield Mismatch(
                (*location, block if isinstance(named, Mapping) else at),
                f"names block {block!r}, which the base does not have: name some of {there}",
            )


def _sizes(style: Style, base: Base) -> Iterator[Mismatch]:
    samples, side_px = style.samples, style.images.size_px
    width_px, height_px = samples.width_px or side_px, samples.height_px or side_px
    own_sizes: dict[Location, tuple[int, int]] = {("images", "size_px"): (side_px, side_px)}
    if style.images.mode == "bucket":
        own_sizes["images", "mode"] = settings_buckets(style.images)[-1]
    if (width_px, height_px) != (side_px, side_px):
        key = "width_px" if samples.width_px else "height_px"
        own_sizes["samples", key] = (width_px, height_px)
    for location, (width, height) in own_sizes.items():
        yield from _refused(
            location,
            lambda width=width, height=height: base.latents.shape(  # type: ignore[misc]
                width_px=width, height_px=height
            ),
        )


def _refused(location: Location, check: Callable[[], object]) -> Iterator[Mismatch]:
    try:
        check()
    except StyledagError as exc:
        yield Mismatch(location, f"does not fit: {exc}")
