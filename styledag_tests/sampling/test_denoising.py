from collections.abc import Callable

import numpy as np
from PIL import Image

from styledag.sampling.denoising import draw_denoising
from styledag.sampling.index import read_gifs
from styledag.sampling.sampler import Sampler
from styledag.store.workspace import Workspace


def test_denoising_rests_on_the_finished_image(
    make_sampler: Callable[..., Sampler], workspace: Workspace
) -> None:
    sampler = make_sampler(num_inference_steps=4, denoising_every_steps=2, scheduler="euler_a")
    facts = draw_denoising(sampler, workspace)
    assert facts == {"gifs": 4, "steps": 4}
    assert workspace.work == {"samples": 4}
    (sample, *_) = sampler.draw(sampler.pairs, workspace, lambda *_, **__: None)
    with Image.open(read_gifs(workspace.folder)["a red apple", 0]) as gif:
        assert gif.n_frames == 3
        gif.seek(2)
        assert gif.info["duration"] > 1_000
        shown = gif.convert("RGB").crop((0, 0, 192, 192))
    finished = sample.image.resize((192, 192), Image.Resampling.LANCZOS)
    difference = np.abs(np.asarray(shown).astype(int) - np.asarray(finished).astype(int))
    assert difference.mean() < 12  # 256 colours for all frames

    workspace.work.clear()
    draw_denoising(
        make_sampler(
            num_inference_steps=4, denoising_every_steps=2, scheduler="euler_a", batch_size=1
        ),
        workspace,
    )
    assert not workspace.work
