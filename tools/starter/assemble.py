"""Put the trained models into the starter's folder: ``python -m tools.starter.assemble``."""

import shutil
from pathlib import Path

from tools.starter.artist_judge import save_artist_judge
from tools.starter.blip import save_blip
from tools.starter.clip import save_clip
from tools.starter.stable_diffusion import save_pipeline
from tools.starter.train import Training, arguments_of, training_of
from tools.starter.vocabulary import bert_tokenizer, clip_tokenizer

LOGS = {
    "clip": ("clip",),
    "blip": ("blip",),
    "stable-diffusion": ("autoencoder", "unet"),
    "judge": ("artist-judge",),
}
"""Which recipes' logs lie beside which model."""


def assemble(training: Training, folder: Path) -> None:
    """Write the models as they are trained so far, with their training logs.

    The folder is replaced only once everything is written.

    Args:
        training: The training; stages that are not finished are trained to their end first.
        folder: Where ``stable-diffusion``, ``clip``, ``blip`` and ``judge`` go.
    """
    made = folder.with_name(f".{folder.name}-new")
    shutil.rmtree(made, ignore_errors=True)
    words = clip_tokenizer()
    clip, vae = training.clip(), training.autoencoder()
    unet, blip = training.unet(), training.blip()
    save_clip(clip, words, made / "clip")
    save_pipeline(unet, vae, clip.text_model, words, made / "stable-diffusion")
    save_blip(blip, bert_tokenizer(), made / "blip")
    save_artist_judge(training.artist_judge(), made / "judge")
    for model, recipes in LOGS.items():
        logs = made / model / "training"
        logs.mkdir()
        for recipe in recipes:
            log = training.folder / f"{recipe}.log.jsonl"
            if log.exists():
                shutil.copy(log, logs / log.name)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


def main() -> None:
    """Assemble what the command line names."""
    parser = arguments_of(__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/starter"))
    arguments = parser.parse_args()
    assemble(training_of(arguments), arguments.out)


if __name__ == "__main__":
    main()
