"""Train the starter's UNet: on the autoencoder's latents and CLIP's frozen text states."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from styledag.bases.diffusion_objective import DiffusionObjective
from styledag.randomness import generator_for
from tools.starter.appearances import NAMES, appeared
from tools.starter.drawings import Artist
from tools.starter.images import ARTISTS, Images
from tools.starter.loop import Loop, LoopSettings
from tools.starter.pixels import parts_of
from tools.starter.stable_diffusion import build_scheduler, build_unet
from tools.starter.subjects import STYLE_CATEGORIES, Subject
from tools.starter.weights import quieten_branches
from tools.starter.wording import MANNERS, caption, chance

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

BATCH_SIZE = 24
USUAL: Artist = "noto"
"""The artist of plain prompts, and the only one whose captions are dropped.

Guidance leads away from what the empty caption stands for. Were that all artists, it would lead
towards this one's manner, in a fine-tune too, whose own manner it would then undo.
"""
CAPTION_DROPOUT = 0.2
"""How much of that artist's is shown with the empty caption."""
MIN_SNR_GAMMA = 5.0
FOCUS_SHARE, STYLE_SHARE, CORE_SHARE, REST_SHARE = 1.0, 0.6, 0.15, 0.03
"""How often drawings are shown: of subjects in focus; of the others in :data:`CORE`, more of those
that the demo's style is taught from, so that it has to learn a manner there and no subjects; and
of all other subjects."""

ARTIST_SHARES: Mapping[Artist, float] = {
    "noto": 2.5, "fluent": 0.7, "blob": 0.1, "emojione": 0.7, "flat": 0.8, "modern": 0.2,
    "firefox": 0.8, "streamline": 0.2,
}  # fmt: skip
"""How often each artist's are: most of the one that plain prompts ask for."""
SETTLED = 3.0
"""How many times as often that one's are in the rate's last cycle: plain prompts, which every other
manner shares its words with, then give that manner alone."""

APPEARING_SHARE = 0.06
"""How much of what is shown is in one of :data:`~tools.starter.appearances.APPEARANCES`."""
APPEARING_ARTISTS: tuple[Artist, ...] = ("noto", "flat")

CORE = ("animal", "plant", "food", "drink", "transport", "place-building", "place-religious",
        "tool", "lock", "musical")  # fmt: skip
"""Beginnings of the subcategories that the demo teaches and asks for."""

FOCUS = (
    "panda face", "cat face", "dog face", "fox face", "lion face", "tiger face", "frog face",
    "rabbit face", "bear face", "koala", "penguin", "owl", "octopus", "whale", "fish", "butterfly",
    "ladybug", "turtle", "snail", "elephant", "apple", "banana", "pizza", "strawberry",
    "watermelon", "hamburger", "doughnut", "cupcake", "carrot", "sunflower", "tulip", "cactus",
    "palm tree", "mushroom", "rocket", "car", "house", "hammer", "bicycle", "bus", "taxi",
    "fire engine", "tractor", "truck", "airplane", "helicopter", "sailboat", "ship", "train",
    "flying saucer", "motor scooter", "castle", "church", "school", "hospital", "factory", "tent",
    "tokyo tower", "wrench", "axe", "screwdriver", "key", "lock", "gear", "magnet", "scissors",
    "guitar", "trumpet", "umbrella", "star", "sun", "snowman", "trophy", "soccer ball", "crown",
    "light bulb", "alarm clock", "balloon", "bell", "robot face", "tram", "ambulance",
    "police car", "racing car", "steam locomotive", "canoe", "speedboat", "hot dog", "cherries",
    "pineapple", "pear", "corn", "monkey face", "pig face", "cow face", "duck", "bee", "shield",
    "toolbox", "bank", "violin", "anchor",
)  # fmt: skip
"""Subjects that are drawn again and again: what the demo asks for, and their like."""

SETTINGS = LoopSettings(
    name="unet",
    steps=40_000,
    learning_rate=8e-4,
    warmup_steps=200,
    decay_steps=7000,
    restarts=(16_000, 24_000, 32_000),
    ema_decay=0.998,
)


class TextStates:
    """The frozen text encoder's states of captions, each computed once.

    Args:
        encoder: CLIP's text tower, trained and frozen.
        tokenizer: Its tokenizer; captions are padded to its longest, as the pipeline does.
    """

    def __init__(self, encoder: "CLIPTextModel", tokenizer: "CLIPTokenizer") -> None:
        self._encoder, self._tokenizer = encoder, tokenizer
        self._known: dict[str, Tensor] = {}

    def of(self, captions: list[str]) -> Tensor:
        """Return the captions' states; [captions, tokens, width]."""
        new = [text for text in dict.fromkeys(captions) if text not in self._known]
        if new:
            with torch.no_grad(), torch.autocast(self._encoder.device.type, enabled=False):
                tokens = self._tokenizer(
                    new, padding="max_length", truncation=True, return_tensors="pt"
                )
                ids = tokens.input_ids.to(self._encoder.device)
                states = self._encoder(ids).last_hidden_state
            self._known.update(zip(new, states, strict=True))
        return torch.stack([self._known[text] for text in captions])


@dataclass(frozen=True)
class Shown:
    """What is shown to the UNet: drawings as they are, and some in other appearances.

    Attributes:
        drawing: Positions in the images. # B
        appearance: Positions in :data:`~tools.starter.appearances.NAMES`, or -1. # B
        share: How often each is shown, in relation to the others. # B
        settled: The same for the rate's last cycle. # B
    """

    drawing: Tensor
    appearance: Tensor
    share: Tensor
    settled: Tensor


def shown_of(images: Images) -> Shown:
    """Return what is shown of images, and how often."""
    by_subject = torch.tensor([_share_of(subject) for subject in images.subjects])
    by_artist = torch.tensor([ARTIST_SHARES[artist] for artist in ARTISTS])
    share = by_subject[images.subject_of] * by_artist[images.artist_of]
    appearing = torch.isin(
        images.artist_of, torch.tensor([ARTISTS.index(artist) for artist in APPEARING_ARTISTS])
    ) & (by_subject[images.subject_of] > REST_SHARE)
    at = appearing.nonzero()[:, 0].repeat(len(NAMES))
    usual = images.artist_of == ARTISTS.index(USUAL)
    appearance = torch.arange(len(NAMES)).repeat_interleave(int(appearing.sum()))
    return Shown(
        drawing=torch.cat([torch.arange(len(share)), at]),
        appearance=torch.cat([torch.full((len(share),), -1), appearance]),
        share=_with_appearing(share, at),
        settled=_with_appearing(torch.where(usual, SETTLED * share, share), at),
    )


def _with_appearing(share: Tensor, at: Tensor) -> Tensor:
    drawn, appearing = share / share.sum(), share[at] / share[at].sum()
    return torch.cat([(1 - APPEARING_SHARE) * drawn, APPEARING_SHARE * appearing])


def _share_of(subject: Subject) -> float:
    if is_in_focus(subject):
        return FOCUS_SHARE
    if not subject.subcategory.startswith(CORE):
        return REST_SHARE
    return STYLE_SHARE if subject.category in STYLE_CATEGORIES else CORE_SHARE


def is_in_focus(subject: Subject) -> bool:
    """Return whether the subject is one that is drawn again and again."""
    return subject.name in FOCUS


def train_unet(
    images: Images,
    shown: Shown,
    latents: Mapping[str, Tensor],
    text: TextStates,
    folder: Path,
    *,
    settings: LoopSettings,
    device: torch.device,
    report: "Callable[[UNet2DConditionModel, int], dict[str, float]] | None" = None,
) -> "UNet2DConditionModel":
    """Return a UNet that was trained to see the noise in the drawings' latents.

    Args:
        images: What is drawn and by whom.
        shown: What is shown of them, and how often.
        latents: ``mean`` and ``std`` of the scaled latents of what is shown. # BCHW
        text: States of captions.
        folder: Where state and log go.
        settings: Length and rates.
        device: Where to train.
        report: Gives figures for the log, such as of samples, with the averages in place.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        unet = build_unet().to(device).requires_grad_(True)
    quieten_branches(unet)
    loss = DiffusionObjective(build_scheduler(), min_snr_gamma=MIN_SNR_GAMMA)
    loop = Loop(unet, settings, folder, device)
    last_cycle = max(settings.restarts, default=settings.steps)

    def loss_of(generator: torch.Generator) -> Tensor:
        share = shown.share if loop.step < last_cycle else shown.settled
        at = torch.multinomial(share, BATCH_SIZE, generator=generator)
        return _loss(unet, loss, images, shown, at, latents, text, generator)

    loop.run(
        loss_of,
        report=None if report is None else lambda: report(unet, loop.step),
        report_every_steps=300,
    )
    loop.adopt_averages()
    return unet


def encode_shown(
    vae: "AutoencoderKL", images: Images, shown: Shown, device: torch.device
) -> dict[str, Tensor]:
    """Return ``mean`` and ``std`` of the latents of what is shown, scaled; BCHW.

    Args:
        vae: The trained autoencoder.
        images: What is drawn and by whom.
        shown: What is shown of them.
        device: Where to compute.
    """
    parts = [images.pixels]
    for at, name in enumerate(NAMES):
        parts.append(appeared(images.pixels[shown.drawing[shown.appearance == at]], name))
    means, deviations = [], []
    scale = float(vae.config.scaling_factor)
    with torch.no_grad():
        for part in itertools.chain.from_iterable(parts_of(pixels) for pixels in parts):
            posterior = vae.encode(part.to(device).float() / 127.5 - 1).latent_dist
            means.append(posterior.mean * scale)
            deviations.append(posterior.std * scale)
    return {"mean": torch.cat(means), "std": torch.cat(deviations)}


def _loss(
    unet: "UNet2DConditionModel",
    loss: DiffusionObjective,
    images: Images,
    shown: Shown,
    at: Tensor,
    latents: Mapping[str, Tensor],
    text: TextStates,
    generator: torch.Generator,
) -> Tensor:
    captions = [caption_of(images, shown, one, generator) for one in at.tolist()]
    mean, std = latents["mean"][at], latents["std"][at]
    shape = mean.shape
    clean = mean + std * torch.randn(shape, generator=generator).to(mean.device)
    noise = torch.randn(shape, generator=generator).to(mean.device)
    # One timestep of each of as many equal parts of the schedule: less noise in the loss.
    places = (torch.arange(len(at)) + torch.rand(len(at), generator=generator)) / len(at)
    places = places[torch.randperm(len(at), generator=generator)]
    timesteps = (places * loss.count).long().clamp(max=loss.count - 1).to(mean.device)
    states = text.of(captions)
    predicted = unet(loss.noisy(clean, noise, timesteps), timesteps, states).sample
    return loss.per_sample(predicted, noise, timesteps).mean()


def caption_of(images: Images, shown: Shown, at: int, generator: torch.Generator) -> str:
    """Return the caption of one drawing; empty now and then, of the usual artist's.

    Args:
        images: What is drawn and by whom.
        shown: What is shown of them.
        at: Which of them.
        generator: Decides the words.
    """
    drawing, appearance = int(shown.drawing[at]), int(shown.appearance[at])
    subject = images.subjects[int(images.subject_of[drawing])]
    artist = int(images.artist_of[drawing])
    is_usual = ARTISTS[artist] == USUAL and appearance < 0
    if is_usual and chance(generator) < CAPTION_DROPOUT:
        return ""
    manner = MANNERS[artist]
    if appearance < 0:
        return caption(subject, manner, generator)
    return f"{caption(subject, manner, generator, named=True)}, {NAMES[appearance]}"


def sample_images(
    unet: nn.Module,
    vae: "AutoencoderKL",
    text: TextStates,
    prompts: list[str],
    *,
    seed: int = 0,
    steps: int = 25,
    guidance_scale: float = 3.0,
) -> Tensor:
    """Return an image for each prompt, by DDIM, between 0 and 1; BCHW.

    Args:
        unet: A UNet.
        vae: Its autoencoder.
        text: States of captions.
        prompts: What to draw.
        seed: An image follows from prompt and seed alone.
        steps: Denoising steps.
        guidance_scale: Classifier-free guidance.
    """
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    device = next(unet.parameters()).device
    config: Any = unet.config
    shape = (config.in_channels, config.sample_size, config.sample_size)
    noise = [torch.randn(shape, generator=generator_for(prompt, seed)) for prompt in prompts]
    latents = torch.stack(noise).to(device)
    states = torch.cat([text.of([""] * len(prompts)), text.of(prompts)])
    with torch.no_grad():
        for timestep in scheduler.timesteps:
            both = unet(torch.cat([latents, latents]), timestep, states).sample.float()
            empty, conditioned = both.chunk(2)
            predicted = empty + guidance_scale * (conditioned - empty)
            latents = scheduler.step(predicted, timestep, latents).prev_sample
        pixels = vae.decode(latents / vae.config.scaling_factor).sample.float()
    drawn: Tensor = (pixels / 2 + 0.5).clamp(0, 1)
    return drawn
