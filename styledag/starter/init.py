"""Make the starter with random weights: the formats of the big models, small, from a seed."""

import shutil
import tempfile
from pathlib import Path

from styledag.errors import ModelError, StorageError
from styledag.models.quiet import quiet_transformers
from styledag.store.digest import folder_digest

CARD = """\
# The starter, with random weights

Four models in the formats of the big ones, small enough for a CPU. Their weights are **random**
(seed {seed}): everything runs on them, and what they make means nothing. They were made by
`styledag starter init`. The vocabularies are trained on the Unicode names of emoji. Weights are
stored as float16 and computed with as float32.

- `stable-diffusion/` is a `StableDiffusionPipeline` at 64 px: an `AutoencoderKL` of 16, 32 and 64
  channels with latents of 16x16x4, a `UNet2DConditionModel` of 64, 128 and 192 channels with
  cross-attention on the lower two levels, Stable Diffusion's noise schedule, epsilon prediction.
- `clip/` is a `CLIPModel` with its `CLIPProcessor`: a text tower of 3 and a vision tower of 4
  layers, both 128 wide. The text tower is the pipeline's text encoder.
- `blip/` is a `BlipForConditionalGeneration` with its `BlipProcessor`: 3 vision and 3 text layers,
  128 wide.
- `judge/` is an image classifier with a label for each of three artists.
"""


def init_starter(folder: Path, *, seed: int = 0, overwrite: bool = False) -> None:
    """Make a folder with the starter's models, with random weights.

    The same seed and the same versions of torch, diffusers and transformers give the same files.
    The folder appears whole or not at all.

    Args:
        folder: Where ``stable-diffusion``, ``clip``, ``blip``, ``judge`` and a card go.
        seed: What the weights follow from; torch's global random state is left as it was.
        overwrite: Whether to replace what lies in ``folder``, such as trained weights.

    Raises:
        ModelError: If ``folder`` holds something else and ``overwrite`` is not set.
        StorageError: If the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
            made = Path(work) / "starter"
            with quiet_transformers():
                _write(made, seed)
            _publish(made, folder, Path(work) / "replaced", overwrite=overwrite)
    except OSError as exc:
        raise StorageError(
            f"the starter cannot be written to {folder}: {exc.strerror or exc}; "
            "make room or choose another folder"
        ) from exc


def _write(folder: Path, seed: int) -> None:
    import torch

    from styledag.starter.artist_judge import ArtistJudge, save_artist_judge
    from styledag.starter.blip import build_blip, save_blip
    from styledag.starter.clip import build_clip, save_clip
    from styledag.starter.stable_diffusion import build_unet, build_vae, save_pipeline
    from styledag.starter.vocabulary import bert_tokenizer, clip_tokenizer

    clip_words, blip_words = clip_tokenizer(), bert_tokenizer()
    # The models' own initialisers draw from the global state: it is lent to them, CPU only.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip, blip = build_clip(clip_words), build_blip(blip_words)
        vae, unet = build_vae(), build_unet()
        judge = ArtistJudge()
    save_clip(clip, clip_words, folder / "clip")
    save_blip(blip, blip_words, folder / "blip")
    save_artist_judge(judge, folder / "judge")
    save_pipeline(unet, vae, clip.text_model, clip_words, folder / "stable-diffusion")
    (folder / "README.md").write_text(CARD.format(seed=seed), encoding="utf-8")


def _publish(made: Path, folder: Path, replaced: Path, *, overwrite: bool) -> None:
    if folder.exists() and any(folder.iterdir()):
        if folder_digest(folder) == folder_digest(made):
            return
        if not overwrite:
            raise ModelError(
                f"{folder} holds another content already, perhaps trained weights: "
                "choose another folder, or say that it may be overwritten"
            )
        shutil.move(folder, replaced)
    elif folder.exists():
        folder.rmdir()
    made.rename(folder)
