"""A snapshot that cannot be drawn beside training is drawn while training waits."""

from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.between_steps import between_steps
from styledag.errors import DeviceError
from styledag.models.compute import Compute
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.recipe import EmaSettings
from styledag.training.room import in_host_memory
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import weights
from styledag_tests.training.training import train

WAYS: dict[str, Any] = {"epochs": 3, "snapshot_every_epochs": 1, "lr_warmup_steps": 0}


class TooSmall:
    """Draws a snapshot only where training has left the memory that it took before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[bool] = []
        self._made: list[Optimisation] = []
        self._memory: dict[int, int] = {}
        make = Optimisation.__init__

        def making(made: Optimisation, *args: Any, **kwargs: Any) -> None:
            make(made, *args, **kwargs)
            self._made.append(made)

        monkeypatch.setattr(Optimisation, "__init__", making)

    def __call__(self, _: Any) -> None:
        """Receive a snapshot."""
        between_steps(self._draw)

    def _draw(self) -> None:
        made = self._made[-1]
        kept = [*made.unet.parameters(), *made.tensors().values()]
        taken = {at: each.data_ptr() for at, each in enumerate(kept) if each.numel() > 1}
        if self.calls and self.calls[-1]:
            assert all(at != self._memory[each] for each, at in taken.items())
            self.calls.append(False)
            return
        self._memory = taken
        self.calls.append(True)
        raise DeviceError("no room to draw 8 images") from torch.OutOfMemoryError("out of memory")


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"weights": "bfloat16", "optimizer": "adafactor"},
        {"compute": Compute(torch.device("cpu"), torch.bfloat16), "ema": EmaSettings(mode="none")},
        pytest.param({"ema": EmaSettings(mode="none")}, marks=pytest.mark.slow),
        pytest.param({"ema": EmaSettings(mode="power")}, marks=pytest.mark.slow),
        pytest.param({"dropped_captions": "base"}, marks=pytest.mark.slow),
        pytest.param(
            {"compute": Compute(torch.device("cpu"), torch.bfloat16)}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_training_waits_elsewhere_and_ends_in_the_same_weights(
    base: Path,
    encode: Encode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ways: dict[str, Any],
) -> None:
    encoded = encode(5)
    undisturbed = train(encoded, base, tmp_path / "undisturbed", **WAYS, **ways)
    draw = TooSmall(monkeypatch)
    result = train(encoded, base, tmp_path / "waiting", on_snapshot=draw, **WAYS, **ways)
    assert draw.calls == [True, False] * 3
    assert result.log == undisturbed.log
    assert weights(result) == weights(undisturbed)


def test_what_does_not_fit_alone_either_is_said(base: Path, encode: Encode, tmp_path: Path) -> None:
    calls = []

    def draw() -> None:
        calls.append(1)
        raise DeviceError("the device has not the memory") from torch.OutOfMemoryError("full")

    with pytest.raises(DeviceError, match="has not the memory"):
        train(encode(3), base, tmp_path, on_snapshot=lambda _: between_steps(draw), **WAYS)
    assert len(calls) == 2


def test_another_failure_is_not_tried_again(base: Path, encode: Encode, tmp_path: Path) -> None:
    calls = []

    def draw() -> None:
        calls.append(1)
        raise DeviceError("the device failed")

    with pytest.raises(DeviceError, match="failed"):
        train(encode(3), base, tmp_path, on_snapshot=lambda _: between_steps(draw), **WAYS)
    assert len(calls) == 1


def test_views_of_one_memory_stay_so() -> None:
    whole = torch.arange(12.0).reshape(3, 4).t()
    view, before = whole[1:], whole.data_ptr()
    with in_host_memory([whole, view]):
        assert whole.data_ptr() != before
        assert torch.equal(view, torch.arange(12.0).reshape(3, 4).t()[1:])
    view.fill_(7)
    assert whole.tolist()[1:] == [[7.0] * 3] * 3
    assert whole.tolist()[0] == [0.0, 4.0, 8.0]
