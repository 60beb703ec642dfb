"""Every family compiled on the CPU: the same latents, and no graph for each text."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from styledag.bases.find import find_base
from styledag.models.compute import Compute
from styledag.sampling.sampler import Sampler
from styledag.sampling.settings import SampleSettings
from styledag_tests.bases.families import tiny_families

FAMILIES = tiny_families()
TEXTS = ("a red apple", "a dog", "a small dog on a sofa in front of an old house beside the sea")


def sampler_of(name: str, folder: Path, *, compiled: bool) -> Sampler:
    settings = SampleSettings(
        prompts=TEXTS,
        scheduler=find_base(folder).usual_sampler,
        num_inference_steps=3,
        guidance_scale=max(FAMILIES[name].guided),
    )
    compute = Compute(torch.device("cpu"), torch.float32, compile=compiled)
    return Sampler(folder, settings, compute, base_version="b", width_px=24, height_px=16)


def latents(sampler: Sampler, *texts: str, planned: int = 1) -> Tensor:
    pairs = [(text, seed) for seed, text in enumerate(texts)]
    *_, last = sampler.denoiser.denoise(pairs, planned=planned)
    return last


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about itself
def test_compiled_latents_are_those_of_uncompiled_code(
    name: str,
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    folder = folder_of(name)
    torch._dynamo.reset()
    plain, compiled = (sampler_of(name, folder, compiled=each) for each in (False, True))
    for texts in (TEXTS[:2], TEXTS[1:]):
        expected = latents(plain, *texts)
        counters.clear()
        found = latents(compiled, *texts)
        assert (found - expected).norm() < 1e-5 * expected.norm()
    # Those of the first texts already, but for the lengths of texts.
    assert (counters["stats"]["unique_graphs"] > 0) == compiled.parts.base.has_texts_of_any_length
    alone = latents(compiled, TEXTS[0], planned=0)
    assert (alone - latents(plain, TEXTS[0])).norm() < 1e-5 * alone.norm()


@pytest.mark.parametrize("name", ["stable_diffusion", "z_image"])
def test_a_few_graphs_serve_texts_of_all_lengths(
    name: str, folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **given: whole(self, **given, backend="eager")
    )
    torch._dynamo.reset()
    counters.clear()
    compiled = sampler_of(name, folder_of(name), compiled=True)
    limit = compiled.parts.base.tokens.limit
    graphs = []
    for share in (0.02, 0.06, 0.1, 0.14, 0.18):
        latents(compiled, " ".join(["word"] * int(share * limit)), "a dog")
        graphs.append(counters["stats"]["unique_graphs"])
    if compiled.parts.base.has_texts_of_any_length:
        assert graphs[-1] == graphs[-3]
    else:
        assert graphs[-1] == graphs[0]
    assert 0 < graphs[0] < 10
    torch._dynamo.reset()
