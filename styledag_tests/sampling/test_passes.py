"""What is compiled of sampling, and how often; graphs are counted without generating code."""

# ruff: noqa: F811 - of the fixture "base"

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from styledag.errors import DeviceError
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.sampling import passes
from styledag.sampling.denoising import draw_denoising
from styledag.sampling.evolution import draw_evolution
from styledag.sampling.frozen_parts import FrozenParts
from styledag.sampling.sampler import Sample, Sampler, sharing_parts
from styledag.sampling.settings import SampleSettings
from styledag.sampling.sweep import draw_sweep
from styledag.sampling.weights import Weights
from styledag.scoring.denoising_loss import DenoisingLosses
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.estimating.dry_pass import dry_pass
from styledag.training.recipe import Recipe
from styledag_tests.scoring.loss_cases import noised
from styledag_tests.tiny_base import base  # noqa: F401 - a fixture

PLAIN = Compute(torch.device("cpu"), torch.float32)
COMPILED = replace(PLAIN, compile=True)
UNDECIDED = replace(PLAIN, compile=None)
SHAPE = (4, 8, 8)

Graphs = Callable[[], int]
Backend = str | Callable[..., Any]


@pytest.fixture
def compile_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Backend], None]]:
    whole = torch.nn.Module.compile

    def use(backend: Backend) -> None:
        monkeypatch.setattr(
            torch.nn.Module, "compile", lambda self, **given: whole(self, **given, backend=backend)
        )

    torch._dynamo.reset()
    counters.clear()
    yield use
    torch._dynamo.reset()


@pytest.fixture
def graphs(compile_with: Callable[[Backend], None]) -> Graphs:
    """Have graphs run as they were traced, and count them."""
    compile_with("eager")
    return lambda: counters["stats"]["unique_graphs"]


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Workspace]:
    """Make workspaces that know nothing of one another."""
    made: list[Path] = []

    def make() -> Workspace:
        folder = tmp_path / f"fresh-{len(made)}"
        made.append(folder)
        store = Store(str(folder / "store"), cache=folder / "cache")
        for name in ("artifact", "scratch"):
            (folder / name).mkdir(parents=True)
        return Workspace(folder / "artifact", folder / "scratch", store.blobs, store.items)

    return make


def sampler_of(base: Path, compute: Compute, **changed: Any) -> Sampler:
    chosen: dict[str, Any] = {
        "prompts": ("a red apple", "a small dog"),
        "seeds": (0, 1),
        "num_inference_steps": 2,
        **changed,
    }
    return Sampler(base, SampleSettings(**chosen), compute, base_version="b" * 64)


def draw(sampler: Sampler, workspace: Workspace, **given: Any) -> tuple[Sample, ...]:
    with SilentProgress().task("samples", None) as advance:
        return sampler.draw(sampler.pairs, workspace, advance, **given)


def shifted(by: float) -> Weights:
    def load(parts: FrozenParts) -> Any:
        model = parts.denoiser()
        with torch.no_grad():
            model.conv_out.bias.add_(by)
        return model

    return Weights(f"shifted by {by}", load)


def in_place(sampler: Sampler, shares: tuple[float, ...]) -> dict[float, Weights]:
    """Return weights that one denoiser takes in turn, as those of a sweep."""
    loaded: list[Any] = []

    def load(share: float, parts: FrozenParts) -> Any:
        if not loaded:
            loaded.append(parts.denoiser())
        with torch.no_grad():
            loaded[0].conv_out.weight.fill_(share)
        return loaded[0]

    return {
        share: Weights(f"{share}", lambda parts, share=share: load(share, parts))
        for share in shares
    }


def test_graphs_do_not_grow_with_weights_checkpoints_prompts_or_scores(
    base: Path, graphs: Graphs, workspace: Workspace, fresh: Callable[[], Workspace]
) -> None:
    sampler = sampler_of(base, COMPILED)
    draw(sampler, workspace)
    first = graphs()
    assert first > 0
    draw_sweep(sampler, in_place(sampler, (0.1, 0.2, 0.3)), fresh(), title="sweep")
    draw_evolution(sampler, {1: shifted(0.1), 2: shifted(0.2)}, fresh())
    draw_denoising(sampler, fresh())
    with sharing_parts():
        draw(sampler_of(base, COMPILED, prompts=("a blue house", "two old trees")), fresh())
    # The losses have as many noisy images at a time as a guided sampler.
    losses = DenoisingLosses(sampler.parts, "b", fresh(), 2 * sampler.settings.batch_size)
    images = [noised(at, SHAPE) for at in range(2)]
    for weights in (sampler.weights, shifted(0.1), shifted(0.2)):
        losses.of(weights, images)
    assert graphs() == first


def test_each_weight_of_a_sweep_is_that_of_its_image(
    base: Path, graphs: Graphs, fresh: Callable[[], Workspace]
) -> None:
    drawn = {}
    for compute in (PLAIN, COMPILED):
        sampler = sampler_of(base, compute, prompts=("a red apple",), seeds=(0,))
        blends, workspace = in_place(sampler, (0.1, 0.2)), fresh()
        drawn[compute] = [
            draw(sampler.with_weights(weights), workspace)[0].png for weights in blends.values()
        ]
    assert graphs() > 0
    assert drawn[PLAIN] == drawn[COMPILED]
    assert drawn[PLAIN][0] != drawn[PLAIN][1]


def test_a_last_batch_that_is_smaller_runs_as_it_is(
    base: Path, graphs: Graphs, fresh: Callable[[], Workspace]
) -> None:
    whole = sampler_of(base, COMPILED, prompts=("a red apple",), batch_size=2)
    draw(whole, fresh())
    first = graphs()
    ragged = whole.with_weights(shifted(0.1))
    ragged.settings = replace(ragged.settings, prompts=("a", "b", "c"), seeds=(0,))
    drawn = draw(ragged, fresh())
    assert graphs() == first
    plain = sampler_of(base, PLAIN, prompts=("a", "b", "c"), seeds=(0,), batch_size=2)
    expected = draw(plain.with_weights(shifted(0.1)), fresh())
    assert [each.png for each in drawn] == [each.png for each in expected]


def test_fewer_images_than_a_batch_holds_are_compiled_as_one(
    base: Path, graphs: Graphs, workspace: Workspace
) -> None:
    draw(sampler_of(base, COMPILED, batch_size=16), workspace)
    assert graphs() > 0


def test_images_are_known_whether_they_were_compiled_or_not(
    base: Path, graphs: Graphs, workspace: Workspace
) -> None:
    drawn = draw(sampler_of(base, PLAIN), workspace)
    workspace.work.clear()
    assert draw(sampler_of(base, COMPILED), workspace) == drawn
    assert not workspace.work
    assert not graphs()


def test_it_pays_from_a_certain_number_of_passes(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = FrozenParts(base, UNDECIDED)
    single = dry_pass(
        base, Recipe(), SHAPE, device="cpu", dtype=torch.float32, batch_size=1
    ).flops_forward
    # That of training is twice as much.
    monkeypatch.setattr(passes, "PAYS_FROM_FLOPS", 2 * 10 * 4 * single)
    assert not parts.passes.are_compiled((4, *SHAPE), 9)
    assert parts.passes.are_compiled((4, *SHAPE), 10)
    assert parts.passes.are_compiled((2, *SHAPE), 20)
    for compute in (PLAIN, COMPILED):
        decided = FrozenParts(base, compute).passes
        assert decided.are_compiled((4, *SHAPE), 1) == compute.compile
        assert not decided.are_compiled((4, *SHAPE), 0)


@pytest.mark.parametrize(
    ("drawn_as", "compiled"), [("a grid", False), ("a sweep", True), ("grids", True)]
)
def test_draws_that_may_decide_compile_where_it_pays(
    base: Path,
    graphs: Graphs,
    fresh: Callable[[], Workspace],
    monkeypatch: pytest.MonkeyPatch,
    drawn_as: str,
    compiled: bool,
) -> None:
    sampler = sampler_of(base, UNDECIDED)
    # A guided pass of 4 images.
    flops = (
        8
        * dry_pass(
            base, Recipe(), SHAPE, device="cpu", dtype=torch.float32, batch_size=1
        ).flops_forward
    )
    of_three_draws = 3 * sampler.settings.num_inference_steps * flops
    monkeypatch.setattr(passes, "PAYS_FROM_FLOPS", 2 * of_three_draws)
    if drawn_as == "a sweep":
        draw(sampler, fresh(), planned=3)
        assert graphs() > 0
        return
    draw(sampler, fresh())
    draw(sampler, fresh())
    assert not graphs()
    if drawn_as == "grids":
        draw(sampler, fresh())
    assert (graphs() > 0) == compiled


def test_weights_of_a_compiled_denoiser_are_freed_before_others_are_loaded(
    base: Path, graphs: Graphs, workspace: Workspace
) -> None:
    blocks: list[weakref.ref[Any]] = []
    alive: list[bool] = []

    def load(parts: FrozenParts) -> Any:
        model = parts.denoiser()
        alive.append(any(each() is not None for each in blocks))
        blocks.extend(weakref.ref(each) for each in parts.base.modules_to_compile(model))
        return model

    gc.disable()
    try:
        snapshots = {epoch: Weights(f"epoch {epoch}", load) for epoch in (1, 2, 3)}
        draw_evolution(sampler_of(base, COMPILED), snapshots, workspace)
    finally:
        gc.enable()
    assert graphs() > 0
    assert alive == [False, False, False]


def fail(_graph: object, _inputs: object) -> None:
    raise RuntimeError("Failed to find C compiler")


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_compiled_runs_as_it_is_unless_it_was_asked_for(
    base: Path,
    compile_with: Callable[[Backend], None],
    fresh: Callable[[], Workspace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_with(fail)
    monkeypatch.setattr(passes, "PAYS_FROM_FLOPS", 1)
    # First, since torch remembers what it could not compile.
    with pytest.raises(DeviceError, match=r"torch\.compile failed .*C compiler\): set compile to"):
        draw(sampler_of(base, COMPILED), fresh())
    drawn = draw(sampler_of(base, UNDECIDED), fresh())
    expected = draw(sampler_of(base, PLAIN), fresh())
    assert [each.png for each in drawn] == [each.png for each in expected]


@pytest.mark.parametrize("timesteps", [torch.tensor(5), torch.tensor([5, 300, 999])])
def test_halves_of_a_batch_on_a_cpu_predict_as_the_whole(
    base: Path, timesteps: torch.Tensor
) -> None:
    parts = FrozenParts(base, PLAIN)
    latents = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    conditioning = parts.conditioning(["a", "b", "c"])
    predictions, batches = [], []
    denoiser = parts.denoiser()
    denoiser.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            predictions.append(
                parts.passes.predict(denoiser, latents, timesteps, conditioning, compiled=False)
            )
    assert batches[0] == 3
    assert sorted(batches[1:]) == [1, 2]
    torch.testing.assert_close(*predictions, atol=1e-5, rtol=1e-4)
