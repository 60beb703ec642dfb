"""What a style file says of scores."""

from dataclasses import dataclass

from styledag.models.reference import ModelReference
from styledag.settings import StrictSettings, setting


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(ModelReference):
    """An image classifier to which the style is one of its labels."""

    label: str = setting(min_length=1, help="The label that stands for the style.")
    prompts: tuple[str, ...] = setting(
        (),
        help="Prompts whose images it is asked about, such as of what the style's images do "
        "not show; all of them if left out.",
    )


@dataclass(frozen=True, kw_only=True)
class IpAdapterSettings(ModelReference):
    """An IP-Adapter, which shows the base some of the style's images instead of training it."""

    weights: str = setting(
        pattern=r"\.safetensors$",
        help="The adapter's file in model, such as models/ip-adapter_sd15.safetensors: a plain "
        "one or Plus, for the base's own family.",
    )
    image_encoder: str = setting(
        min_length=1,
        help="The folder of its image encoder in model, such as models/image_encoder.",
    )
    scale: float = setting(0.5, gt=0, le=1, help="Weight of the images beside the prompt.")
    images: int = setting(
        1,
        ge=1,
        le=16,
        help="How many training images it is shown with each prompt, of as many families.",
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """Subfolders and files of the model that are read."""
        return (self.image_encoder, self.weights)


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(StrictSettings):
    """How checkpoints and blends are judged."""

    scorer: ModelReference = setting(help="A CLIP, SigLIP or DINOv2 model.")
    classifier: ClassifierSettings | None = setting(
        None,
        help="A classifier that says of how many images it takes them for the style; none is "
        "asked if left out.",
    )
    outside_prompts: tuple[str, ...] = setting(
        (),
        help="Prompts of what the style's images do not show. The base's own images of these "
        "measure what a model remembers of it; samples.prompts if left out.",
    )
    loss_images: int = setting(
        16,
        ge=2,
        help="Most held-out images, and how many of the base's own, on which the denoising loss "
        "of each checkpoint and blend is computed: more narrow the intervals and take longer.",
    )
    style_prompt: str | None = setting(
        None,
        min_length=1,
        help="Words that ask the base for the style, added to each prompt after a comma. The base "
        "is scored with them beside the models: is training worth it?",
    )
    ip_adapter: IpAdapterSettings | None = setting(
        None,
        help="An IP-Adapter for a base of Stable Diffusion 1.x, 2.x or XL. The base is scored "
        "with it beside the models: is training worth it?",
    )
    other_styles: tuple[str, ...] = setting(
        (),
        identity=False,
        help="Other styles of the project, which a score must tell this one from by their held-out "
        "images, beside the base's own images. Their datasets are read as they were made last.",
    )
    copying_percentile: float = setting(
        5.0,
        gt=0,
        lt=100,
        help="A sample nearer to a training image than this percentile of the "
        "held-out images is called a copy.",
    )
    batch_size: int = setting(32, ge=1, identity=False, help="Images embedded at a time.")
