"""What the base draws of the style without training: asked in words, and shown images of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.ip_adapter import IpAdapter
from styledag.sampling.grid import draw_sample_grid
from styledag.sampling.index import Pair, read_samples
from styledag.sampling.sampler import Sampler
from styledag.scoring.records import Candidate
from styledag.scoring.score import IP_ADAPTER, STYLE_PROMPT
from styledag.scoring.settings import IpAdapterSettings, ScoreSettings
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from styledag.models.reference import ResolvedModel


def untrained_candidates(
    sampler: Sampler,
    settings: ScoreSettings,
    adapter: IpAdapter | None,
    workspace: Workspace,
) -> Iterator[Candidate]:
    """Yield the base under the style prompt and with the IP-Adapter, drawing the images of each.

    Args:
        sampler: The base's own.
        settings: Name the style prompt, if there is one.
        adapter: With its images; ``None`` if there is none.
        workspace: Where the images go, each into a folder of its own.
    """
    words = settings.style_prompt
    if words is not None:
        asked = Candidate(
            name=f"base, “{words}”",
            kind="prompt",
            amount=0.0,
            samples={},
            weights=sampler.weights,
            style_prompt=words,
        )
        yield _drawn(asked, sampler, workspace, STYLE_PROMPT)
    if adapter is not None:
        shown = Candidate(
            name=f"base, IP-Adapter {adapter.weights.stem}",
            kind="ip_adapter",
            amount=0.0,
            samples={},
            weights=None,
        )
        yield _drawn(shown, sampler, workspace, IP_ADAPTER, adapter)


def adapter_with_images(
    settings: IpAdapterSettings,
    model: "ResolvedModel",
    training_families: Mapping[str, str],
    workspace: Workspace,
) -> IpAdapter:
    """Return an adapter with the training images that it is shown.

    The first by sha256, of a family the first alone: the same whatever the images' order.
    """
    first: dict[str, str] = {}
    for sha256 in sorted(training_families):
        first.setdefault(training_families[sha256], sha256)
    chosen: Sequence[str] = list(first.values())[: settings.images]
    return IpAdapter(
        weights=model.folder / settings.weights,
        image_encoder=model.folder / settings.image_encoder,
        version=model.version,
        scale=settings.scale,
        images={sha256: workspace.blobs.path(sha256) for sha256 in chosen},
    )


def _drawn(
    candidate: Candidate,
    sampler: Sampler,
    workspace: Workspace,
    folder_name: str,
    adapter: IpAdapter | None = None,
) -> Candidate:
    """Return a candidate with its images, by prompts without the style prompt."""
    told = {candidate.told(prompt): prompt for prompt in sampler.settings.prompts}
    drawing = Sampler(
        sampler.base,
        replace(sampler.settings, prompts=tuple(told)),
        sampler.compute,
        base_version=sampler.base_version,
        weights=sampler.weights,
        ip_adapter=adapter,
    )
    folder = workspace.folder / folder_name
    folder.mkdir()
    draw_sample_grid(drawing, replace(workspace, folder=folder), title=candidate.name)
    drawn: dict[Pair, Path] = {
        (told[prompt], seed): path for (prompt, seed), path in read_samples(folder).items()
    }
    return replace(candidate, samples=drawn)
