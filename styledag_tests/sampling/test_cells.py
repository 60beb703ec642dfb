import pytest
from PIL import Image

from styledag.sampling.cells import cell


@pytest.mark.parametrize(
    ("side", "shown"), [(64, 128), (100, 200), (128, 128), (512, 512), (1024, 512)]
)
def test_images_are_enlarged_by_whole_factors_and_reduced_to_the_limit(
    side: int, shown: int
) -> None:
    assert cell(Image.new("RGB", (side, side))).size == (shown, shown)
