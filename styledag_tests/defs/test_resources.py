"""The compute resource and the log of a run."""

import logging
from dataclasses import asdict, fields
from types import SimpleNamespace

import pytest
import torch

from styledag.defs import resources
from styledag.defs.resources import LogProgress, compute_resource
from styledag.models.compute import ComputeSettings


def test_it_has_every_setting_with_its_default_and_help() -> None:
    resource = type(compute_resource(ComputeSettings()))
    defaults = {name: each.default for name, each in resource.model_fields.items()}
    assert defaults == asdict(ComputeSettings())
    helps = {name: each.description for name, each in resource.model_fields.items()}
    assert helps == {each.name: each.metadata["description"] for each in fields(ComputeSettings)}


def test_it_resolves_what_it_is_configured_with() -> None:
    resource = compute_resource(ComputeSettings(device="cpu", dtype="bfloat16"))
    compute = resource.resolve()
    assert (compute.device, compute.dtype) == (torch.device("cpu"), torch.bfloat16)


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="device"):
        type(compute_resource(ComputeSettings()))(device="quantum")


def test_time_left_is_predicted_by_what_was_done_in_this_run_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((0.0, 20.0, 40.0, 40.0))
    monkeypatch.setattr(resources, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    progress = LogProgress(logging.getLogger("run"))
    with (
        caplog.at_level("INFO", "run"),
        progress.task("training", 1000, done=600) as advance,
    ):
        advance(10, loss=0.5)
        advance(10)
    assert caplog.messages == [
        "training: 610 of 1000, 0:13:00 left, loss 0.5",
        "training: 620 of 1000, 0:12:40 left",
        "training: 20 in 40.0 s",
    ]
