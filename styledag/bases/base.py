"""What a base is to the rest of the project: one protocol, filled by one file for each family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.flow_objective import FlowSettings
from styledag.bases.latents import LatentSpace, LatentsShape, Moments
from styledag.errors import StyledagError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Names of subfolders of a base in diffusers' layout, by what reads them.

    Attributes:
        denoiser: The model that is fine-tuned.
        autoencoder: The model between images and latents.
        tokenizers: What counts a text's tokens.
        training: All that training reads: the denoiser and the noise schedule.
        encoding: All that encoding images and texts reads.
    """

    denoiser: str
    autoencoder: str
    tokenizers: tuple[str, ...]
    training: tuple[str, ...]
    encoding: tuple[str, ...]

    @property
    def beside_denoiser(self) -> tuple[str, ...]:
        """The other models: the autoencoder and the text encoders."""
        return tuple(part for part in self.encoding if part not in self.tokenizers)

    @property
    def sampling(self) -> tuple[str, ...]:
        """All that drawing an image reads."""
        return (*self.encoding, *self.training)


@dataclass(frozen=True)
class Probe:
    """A module of a denoiser whose speed stands for that of all of it.

    Attributes:
        module: On the meta device. Called with named tensors, it returns a tensor or a tuple that
            starts with one.
        inputs: Shape of each input for one image, by name. The first is differentiated.
        left_out: Names of inputs that are ``None``.
    """

    module: "nn.Module"
    inputs: Mapping[str, tuple[int, ...]]
    left_out: tuple[str, ...] = ()


class Tokens(Protocol):
    """Counts tokens as a base's text encoder does."""

    @property
    def limit(self) -> int:
        """Most tokens that the text encoder reads, special ones included."""

    def count(self, text: str) -> int:
        """Return how many tokens a text has, special ones included."""

    def backends(self) -> "Sequence[Tokenizer]":
        """Return the tokenizers of which the one that makes most of a text counts it.

        Without padding and truncation. None, where a text is changed before it is counted.
        """


class TextEncoder(Protocol):
    """A base's text encoders, loaded."""

    @property
    def models(self) -> Mapping[str, Any]:
        """Its models, of transformers', by the names of the base's parts."""

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return what the denoiser reads for each text, on the text encoders' device.

        Captions in training, prompts, negative prompts and the empty text all come from here.

        Args:
            texts: None longer than the base's :class:`Tokens` allow.
        """


class Autoencoder(Protocol):
    """A base's autoencoder, loaded."""

    @property
    def model(self) -> Any:
        """Its weights: a model of diffusers'."""

    @property
    def dtype(self) -> "torch.dtype":
        """Their dtype, which differs from the one asked for where that would overflow."""

    @property
    def decoding(self) -> tuple[str, ...]:
        """What the names of the parameters start with that decode latents and encode nothing."""

    def encode(self, pixels: "Tensor") -> Moments:
        """Return the posterior moments of images, [B, 3, H, W] in -1 to 1."""

    def decode(self, latents: "Tensor") -> "Tensor":
        """Return the images of unscaled latents; differentiable.

        Returns:
            Pixels in -1 to 1, float32. # B3HW
        """


class Objective(Protocol):
    """What a denoiser learns to predict, from which inputs, and how its errors are weighted."""

    def timesteps(self, shares: Sequence[float], shape: LatentsShape) -> "Tensor":
        """Return timesteps by rising noise.

        Args:
            shares: For each sample, a share of the distribution of timesteps, 0 to below 1;
                uniform random numbers give timesteps as they are drawn in training.
            shape: Of one sample's latents, which some schedules depend on.
        """

    def noisy(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return scaled latents with noise added, of the same shape.

        Args:
            latents: Scaled latents. # BCHW
            noise: Standard normal. # BCHW
            timesteps: From :meth:`timesteps`. # B
        """

    def target(self, latents: "Tensor", noise: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return what the denoiser has to predict, BCHW."""

    def per_sample(self, prediction: "Tensor", target: "Tensor", timesteps: "Tensor") -> "Tensor":
        """Return each sample's loss, float32, [B]."""


class SamplingSchedule(Protocol):
    """A sampler ready for its first step."""

    @property
    def timesteps(self) -> "Tensor":
        """Timesteps of all denoising steps, in order."""

    def start(self, noise: "Tensor") -> "Tensor":
        """Return the latents that denoising starts from, given standard normal noise."""

    def denoiser_input(self, latents: "Tensor", timestep: "Tensor") -> "Tensor":
        """Return the latents as the denoiser reads them at a timestep."""

    def step(
        self,
        prediction: "Tensor",
        timestep: "Tensor",
        latents: "Tensor",
        generators: "Sequence[torch.Generator]",
    ) -> "Tensor":
        """Return the latents after a denoising step.

        Args:
            prediction: The denoiser's prediction, float32.
            timestep: The step's.
            latents: Before the step.
            generators: One for each image, for samplers that add noise.
        """

    def decodable(self, latents: "Tensor") -> "Tensor":
        """Return the latents after the latest step in the scale that the decoder knows."""


class Base(Protocol):
    """A text-to-image model in diffusers' layout; :func:`~styledag.bases.find.find_base` makes it.

    Nothing is read before a member needs it. On the device ``meta``, models are made from their
    configurations alone: shapes without weights, which cost neither memory nor time.
    """

    @property
    def family(self) -> str:
        """Name of its family."""

    @property
    def folder(self) -> Path:
        """Where its files are."""

    @property
    def parts(self) -> Parts:
        """Its subfolders."""

    @property
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the images that it was made for."""

    @property
    def tokens(self) -> Tokens:
        """Counts a text's tokens, and says how many are read."""

    @property
    def elsewhere(self) -> Elsewhere:
        """Its names in other trainers and web UIs.

        Raises:
            ModelError: If a configuration that decides it is missing or damaged.
        """

    @property
    def usual_sampler(self) -> str:
        """Name of the sampler that it is drawn with unless a style file names another."""

    @property
    def usual_guidance_scale(self) -> float:
        """Classifier-free guidance of its pipeline in diffusers; 1 is none."""

    @property
    def blocks(self) -> Mapping[str, str]:
        """Prefix of the parameters' names in each block of the denoiser, by the block's name.

        A block within another is named after it, as ``up.0`` in ``up``.
        """

    @property
    def layers(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the modules in the denoiser that are ``attention`` or ``cross_attention``."""

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> TextEncoder:
        """Return its text encoders, float32 when no dtype is given.

        On the device ``meta`` no tokenizer is read.

        Raises:
            ModelError: If one is missing, damaged or incomplete.
        """

    def autoencoder(
        self,
        folder: Path | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> Autoencoder:
        """Return an autoencoder: its own, or the fine-tuned one in a folder.

        Raises:
            ModelError: If it is missing, damaged or incomplete.
        """

    def denoiser(
        self,
        folder: Path | None = None,
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> Any:
        """Return a denoiser, a model of diffusers': its own, or the fine-tuned one in a folder.

        Raises:
            ModelError: If it is missing, damaged or incomplete, or needs inputs that the family
                does not have.
        """

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return a denoiser's prediction, of the latents' shape; differentiable.

        Args:
            denoiser: From :meth:`denoiser`, wrapped or compiled or not.
            latents: Noisy latents. # BCHW
            timesteps: One for each image, or one for all; of any dtype.
            conditioning: A row for each image.
        """

    def image_conditioning(
        self, *, original_px: tuple[int, int], crop_px: tuple[int, int], size_px: tuple[int, int]
    ) -> Mapping[str, tuple[int, ...]]:
        """Return what the denoiser reads of a training image beside its caption, by name.

        It joins the caption's conditioning, whose names are others. Where it is missing, as in
        sampling, :meth:`predict` takes an image of the latents' size that was not cropped.

        Args:
            original_px: Width and height of the original.
            crop_px: What was cut off of the original on the left and above, once it was scaled.
            size_px: Width and height of the image.
        """

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return the conditioning of so many texts on the meta device: names, shapes, dtypes.

        Raises:
            ModelError: If a configuration is missing or damaged.
        """

    def objective(
        self, *, min_snr_gamma: float | None = None, flow: FlowSettings | None = None
    ) -> Objective:
        """Return what the denoiser is trained for.

        Args:
            min_snr_gamma: Weights errors by min(SNR, gamma) over SNR; not weighted when ``None``.
            flow: How flow matching draws timesteps and weights errors; the base's own way when
                ``None``.

        Raises:
            ModelError: If the base's schedule cannot be trained, or not in that way.
        """

    def sampler(self, name: str, num_inference_steps: int, shape: LatentsShape) -> SamplingSchedule:
        """Return a sampler on the base's own schedule.

        Args:
            name: As style files name it.
            num_inference_steps: Denoising steps.
            shape: Of one image's latents, which some schedules depend on.

        Raises:
            StyleFileError: If the family has no sampler of that name.
            ModelError: If the schedule is missing or damaged.
        """

    @property
    def has_texts_of_any_length(self) -> bool:
        """Whether its denoiser reads fewer tokens of shorter texts, and not always as many."""

    def modules_to_compile(self, denoiser: "nn.Module") -> "Sequence[nn.Module]":
        """Return the modules that a denoiser repeats, outermost only."""

    def probes(self, size: tuple[int, int]) -> Sequence[Probe]:
        """Return modules by which a device's speed is measured.

        Args:
            size: Height and width of latents.
        """


def check_length(text: str, tokens: Tokens, *, called: str, error: type[StyledagError]) -> None:
    """Check that a text is not longer than a base reads."""
    found = tokens.count(text)
    if found > tokens.limit:
        raise error(
            f"{called} {text!r} is {found} tokens long, but the base reads {tokens.limit}: "
            "shorten it"
        )
