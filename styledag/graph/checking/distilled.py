"""Whether a base was distilled to draw in few steps, which mostly its name alone shows."""

import re

from styledag.models.reference import ModelReference

_DISTILLED = re.compile(
    r"(?<!de)(?<!de[-_ ])(?:turbo|distill)|lightning|schnell|hyper[-_]?sd"
    r"|(?<![a-z])(?:lcm|dmd2?|flash|sprint)(?![a-z])"
    # FLUX.2's base has that word in its name, and the distilled model has nothing in its place.
    r"|klein[-_ ]?\d+b",
    re.IGNORECASE,
)


def distilled_remark(base: ModelReference) -> str:
    """Return what to know of a base that is distilled by its name; empty of any other.

    Files do not show it: weights of Stable Diffusion XL Turbo or Z-Image-Turbo have the names and
    shapes of those that they were made from, and everything runs as if they were those.
    """
    names = (str(each).rsplit("/", 1)[-1] for each in (base.model, base.denoiser) if each)
    named = next((name for name in names if _DISTILLED.search(name)), None)
    if named is None:
        return ""
    return (
        f"; {named} is distilled by its name, to draw in few steps without guidance "
        "(samples: {num_inference_steps: 8, guidance_scale: 1}), and training undoes that: train "
        "the base that it was made from, and put the style onto it by blends.method add_difference"
    )
