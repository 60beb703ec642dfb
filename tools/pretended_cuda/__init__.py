"""A CUDA device that the processor pretends to be: what needs a GPU but no speed runs without one.

``python -m tools.pretended_cuda pytest -m gpu`` runs a module while torch sees one device. Its
memory is the host's and its kernels are the CPU's. Its tensors are CUDA's, so that tensors of two
devices in one operation, a device without its index, a generator of the wrong device and
``numpy()`` of a tensor on the device fail as they do on a GPU. It counts what waits for the device.
With ``PRETENDED_WITHOUT_FLOAT64`` in the environment it refuses float64, as Apple's GPUs do.
It knows neither ``torch.compile``, several processes nor 8-bit optimisers.
"""
