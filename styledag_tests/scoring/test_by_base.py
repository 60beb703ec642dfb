"""On a small base that knows its own images and then learns a style, in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from styledag.sampling.frozen_parts import FrozenParts
from styledag.sampling.weights import Weights
from styledag.scoring.by_base import JudgedBy, scores_by_base
from styledag.scoring.denoising_loss import TIMESTEPS, NoisedImage
from styledag.scoring.records import BaseScores, Candidate, Estimate
from styledag.store.workspace import Workspace
from styledag_tests.scoring.loss_cases import CPU, losses_of, noised

SHAPE = (4, 8, 8)
SHARES = (0.0, 0.5, 1.0)


def stripes(number: int, rows: int, text: str, group: str) -> NoisedImage:
    """Latents with a sharp edge below some rows, a little different for each number."""
    image = noised(number, SHAPE, text)
    edge = torch.full(SHAPE, -1.0)
    edge[:, :rows] = 1.0
    latents = edge + 0.1 * image.latents()
    return replace(image, group=group, latents=lambda: latents)


OWN = [stripes(100 + number, 2, "a house", f"prompt {number}") for number in range(8)]
STYLE = [stripes(number, 6, "a drawing", f"family {number}") for number in range(12)]
HELDOUT = [stripes(number, 6, "a drawing", f"family {number}") for number in range(20, 25)]


@dataclass(frozen=True)
class Tuned:
    """Weights by the share of the fine-tune in them; 0 are the base's."""

    folders: dict[float, Path]

    def of(self, share: float) -> Weights:
        return Weights.stored(f"share {share}", self.folders[share])

    def candidate(self, share: float, **changed: Any) -> Candidate:
        given: dict[str, Any] = {"name": f"weight {share}", "kind": "blend", **changed}
        return Candidate(amount=share, samples={}, weights=self.of(share), weight=share, **given)


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    parts = FrozenParts(base, CPU)
    unet = parts.base.denoiser()
    learn(parts, unet, OWN, steps=150)
    own = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    learn(parts, unet, STYLE, steps=250)
    learned = unet.state_dict()
    folders = {share: folder / f"{share}" for share in SHARES}
    for share, output in folders.items():
        blend = {name: torch.lerp(own[name], learned[name], share) for name in own}
        blended = parts.base.denoiser()
        blended.load_state_dict(blend)
        blended.save_pretrained(output)
    return Tuned(folders)


def learn(parts: FrozenParts, unet: Any, images: Sequence[NoisedImage], *, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    objective, optimizer = parts.base.objective(), torch.optim.Adam(unet.parameters(), lr=3e-3)
    for step in range(steps):
        chosen = [images[(4 * step + at) % len(images)] for at in range(4)]
        latents = torch.stack([each.latents() for each in chosen])
        noise = torch.randn(latents.shape, generator=generator)
        timesteps = torch.randint(0, 1000, (4,), generator=generator)
        with torch.no_grad():
            conditioning = parts.conditioning([each.text for each in chosen])
        noisy = objective.noisy(latents, noise, timesteps)
        predicted = parts.base.predict(unet, noisy, timesteps, conditioning)
        loss = (predicted - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def scored(
    tuned: Tuned,
    base: Path,
    workspace: Workspace,
    candidates: Sequence[Candidate],
    heldout: Sequence[NoisedImage] = tuple(HELDOUT),
) -> list[BaseScores]:
    scores = scores_by_base(
        candidates,
        JudgedBy(
            base=tuned.of(0.0),
            heldout=heldout,
            own=OWN,
            losses=losses_of(base, workspace, 32),
        ),
    )
    return [scores[each.name] for each in candidates]


def apart(lower: Estimate, higher: Estimate) -> bool:
    assert lower.high is not None
    assert higher.low is not None
    return lower.high < higher.low


def test_style_learned_rises_and_base_remembered_falls_with_weight_beyond_the_error(
    tuned: Tuned, base: Path, workspace: Workspace
) -> None:
    found = scored(tuned, base, workspace, [tuned.candidate(share) for share in SHARES])
    learned = [each.style_learned for each in found]
    remembered = [each.base_remembered for each in found]
    assert learned[0] == Estimate(0, 0, 0)
    assert remembered[0] == Estimate(1, 1, 1)
    assert apart(learned[0], learned[1])
    assert apart(learned[1], learned[2])
    assert apart(remembered[2], remembered[1])
    assert apart(remembered[1], remembered[0])
    assert learned[2].value is not None
    assert learned[2].value < 1


def test_the_bases_own_losses_are_computed_once(
    tuned: Tuned, base: Path, workspace: Workspace
) -> None:
    images = len(HELDOUT) + len(OWN)
    scored(tuned, base, workspace, [tuned.candidate(1.0)])
    assert workspace.work == {"denoising_losses": 2 * images}
    workspace.work.clear()
    scored(tuned, base, workspace, [tuned.candidate(0.5), tuned.candidate(0.0)])
    assert workspace.work == {"denoising_losses": images}


def test_the_base_under_a_style_prompt_is_measured_against_the_base_without(
    tuned: Tuned, base: Path, workspace: Workspace
) -> None:
    asked = tuned.candidate(0.0, kind="prompt", name="base, “a house”", style_prompt="a house")
    plain, prompted = scored(tuned, base, workspace, [tuned.candidate(0.0), asked])
    assert plain.style_learned.value == 0
    assert prompted.style_learned.value not in (0, None)
    assert prompted.base_remembered.value != 1
    assert workspace.work == {"denoising_losses": 2 * (len(HELDOUT) + len(OWN))}


def test_a_candidate_without_weights_has_no_score_and_costs_none(
    tuned: Tuned, base: Path, workspace: Workspace
) -> None:
    shown = Candidate(name="adapter", kind="ip_adapter", amount=0, samples={}, weights=None)
    plain, adapted = scored(tuned, base, workspace, [tuned.candidate(0.0), shown])
    assert plain.style_learned.value == 0
    assert adapted == BaseScores(style_learned=Estimate(), base_remembered=Estimate())
    assert workspace.work == {"denoising_losses": len(HELDOUT) + len(OWN)}


def test_a_caption_as_long_as_the_base_reads_gives_way_to_the_style_prompt(
    base: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = losses_of(base, workspace, 32)
    told: list[str] = []

    def of(_: Weights, images: Sequence[NoisedImage], *, planned: int) -> np.ndarray:
        told.extend(each.text for each in images)
        return np.ones((len(images), TIMESTEPS))

    monkeypatch.setattr(losses, "of", of)
    own = Weights.stored("own", base / "unet")
    asked = Candidate(
        name="asked", kind="prompt", amount=0, samples={}, weights=own, style_prompt="a house"
    )
    longest = replace(HELDOUT[0], text="a cat " * 37)
    by = JudgedBy(base=own, heldout=[longest, HELDOUT[1]], own=OWN[:1], losses=losses)
    scores_by_base([asked], by)
    cut, short = told[3:5]
    assert short == f"{HELDOUT[1].text}, a house"
    assert cut.startswith("a cat a cat")
    assert cut.endswith(", a house")
    assert losses.tokens.count(longest.text) <= losses.tokens.limit
    assert losses.tokens.count(cut) <= losses.tokens.limit
    assert losses.tokens.count(cut) >= losses.tokens.limit - 1


def test_a_single_held_out_image_says_nothing_of_the_style(
    tuned: Tuned, base: Path, workspace: Workspace
) -> None:
    (found,) = scored(tuned, base, workspace, [tuned.candidate(1.0)], HELDOUT[:1])
    assert found.style_learned == Estimate()
    assert found.base_remembered.value is not None


def test_held_out_images_of_one_family_have_an_interval_over_images(
    tuned: Tuned, base: Path, workspace: Workspace
) -> None:
    family = [replace(each, group="clocks") for each in HELDOUT]
    (found,) = scored(tuned, base, workspace, [tuned.candidate(1.0)], family)
    learned = found.style_learned
    assert learned.low is not None
    assert learned.low < (learned.value or 0) < (learned.high or 0)
