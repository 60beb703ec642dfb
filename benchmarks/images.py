"""Speed and memory of the image stages: ``python -m benchmarks.images``.

    python -m benchmarks.images copies --count 50000
    python -m benchmarks.images one-more --count 20000
    python -m benchmarks.images fetch --count 300 --peer /path/to/python/with/img2dataset

Each prints what it measured, and its bound where there is one. ``fetch`` makes JPEGs of 512 px from
images of 1280 by 720 on the loopback: styledag, img2dataset (``--image_size=512
--resize_mode=center_crop``) and a plain loop of requests and Pillow by turns, all at quality 95.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.collecting import copies, fetching, one_more
from benchmarks.memory import peak_resident


def main() -> None:
    """Measure what the command line names."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="styledag-images-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        _MEASURED[options.what](work, options)
    print(f"peak memory {peak_resident() / 1e6:.0f} MB")


def _copies(_work: Path, options: argparse.Namespace) -> None:
    found = copies.measure(options.count or 50_000)
    print(f"{found.copies} copies and {found.families} families")
    print(f"processor time: copies {found.copies_s:.1f} s, families {found.families_s:.1f} s")
    print("bound for 50,000: 60 s together, 2,000 MB")


def _one_more(work: Path, options: argparse.Namespace) -> None:
    count = options.count or 20_000
    one_more.make_project(work)
    costs: dict[str, one_more.Cost] = {}
    have = 0
    for name, wanted in (
        (f"{count // 4:,}, first", count // 4),
        (f"{count // 4:,}, one more", count // 4 + 1),
        (f"{count:,}, first", count),
        (f"{count:,}, unchanged", count),
        (f"{count:,}, one more", count + 1),
    ):
        one_more.make_images(work / "images", range(have, wanted))
        have = wanted
        cost = costs[name] = one_more.run(work)
        print(
            f"{name:<20} {cost.wall_s:7.2f} s, of processors {cost.processor_s:7.2f} s, "
            f"peak memory {cost.peak_mb:.0f} MB; {cost.said.strip().splitlines()[-1]}",
            flush=True,
        )
    unchanged, more = list(costs.values())[-2:]
    print(
        f"one more image costs {more.wall_s - unchanged.wall_s:.2f} s, of processors "
        f"{more.processor_s - unchanged.processor_s:.2f} s, over an unchanged run (bound: 2 s)"
    )


def _fetch(work: Path, options: argparse.Namespace) -> None:
    found = fetching.contest(work, options.count or 300, options.peer, options.rounds)
    of_clock = {name: median(rate.of_clock for rate in rates) for name, rates in found.items()}
    of_cpu = {name: median(rate.of_processor for rate in rates) for name, rates in found.items()}
    for name in found:
        print(
            f"{name:<12} {of_clock[name]:6.1f} images/s, {of_cpu[name]:6.1f} a processor's second"
        )
    if "img2dataset" in found:
        print(f"styledag / img2dataset: {of_clock['styledag'] / of_clock['img2dataset']:.2f} (1.5)")
    print(f"styledag / loop, a processor: {of_cpu['styledag'] / of_cpu['loop']:.2f} (goal 1.8)")


_MEASURED: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "copies": _copies,
    "one-more": _one_more,
    "fetch": _fetch,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=_MEASURED)
    parser.add_argument("--count", type=int, help="Images or records.")
    parser.add_argument("--peer", help="A Python that has img2dataset.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--work", type=Path, help="Folder for what is made; a temporary one if left out."
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
