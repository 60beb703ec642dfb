"""Speed and memory of training, beside diffusers' own script: ``python -m benchmarks.train``.

A base with random weights and images are made on the spot. What must be equal is compared before
any speed is printed. Ours and the peer run by turns in fresh processes; figures are medians.

    python -m benchmarks.train --device cpu --quick --peer train_text_to_image.py

With ``--family`` it trains some steps of that family instead: random weights of the real size on a
GPU, a small scale of it on a CPU.

    python -m benchmarks.train --family sd35-medium --lora
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.speed.architectures import ARCHITECTURES
from benchmarks.speed.bench import AVERAGE_BOUND, LOSS_BOUND, Bench, Figures, middle
from benchmarks.speed.family import measure_family
from benchmarks.speed.peer import SCRIPT, TAG
from benchmarks.speed.scale import scale_of

GB = 1e9
FLOPS_BOUND = 0.01
GOALS = """
Goals on one H100: 160 images/s steady (140 passes), 800 images x 10 epochs in 75 s, peak memory
6.5 GB at batch 1, encoding 350 images/s. No GPU has run this yet."""


def main() -> None:
    """Measure by the command line's options, and print every figure."""
    options = _options()
    if options.family:
        _family(options)
        return
    with tempfile.TemporaryDirectory(prefix="styledag-train-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        bench = Bench(
            scale=scale_of(options.device, quick=options.quick),
            device=options.device,
            threads=options.threads,
            work=work,
            peer=options.peer and options.peer.resolve(),
        )
        figures = _run(bench, options.rounds or bench.scale.rounds, ladder=not options.no_ladder)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if "ratio" in figures:
        print(f"ratio: {figures['ratio']:.2f}")


def _family(options: argparse.Namespace) -> None:
    import torch

    on_cpu = options.device == "cpu"
    if on_cpu:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="styledag-family-") as work:
        found = measure_family(
            options.family,
            Path(work),
            device=options.device,
            full=not options.lora,
            batch_size=options.batch_size or (1 if on_cpu else 4),
            steps=2 if on_cpu else 20,
        )
    memory = found["peak_rss" if on_cpu else "peak_reserved"]
    print(f"{options.family}, {'adapters' if options.lora else 'all weights'}")
    print(f"  {found['parameters'] / 1e6:.0f} M parameters, {found['images_per_s']:.2f} images/s")
    print(f"  peak memory {memory / GB:.2f} GB")
    print(
        f"  {found['flops_predicted'] / GB:.1f} GFLOP an image predicted, "
        f"{found['flops_counted'] / GB:.1f} counted"
    )
    if not on_cpu:
        print(f"  {found['share_of_peak']:.0%} of an H100's peak; goal {found['goal']} images/s")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _run(bench: Bench, rounds: int, *, ladder: bool) -> dict[str, Any]:
    _machine(bench)
    bench.prepare()
    figures: dict[str, Any] = {"encode": bench.encode()}
    figures["gates"] = _gates(bench)
    figures["operations"] = _operations(bench)
    figures["encoding"] = _encoding(figures)
    figures["contest"] = bench.contest(rounds)
    figures |= _contest(bench, figures["contest"])
    if ladder:
        figures["ladder"] = _ladder(bench)
    figures["whole"] = _whole(bench)
    figures["lean"] = _lean(bench, figures)
    if bench.device == "cuda":
        print(GOALS)
    return figures


def _machine(bench: Bench) -> None:
    import torch

    device = torch.cuda.get_device_name() if bench.device == "cuda" else platform.processor()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"torch {torch.__version__} on {bench.device} {device}, {bench.threads} threads")
    print(f"load of the machine's {os.cpu_count()} cores at the start: {load}")


def _gates(bench: Bench) -> dict[str, Figures]:
    print("\nGates")
    gates = {
        "losses": bench.gate_losses(),
        "averages": bench.gate_averages(),
        "encoding": bench.gate_encoding(),
    }
    losses, averages = gates["losses"], gates["averages"]
    print(
        f"  {losses['steps']} steps: mean loss {losses['mean_loss']:.5f} against float32's "
        f"{losses['mean_loss_float32']:.5f}, {losses['loss_difference']:.2%} apart (bound "
        f"{LOSS_BOUND:.0%}); averages {losses['average_difference']:.1e} apart (bound "
        f"{AVERAGE_BOUND:.0e})"
    )
    print(
        f"  average against diffusers' EMAModel: {averages['largest_difference']:.1e} apart (bound "
        f"{AVERAGE_BOUND:.0e}); {averages['ours_ms']:.2f} ms against {averages['theirs_ms']:.2f} "
        f"ms (foreach); temporaries {averages['temporary_bytes']} bytes"
    )
    encoding = gates["encoding"]["largest_difference"]
    print(f"  batches of images against one by one: moments {encoding:.1e} of the largest apart")
    failed = [name for name, gate in gates.items() if not gate["passes"]]
    if failed:
        raise SystemExit(f"not equal: {', '.join(failed)}; no speed counts")
    return gates


def _operations(bench: Bench) -> Figures:
    found = bench.operations()
    apart = abs(found["counted"] / found["predicted"] - 1)
    print(
        f"\nFLOPs an image: {found['counted'] / GB:.2f} GFLOP forward and backward as torch "
        f"counts a real pass, {found['predicted'] / GB:.2f} predicted; encoding it "
        f"{found['encode'] / GB:.2f}"
    )
    if apart > FLOPS_BOUND:
        raise SystemExit(f"the prediction is {apart:.1%} from the count, more than {FLOPS_BOUND}")
    print("VAE calls in training, after the first encoding: 0 (asserted in every run)")
    return found


def _encoding(figures: dict[str, Any]) -> Figures:
    ours = max(figures["encode"], key=lambda each: each["images_per_s"])
    loop = figures["gates"]["encoding"]
    print(
        f"\nEncoding: {ours['images_per_s']:.1f} images/s with loading, decoding and caching, "
        f"{loop['loop_images_per_s']:.1f} in a loop of one by one ({ours['images_per_cpu_s']:.1f} "
        f"and {loop['loop_images_per_cpu_s']:.1f} a second of processor time)"
    )
    return {"ours": ours, "loop": loop}


def _contest(bench: Bench, contest: dict[str, list[Figures]]) -> dict[str, float]:
    memory = "peak_reserved" if bench.device == "cuda" else "peak_rss"
    print("\n| contender | images/s | images a CPU second | peak memory, GB |")
    print("| --- | ---: | ---: | ---: |")
    for name, runs in contest.items():
        print(
            f"| {name} | {middle(runs, 'images_per_s'):.2f} | "
            f"{middle(runs, 'images_per_cpu_s'):.2f} | {middle(runs, memory) / GB:.2f} |"
        )
    if "peer, tuned" not in contest:
        print(f"no peer: give --peer, {SCRIPT} of diffusers' repository at {TAG}")
        return {}
    ratios = {
        clock: middle(contest["ours"], clock) / middle(contest["peer, tuned"], clock)
        for clock in ("images_per_s", "images_per_cpu_s")
    }
    print(
        f"ours over the tuned peer: {ratios['images_per_s']:.2f} by the clock, "
        f"{ratios['images_per_cpu_s']:.2f} by processor time"
    )
    # Other programs stretch the clock but not the processor's time.
    decides = "images_per_s" if bench.device == "cuda" else "images_per_cpu_s"
    return {"ratio_clock": ratios["images_per_s"], "ratio": ratios[decides]}


def _ladder(bench: Bench) -> dict[str, Figures]:
    found = bench.ladder()
    print("\n| one switch more | images/s | images a CPU second | peak memory, GB |")
    print("| --- | ---: | ---: | ---: |")
    memory = "peak_reserved" if bench.device == "cuda" else "peak_rss"
    for name, run in found.items():
        print(
            f"| {name} | {run['images_per_s']:.2f} | {run['images_per_cpu_s']:.2f} | "
            f"{run[memory] / GB:.2f} |"
        )
    return found


def _whole(bench: Bench) -> Figures:
    found = bench.whole()
    scale = bench.scale
    print(
        f"\n{scale.whole_images} images x {scale.whole_epochs} epochs, a snapshot after each, "
        f"loading{' and compiling' if scale.fast.get('compile') == 'on' else ''} counted: "
        f"{found['seconds']:.1f} s"
    )
    return found


def _lean(bench: Bench, figures: dict[str, Any]) -> Figures:
    found = bench.lean()
    memory = "peak_reserved" if bench.device == "cuda" else "peak_rss"
    settings = ", ".join(f"{name} {value}" for name, value in bench.scale.lean.items())
    peer = figures["contest"].get("peer, README")
    against = (
        f"; the peer with its README's flags {middle(peer, memory) / GB:.2f} GB" if peer else ""
    )
    print(f"peak memory at batch 1 ({settings}): {found[memory] / GB:.2f} GB{against}")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="fewer images, epochs and rounds")
    parser.add_argument(
        "--peer",
        type=Path,
        help=f"{SCRIPT} of https://github.com/huggingface/diffusers at tag {TAG}, unchanged; it "
        "needs accelerate, torchvision and tensorboard (pip install accelerate torchvision "
        "tensorboard, of versions that fit the torch that is installed)",
    )
    parser.add_argument("--family", choices=tuple(ARCHITECTURES), help="train that family")
    parser.add_argument("--lora", action="store_true", help="with --family: adapters only")
    parser.add_argument("--batch-size", type=int, help="with --family: images in one step")
    parser.add_argument("--rounds", type=int, help="runs of each contender; 3 unless named")
    parser.add_argument("--threads", type=int, default=None, help="of the processor; 1 on a CPU")
    parser.add_argument("--work", type=Path, help="folder to keep everything in")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--no-ladder", action="store_true", help="leave the ladder out")
    options = parser.parse_args()
    if options.peer and not options.peer.is_file():
        parser.error(f"--peer {options.peer} is no file")
    if options.threads is None:
        options.threads = 1 if options.device == "cpu" else os.cpu_count() or 1
    return options


if __name__ == "__main__":
    main()
