from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from styledag.merging.blend import blend_unet
from styledag.sampling.evolution import draw_evolution
from styledag.sampling.grid import draw_sample_grid
from styledag.sampling.index import read_frames, read_gifs
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA
from styledag.sampling.sampler import Sampler
from styledag.sampling.weights import Weights
from styledag.store.workspace import Workspace
from tools.starter.init import init_starter

MakeSampler = Callable[..., Sampler]


@pytest.fixture(scope="module")
def snapshots(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Weights]:
    root = tmp_path_factory.mktemp("snapshots")
    init_starter(root / "other", seed=1)
    unets = [each / "stable-diffusion" / "unet" for each in (starter, root / "other")]
    for epoch, weight in ((1, 0.1), (2, 0.2)):
        blend_unet(*unets, weight, root / str(epoch), parents={}, base_share=0)
    return {epoch: Weights.stored(f"v{epoch}", root / str(epoch)) for epoch in (2, 1)}


def test_an_evolution_goes_from_the_base_over_all_snapshots_and_back(
    make_sampler: MakeSampler,
    workspace: Workspace,
    snapshots: Mapping[int, Weights],
) -> None:
    facts = draw_evolution(make_sampler(), snapshots, workspace)
    frames = read_frames(workspace.folder)
    assert list(frames) == [0, 1, 2]
    assert facts == {"epochs": [1, 2], "frames": 12, "gifs": 6}
    assert workspace.work["samples"] == 12
    drawn = {path.read_bytes() for by_pair in frames.values() for path in by_pair.values()}
    assert len(drawn) == 12
    assert all(TRAINED_ALGORITHMIC_MEDIA.encode() in png for png in drawn)

    gifs = read_gifs(workspace.folder)
    assert len(gifs) == 6
    assert all(TRAINED_ALGORITHMIC_MEDIA.encode() in gif.read_bytes() for gif in gifs.values())
    with Image.open(gifs["a red apple", 0]) as alone:
        assert alone.n_frames == 4  # base, 1, 2, and 1 again on the way back
        assert alone.info["loop"] == 0
        durations = []
        for index in range(alone.n_frames):
            alone.seek(index)
            durations.append(alone.info["duration"])
        assert durations[2] == max(durations) > 1_000
    with Image.open(gifs["a red apple", None]) as together:
        assert together.width > 2 * 128
        assert together.n_frames == 4


def test_images_are_shared_with_grids(
    make_sampler: MakeSampler,
    workspace: Workspace,
    snapshots: Mapping[int, Weights],
) -> None:
    draw_sample_grid(make_sampler(), workspace, title="base")
    workspace.work.clear()
    draw_evolution(make_sampler(), {2: snapshots[2]}, workspace)
    assert workspace.work["samples"] == 4
