import pytest
import torch

from styledag.training.snapshots import host_copies
from styledag.training.snapshots.host_copies import HostCopies

CPU = torch.device("cpu")


def tensors() -> dict[str, torch.Tensor]:
    values = torch.randn(4, 3, 2, 2)
    return {
        "channels_last": values.to(memory_format=torch.channels_last),
        "bytes": (values.abs() * 50).to(torch.uint8),
        "count": torch.tensor(7),
        "trained": values.clone().requires_grad_(),
    }


def test_copies_stay_as_they_are_while_tensors_change() -> None:
    changing = tensors()
    before = {name: each.detach().clone() for name, each in changing.items()}
    copies = HostCopies(CPU).of(changing)
    with torch.no_grad():
        for each in changing.values():
            each.zero_()
    assert copies.keys() == before.keys()
    for name, copy in copies.items():
        assert copy.dtype == before[name].dtype
        assert torch.equal(copy, before[name]), name


def test_the_next_copies_use_the_memory_of_those_before() -> None:
    host = HostCopies(CPU)
    first, second = host.of(tensors()), host.of(tensors())
    for name, copy in second.items():
        assert copy.data_ptr() == first[name].data_ptr()


def test_room_is_needed_for_each_byte_that_has_none_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = sum(each.nbytes for each in tensors().values())
    free = host_copies._LEFT_BYTES
    host = HostCopies(CPU)
    monkeypatch.setattr(host_copies, "free_bytes", lambda _: free + needed + 9)
    assert not host.have_room(tensors(), beside=10)
    assert host.have_room(tensors(), beside=9)
    host.of(tensors())
    monkeypatch.setattr(host_copies, "free_bytes", lambda _: free)
    assert not host.have_room(tensors(), beside=1)
    assert host.have_room(tensors(), beside=0)


@pytest.mark.gpu
def test_copies_of_a_gpu_are_pinned_and_equal() -> None:
    device = torch.device("cuda", 0)
    on_device = {name: each.detach().to(device) for name, each in tensors().items()}
    copies = HostCopies(device).of(on_device)
    for name, copy in copies.items():
        assert copy.is_pinned()
        assert torch.equal(copy, on_device[name].cpu())
