"""The whole of the starter's training, as the Dagster job runs it, a step or two of each stage."""

import json
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import BlipForConditionalGeneration, CLIPModel

from styledag.demo.judge import ARTIST_NAMES
from tools.starter import artist_judge_recipe, assets, figures, train
from tools.starter.artist_judge import load_artist_judge
from tools.starter.images import ARTISTS, Images
from tools.starter.subjects import Subject

NAMES = (
    "rocket", "house", "hammer", "apple", "octopus", "pizza", "balloon", "crown", "koala", "whistle"
)  # fmt: skip
STAGES = ("autoencoder", "clip", "blip", "unet", "artist-judge", "judge")


def subjects() -> tuple[Subject, ...]:
    return tuple(
        Subject(f"1f{at:03x}", name, (name,), "Objects", "tool") for at, name in enumerate(NAMES)
    )


def drawings(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 64, 64), generator=generator, dtype=torch.uint8)


@pytest.fixture
def without_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(NAMES)
    images = Images(
        subjects=subjects(),
        pixels=drawings(count * len(ARTISTS), 0),
        subject_of=torch.arange(count).repeat(len(ARTISTS)),
        artist_of=torch.arange(len(ARTISTS)).repeat_interleave(count),
        position=torch.arange(count * len(ARTISTS)).reshape(len(ARTISTS), count).T,
    )
    measured = drawings(count, 1)
    twemoji = {
        subject.code: np.ascontiguousarray(one.permute(1, 2, 0).numpy())
        for subject, one in zip(subjects(), measured, strict=True)
    }
    monkeypatch.setattr(train, "read_images", lambda _: images)
    monkeypatch.setattr(train, "read_all_drawings", lambda _: images.pixels)
    monkeypatch.setattr(train, "read_measured", lambda _: (list(range(count)), measured))
    monkeypatch.setattr(artist_judge_recipe, "read_twemoji", lambda: twemoji)
    others = dict.fromkeys(ARTIST_NAMES, measured)
    monkeypatch.setattr(train, "other_drawings", lambda *_: others)
    monkeypatch.setattr(figures, "SAMPLING_STEPS", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("without_npm")
def test_the_job_trains_assembles_and_measures(tmp_path: Path) -> None:
    out = tmp_path / "starter"
    config = {
        "work": str(tmp_path / "work"),
        "out": str(out),
        "steps": dict.fromkeys(STAGES, 2),
    }
    job = assets.defs.resolve_job_def("train_starter")
    nodes = [node.name for node in job.nodes]
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            run_config={"ops": {name: {"config": config} for name in nodes}}, instance=instance
        )
    assert done.success
    StableDiffusionPipeline.from_pretrained(out / "stable-diffusion")
    CLIPModel.from_pretrained(out / "clip")
    BlipForConditionalGeneration.from_pretrained(out / "blip")
    load_artist_judge(out / "judge")
    for model, log in (
        ("clip", "clip"),
        ("blip", "blip"),
        ("stable-diffusion", "unet"),
        ("judge", "artist-judge"),
    ):
        lines = (out / model / "training" / f"{log}.log.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] == 2
        card = (out / model / "README.md").read_text()
        assert f"[{log}](training/{log}.log.jsonl) | 2 |" in card
        assert ("Twitter" if model == "judge" else "EmojiOne") in card
        assert "not measured" not in card
    assert "28 dB" in (out / "README.md").read_text()
    assert (out / "stable-diffusion" / "samples" / "combinations.png").is_file()
