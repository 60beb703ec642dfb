from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.bases.find import find_base
from styledag.errors import DeviceError
from styledag.models.compute import Compute
from styledag.training import compiled, unet_run
from styledag.training.estimating.estimate import PlannedTraining, training_flops
from styledag.training.optimising import optimisation
from styledag.training.recipe import Recipe
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train

UNDECIDED = Compute(torch.device("cpu"), torch.float32, compile=None)


def planned(base: Path, *, images: int, epochs: int) -> PlannedTraining:
    shape = find_base(base).latents.shape(width_px=16, height_px=16)
    recipe = Recipe(epochs=epochs)
    return PlannedTraining(base=base, recipe=recipe, compute=UNDECIDED, latents={shape: images})


def test_it_pays_from_a_certain_amount_of_training(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = planned(base, images=10, epochs=2)
    monkeypatch.setattr(compiled, "PAYS_FROM_FLOPS", 1.5 * training_flops(short))
    assert not compiled.pays(short)
    assert compiled.pays(planned(base, images=10, epochs=3))
    assert compiled.pays(planned(base, images=15, epochs=2))


@pytest.mark.parametrize("does", [True, False])
def test_a_run_that_may_decide_compiles_where_it_pays(
    base: Path, encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: bool
) -> None:
    asked: list[PlannedTraining] = []
    done: list[Any] = []

    def pays(planned: PlannedTraining) -> bool:
        asked.append(planned)
        return does

    monkeypatch.setattr(unet_run, "pays", pays)
    monkeypatch.setattr(optimisation, "compile_modules", lambda *given: done.append(given))
    encoded = encode(4)
    result = train(encoded, base, tmp_path, compute=UNDECIDED, epochs=1, lr_warmup_steps=0)
    assert [each.train for each in asked] == [4]
    assert len(done) == does
    decided = replace(UNDECIDED, compile=False)
    plain = train(encoded, base, tmp_path / "plain", compute=decided, epochs=1, lr_warmup_steps=0)
    assert len(asked) == 1
    assert [each.loss for each in result.log] == [each.loss for each in plain.log]


@pytest.fixture
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give modules a compiler that fails as Triton does where it finds none."""

    def fail(_graph: object, _inputs: object) -> None:
        raise RuntimeError("Failed to find C compiler")

    whole = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **given: whole(self, **given, backend=fail)
    )
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("_no_compiler")
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_compiled_runs_as_it_is_unless_it_was_asked_for(
    base: Path, encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unet_run, "pays", lambda _planned: True)
    encoded, settings = encode(4), {"epochs": 1, "lr_warmup_steps": 0}
    plain = replace(UNDECIDED, compile=False)
    # First, since torch remembers what it could not compile.
    with pytest.raises(DeviceError, match=r"torch\.compile failed .*C compiler\): set compile to"):
        train(encoded, base, tmp_path / "must", compute=replace(plain, compile=True), **settings)
    result = train(encoded, base, tmp_path / "may", compute=UNDECIDED, **settings)
    expected = train(encoded, base, tmp_path / "plain", compute=plain, **settings)
    assert [each.loss for each in result.log] == [each.loss for each in expected.log]
