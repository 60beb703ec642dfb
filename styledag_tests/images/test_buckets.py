import math

import pytest

from styledag.images.buckets import bucket_sizes, nearest_bucket, settings_buckets
from styledag.images.settings import ImageSettings


@pytest.mark.parametrize(("size_px", "step_px"), [(512, 64), (768, 64), (64, 8), (256, 32)])
def test_buckets_have_about_the_area_and_the_step_s_sides(size_px: int, step_px: int) -> None:
    buckets = bucket_sizes(size_px, step_px=step_px, max_aspect=2.0)
    assert (size_px, size_px) in buckets
    assert len(buckets) == len(set(buckets)) > 4
    for width, height in buckets:
        assert width % step_px == height % step_px == 0
        assert 0.5 <= width / height <= 2
        assert abs(width * height / size_px**2 - 1) < 0.08
        assert (height, width) in buckets
    aspects = [width / height for width, height in buckets]
    assert aspects == sorted(aspects)


def test_steps_follow_from_the_size_unless_stated() -> None:
    for size_px, step_px in [(512, 64), (1024, 64), (256, 32), (64, 8), (16, 8)]:
        settings = ImageSettings(mode="bucket", size_px=size_px)
        assert settings_buckets(settings) == bucket_sizes(size_px, step_px=step_px, max_aspect=2.0)
    stated = ImageSettings(mode="bucket", size_px=512, bucket_step_px=8, bucket_max_aspect=1.5)
    assert settings_buckets(stated) == bucket_sizes(512, step_px=8, max_aspect=1.5)


def test_there_is_always_a_bucket() -> None:
    assert bucket_sizes(64, step_px=8, max_aspect=1.0) == ((64, 64),)
    assert bucket_sizes(24, step_px=16, max_aspect=1.0)
    assert settings_buckets(ImageSettings(mode="bucket", size_px=16, bucket_step_px=16))


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1000, 1000), (512, 512)),
        ((1920, 1080), (704, 384)),
        ((1080, 1920), (384, 704)),
        ((400, 300), (576, 448)),
        ((20_000, 1), (704, 384)),
        ((1, 20_000), (384, 704)),
    ],
)
def test_nearest_aspect_wins(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert nearest_bucket(size, bucket_sizes(512, step_px=64, max_aspect=2.0)) == bucket


def test_no_other_bucket_crops_less() -> None:
    buckets = bucket_sizes(64, step_px=8, max_aspect=2.0)

    def kept(size: tuple[int, int], bucket: tuple[int, int]) -> float:
        ratio = size[0] / size[1] / (bucket[0] / bucket[1])
        return min(ratio, 1 / ratio)

    for size in [(64, 50), (50, 64), (64, 61), (100, 51), (33, 70), (1, 1)]:
        chosen = nearest_bucket(size, buckets)
        assert math.isclose(kept(size, chosen), max(kept(size, each) for each in buckets))


def test_bucket_settings_need_the_mode() -> None:
    with pytest.raises(ValueError, match="remove bucket_step_px"):
        ImageSettings(bucket_step_px=64)
    with pytest.raises(ValueError, match="more than size_px"):
        ImageSettings(mode="bucket", size_px=64, bucket_step_px=128)
