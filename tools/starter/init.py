"""The starter with random weights, from a seed: what most tests run on."""

from pathlib import Path

from styledag.models.quiet import quiet_transformers

CARD = """\
# The starter, with random weights

Four models in the formats of the big ones, small enough for a CPU. Their weights are **random**
(seed {seed}): everything runs on them, and their output means nothing. The vocabularies are trained
on the Unicode names of emoji. Weights are stored as float16 and computed with as float32.

- `stable-diffusion/` is a `StableDiffusionPipeline` at 64 px: an `AutoencoderKL` of 16, 32 and 64
  channels with latents of 16x16x4, a `UNet2DConditionModel` of 64, 128 and 192 channels with
  cross-attention on the lower two levels, Stable Diffusion's noise schedule, epsilon prediction.
- `clip/` is a `CLIPModel` with its `CLIPProcessor`: a text tower of 3 and a vision tower of 4
  layers, both 128 wide. The text tower is the pipeline's text encoder.
- `blip/` is a `BlipForConditionalGeneration` with its `BlipProcessor`: 3 vision and 3 text layers,
  128 wide.
- `judge/` is an image classifier with a label for each of three artists.
"""


def init_starter(folder: Path, *, seed: int = 0) -> None:
    """Write the starter's models with random weights, and a card, into a folder.

    The same seed and the same versions of torch, diffusers and transformers give the same files.

    Args:
        folder: Where ``stable-diffusion``, ``clip``, ``blip``, ``judge`` and the card are written.
        seed: Decides the weights; torch's global random state is unchanged.
    """
    import torch

    from styledag.demo.judge import ArtistJudge
    from tools.starter.artist_judge import save_artist_judge
    from tools.starter.blip import build_blip, save_blip
    from tools.starter.clip import build_clip, save_clip
    from tools.starter.stable_diffusion import build_unet, build_vae, save_pipeline
    from tools.starter.vocabulary import bert_tokenizer, clip_tokenizer

    clip_words, blip_words = clip_tokenizer(), bert_tokenizer()
    # The models' own initialisers draw from the global random state, here of the CPU only.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip, blip = build_clip(clip_words), build_blip(blip_words)
        vae, unet = build_vae(), build_unet()
        judge = ArtistJudge()
    with quiet_transformers():
        save_clip(clip, clip_words, folder / "clip")
        save_blip(blip, blip_words, folder / "blip")
        save_artist_judge(judge, folder / "judge")
        save_pipeline(unet, vae, clip.text_model, clip_words, folder / "stable-diffusion")
    (folder / "README.md").write_text(CARD.format(seed=seed), encoding="utf-8")
