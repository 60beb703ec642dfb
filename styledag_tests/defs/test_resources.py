"""The compute resource and the log of a run."""

from dataclasses import asdict, fields

import pytest
import torch

from styledag.defs.resources import compute_resource
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
