"""What a style file says of the images that show a model."""

from dataclasses import dataclass

from styledag.settings import StrictSettings, setting

_SEEDS = 1 << 63
"""Seeds are stored beside images as integers of 64 bits with a sign."""


@dataclass(frozen=True, kw_only=True)
class SampleSettings(StrictSettings):
    """Prompts, seeds and the sampler; one and the same for grids, GIFs and scores."""

    prompts: tuple[str, ...] = setting(
        min_length=1, help="Prompts; some inside the style's subjects, some outside."
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2, 3), min_length=1, help="Seeds; an image follows from prompt and seed alone."
    )
    negative_prompt: str = setting("", help="What guidance leads away from.")
    scheduler: str = setting(
        "dpm++",
        help="Sampler, one of the base's family; for Stable Diffusion and XL ddim, dpm++ "
        "(DPM-Solver++ 2M), euler or euler_a (Euler ancestral).",
    )
    num_inference_steps: int = setting(25, ge=1, le=1000, help="Denoising steps of one image.")
    guidance_scale: float = setting(
        7.5, ge=1, le=50, help="Classifier-free guidance; 1 is without."
    )
    guidance_rescale: float = setting(
        0.0,
        ge=0,
        le=1,
        help="How far the spread of a guided prediction is taken back to that without guidance "
        "(Lin et al. 2023); 0.7 for bases with zero-terminal SNR, whose images burn out without.",
    )
    width_px: int | None = setting(
        None, ge=8, help="Width of the images in pixels; images.size_px when left out."
    )
    height_px: int | None = setting(
        None, ge=8, help="Height of the images in pixels; images.size_px when left out."
    )
    batch_size: int = setting(4, ge=1, identity=False, help="Images denoised at a time.")
    denoising_every_steps: int = setting(
        1, ge=1, help="Denoising steps between two frames of the denoising GIF."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("prompts", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} holds a value twice")
        if self.negative_prompt and self.guidance_scale == 1:
            raise ValueError(
                "negative_prompt is what guidance leads away from, and guidance_scale 1 is without "
                "guidance: set it above 1, or leave out negative_prompt"
            )
        if self.guidance_rescale and self.guidance_scale == 1:
            raise ValueError(
                "guidance_rescale takes back a part of what guidance does, and guidance_scale 1 is "
                "without guidance: set it above 1, or leave out guidance_rescale"
            )
        large = next((seed for seed in self.seeds if not -_SEEDS <= seed < _SEEDS), None)
        if large is not None:
            raise ValueError(f"seed {large} has more than 64 bits: choose a smaller one")
