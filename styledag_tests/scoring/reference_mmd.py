"""Unbiased MMD and KID by torch-fidelity and torchmetrics, whose values ``test_style.py`` contains.

They are no dependencies of the tests, since torch-fidelity needs torchvision. To compute the values
anew: ``pip install torch-fidelity==0.4.0 torchmetrics==1.9.0 torchvision``, then
``python -m styledag_tests.scoring.reference_mmd``.
"""

import numpy as np

from styledag_tests.scoring.vectors import unit

CASES = ((8, 0.0), (24, 1.0), (50, 3.0))
"""Vectors on each side, and how far the second side is drawn to the first axis."""


def sides(count: int, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of a case."""
    return unit(count, count), unit(count, count + 1, centre=centre)


def main() -> None:
    """Print each case's CMMD and KID times 1000, by both libraries."""
    import torch
    from torch_fidelity.metric_kid import kernel_poly, kernel_rbf, mmd2
    from torchmetrics.image.kid import maximum_mean_discrepancy, poly_mmd

    for case in CASES:
        first, second = (each.astype(np.float64) for each in sides(*case))
        kernels = [
            kernel_rbf(x, y, kid_kernel_rbf_sigma=10.0)
            for x, y in ((first, first), (first, second), (second, second))
        ]
        fidelity = 1000 * mmd2(*kernels, mmd_est="unbiased")
        metrics = 1000 * maximum_mean_discrepancy(*(torch.from_numpy(each) for each in kernels))
        print("CMMD", case, repr(float(fidelity)), repr(float(metrics)))  # noqa: T201
        # Both divide by the number of elements, in their own defaults: gamma is 1/d.
        first, second = (each * np.sqrt(each.shape[1]) for each in (first, second))
        kernels = [
            kernel_poly(x, y) for x, y in ((first, first), (first, second), (second, second))
        ]
        fidelity = 1000 * mmd2(*kernels, mmd_est="unbiased")
        metrics = 1000 * poly_mmd(torch.from_numpy(first), torch.from_numpy(second))
        print("KID", case, repr(float(fidelity)), repr(float(metrics)))  # noqa: T201


if __name__ == "__main__":
    main()
