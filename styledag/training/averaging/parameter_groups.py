"""Trained parameters on their averages' device, in groups of bounded size."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

_GROUP_ELEMENTS = 1 << 24


class ParameterGroups:
    """Parameters in float32 on the averages' device, as an average's update reads them.

    Float32 parameters on that device are yielded as they are, all at once. Others come in groups
    of some 16 million elements, so that there is never a second copy of the model: cast, or copied
    from the GPU through two buffers of pinned memory, one of which fills while the other is read.
    """

    def __init__(self, parameters: Mapping[str, Tensor], device: torch.device) -> None:
        self._parameters = dict(parameters)
        self._device = device
        self._pinned = device.type == "cpu" and any(
            each.device.type == "cuda" for each in self._parameters.values()
        )
        as_they_are = all(
            each.device == device and each.dtype == torch.float32
            for each in self._parameters.values()
        )
        self._groups = [tuple(self._parameters)] if as_they_are else self._bounded()
        self._buffers: dict[torch.dtype, list[Tensor]] = {}

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], list[Tensor]]]:
        """Yield names and their parameters' values; a group is valid until the next one."""
        if not self._pinned:
            for names in self._groups:
                yield names, [self._parameters[name].detach().to(*self._place) for name in names]
            return
        coming = self._copying(self._groups[0], 0)
        for number, names in enumerate(self._groups):
            copied, done = coming
            if number + 1 < len(self._groups):
                coming = self._copying(self._groups[number + 1], (number + 1) % 2)
            done.synchronize()
            yield names, [each.to(*self._place) for each in copied]

    @property
    def _place(self) -> tuple[torch.device, torch.dtype]:
        return self._device, torch.float32

    def _bounded(self) -> list[tuple[str, ...]]:
        groups: list[list[str]] = [[]]
        elements = 0
        for name, parameter in self._parameters.items():
            if groups[-1] and elements + parameter.numel() > _GROUP_ELEMENTS:
                groups.append([])
                elements = 0
            groups[-1].append(name)
            elements += parameter.numel()
        return [tuple(group) for group in groups]

    def _copying(
        self, names: Sequence[str], buffer: int
    ) -> tuple[list[Tensor], "torch.cuda.Event"]:
        """Start to copy a group into one of the two buffers; the event marks its end."""
        copies, start = [], 0
        for name in names:
            parameter = self._parameters[name].detach()
            room = self._buffer(parameter.dtype, buffer)[start : start + parameter.numel()]
            # In the parameter's own order in memory (channels_last), which the average has too.
            shaped = room.as_strided(parameter.shape, parameter.stride())
            copies.append(shaped.copy_(parameter, non_blocking=True))
            start += parameter.numel()
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        # The copies were queued on the parameters' own device, current or not.
        done.record(torch.cuda.current_stream(parameter.device))
        return copies, done

    def _buffer(self, dtype: torch.dtype, number: int) -> Tensor:
        if dtype not in self._buffers:
            largest = max(
                sum(self._parameters[name].numel() for name in group) for group in self._groups
            )
            self._buffers[dtype] = [
                torch.empty(largest, dtype=dtype, pin_memory=True) for _ in range(2)
            ]
        return self._buffers[dtype][number]
