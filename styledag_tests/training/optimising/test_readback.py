from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from styledag.errors import TrainingError
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.optimising.readback import Readback
from styledag.training.recipe import LoraSettings
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import weights
from styledag_tests.training.training import train

READ = torch.ops.aten._local_scalar_dense.default
"""What ``float``, ``int``, ``bool`` and ``item`` of a tensor are: each waits for the device."""


class Reads(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += func is READ
        return func(*args, **kwargs or {})


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(11)


@pytest.mark.parametrize(
    "ways",
    [{}, {"weights": "bfloat16"}, {"lora": LoraSettings()}, {"gradient_accumulation": 2}],
    ids=str,
)
def test_a_step_waits_for_nothing(
    base: Path,
    encoded: EncodedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ways: dict[str, Any],
) -> None:
    counts = []
    step = Optimisation.step

    def counted(*args: Any, **kwargs: Any) -> Readback:
        with Reads() as reads:
            figures = step(*args, **kwargs)
        counts.append(reads.count)
        return figures

    monkeypatch.setattr(Optimisation, "step", counted)
    result = train(encoded, base, tmp_path, **ways)
    assert counts == [0] * len(result.log)


def test_every_step_is_logged_in_order_and_a_state_has_the_weights_of_its_step(
    base: Path, encoded: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    step, read = Optimisation.step, Readback.read

    def stepped(*args: Any, **kwargs: Any) -> Readback:
        taken.append("step")
        return step(*args, **kwargs)

    def read_back(figures: Readback) -> list[float]:
        taken.append("read")
        return read(figures)

    monkeypatch.setattr(Optimisation, "step", stepped)
    monkeypatch.setattr(Readback, "read", read_back)
    result = train(encoded, base, tmp_path, epochs=2, save_state_every_steps=200)
    assert [each.step for each in result.log] == list(range(1, len(result.log) + 1))
    per_epoch = len(result.log) // 2
    late = ["step"] + ["step", "read"] * (per_epoch - 1) + ["read"]
    assert taken == late * 2


def test_a_loss_that_is_not_finite_is_told_by_its_own_step(
    base: Path, encoded: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = Optimisation.step, 0

    def broken_at_three(*args: Any, **kwargs: Any) -> Readback:
        nonlocal steps
        steps += 1
        figures = step(*args, **kwargs)
        return Readback(torch.tensor([float("nan"), 1.0])) if steps == 3 else figures

    monkeypatch.setattr(Optimisation, "step", broken_at_three)
    with pytest.raises(TrainingError, match=r"optimiser step 3 \(epoch 1\) has loss nan"):
        train(encoded, base, tmp_path, save_state_every_steps=2)
    monkeypatch.undo()
    resumed = train(encoded, base, tmp_path, save_state_every_steps=2)
    undisturbed = train(encoded, base, tmp_path / "undisturbed", save_state_every_steps=2)
    assert weights(resumed) == weights(undisturbed)
