from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from styledag.sampling.grid import draw_sample_grid
from styledag.sampling.index import read_samples
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA
from styledag.sampling.provenance import read_provenance
from styledag.sampling.sampler import Sampler
from styledag.settings import canonical_json
from styledag.store.digest import folder_digest
from styledag.store.workspace import Workspace

MakeSampler = Callable[..., Sampler]


def test_a_grid_has_every_prompt_with_every_seed(
    make_sampler: MakeSampler, workspace: Workspace
) -> None:
    facts = draw_sample_grid(make_sampler(), workspace, title="twemoji.full, weight 0.5")
    samples = read_samples(workspace.folder)
    assert list(samples) == [
        ("a red apple", 0),
        ("a red apple", 1),
        ("a small dog", 0),
        ("a small dog", 1),
    ]
    path = samples["a small dog", 1]
    assert path.relative_to(workspace.folder).as_posix() == "samples/a-small-dog-02/1.png"
    provenance = read_provenance(path.read_bytes())
    assert (provenance["prompt"], provenance["seed"]) == ("a small dog", "1")
    assert facts == {"samples": 4, "prompts": 2, "seeds": 2, "size_px": [64, 64]}
    canonical_json(facts)


def test_the_grid_shows_the_images_in_their_places(
    make_sampler: MakeSampler, workspace: Workspace
) -> None:
    draw_sample_grid(make_sampler(), workspace, title="t")
    sheet = np.asarray(Image.open(workspace.folder / "grid.png")).astype(int)
    places = []
    for path in read_samples(workspace.folder).values():
        large = Image.open(path).resize((128, 128), Image.Resampling.LANCZOS)
        places.append(_place(sheet, np.asarray(large).astype(int)))
    (top, left), (first_top, right), (bottom, low_left), _ = places
    assert top == first_top < bottom
    assert left == low_left < right


def test_a_second_grid_draws_nothing_and_is_the_same(
    make_sampler: MakeSampler, workspace: Workspace, tmp_path: Path
) -> None:
    draw_sample_grid(make_sampler(), workspace, title="t")
    again = Workspace(tmp_path / "again", workspace.scratch, workspace.blobs, workspace.items)
    again.folder.mkdir()
    draw_sample_grid(make_sampler(), again, title="t")
    assert not again.work
    assert folder_digest(again.folder) == folder_digest(workspace.folder)


def test_every_image_is_marked_as_made_by_a_model(
    make_sampler: MakeSampler, workspace: Workspace
) -> None:
    draw_sample_grid(make_sampler(), workspace, title="t")
    drawn = sorted(workspace.folder.rglob("*.png"))
    assert len(drawn) == 5
    for path in drawn:
        with Image.open(path) as image:
            assert TRAINED_ALGORITHMIC_MEDIA in str(image.info["xmp"])


def _place(sheet: np.ndarray, image: np.ndarray) -> tuple[int, int]:
    height, width = image.shape[:2]
    for top in range(sheet.shape[0] - height + 1):
        rows = sheet[top, :, :]
        for left in range(sheet.shape[1] - width + 1):
            if (rows[left : left + width] == image[0]).all() and (
                sheet[top : top + height, left : left + width] == image
            ).all():
                return top, left
    raise AssertionError("the image is not on the sheet")
