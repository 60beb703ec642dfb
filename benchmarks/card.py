"""What `docs/performance.md` states, measured by one command: ``python -m benchmarks.card``.

Each part runs in fresh processes, in order of value, until the time is over; a part that fails or
does not end is reported as that, and the next one begins. Models have real sizes and random
weights on a GPU, and small ones on a CPU, where ratios alone mean anything.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.speed.bench import LOSS_BOUND, Bench, middle
from benchmarks.speed.measured import ROOT, WorkerError
from benchmarks.speed.peer import SCRIPT, TAG
from benchmarks.speed.scale import scale_of

GB = 1e9
TIME_LIMIT_S = 540.0
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
_LATENTS_BOUND, _FLOAT_ERROR = 1.5, 1e-4
_PERFORMANCE = ROOT / "docs" / "performance.md"
_HEAD = """\
# Performance

Measured by `make bench-gpu`, with random weights of real sizes. Parts that the time did not
suffice for are measured by `make bench-gpu PARTS="..."` and added. A speed counts only beside code
that gives the same losses, averages and latents.

"""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What is measured, with its unit.
        ours: The figure; ``None`` if it was not reached.
        peer: The same of the program that it is compared with, if there is one.
        goal: What it should be on one H100; empty on a CPU.
        note: What stands beside the figure, such as why there is none.
        part: The part of the benchmark that it is of.
    """

    what: str
    ours: float | None = None
    peer: float | None = None
    goal: str = ""
    note: str = ""
    part: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        ratio = self.ours / self.peer if self.ours and self.peer else None
        figures = [
            f"{each:.3g}" if each is not None else "" for each in (self.ours, self.peer, ratio)
        ]
        return (self.what, *figures, self.goal, self.note)


Part = Callable[[Bench], list[Row]]


def main() -> None:
    """Measure by the command line's options; print and write the table."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="styledag-card-") as temporary:
        bench = Bench(
            scale=scale_of(options.device, quick=True),
            device=options.device,
            threads=options.threads,
            work=(options.work or Path(temporary)).resolve(),
            peer=options.peer and options.peer.resolve(),
            ends_at_s=time.monotonic() + options.limit_s,
        )
        os.environ[_COMPILED] = str(bench.work / "compiled")
        bench.prepare()
        rows = [row for name in options.parts or PARTS for row in measured(name, bench)]
    machine = _machine(options.device)
    if options.json:
        rows = with_former(rows, options.json, machine)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = as_table(rows, machine)
    print(f"\n{table}")
    if options.device == "cuda":
        _PERFORMANCE.write_text(_HEAD + table, encoding="utf-8")


def with_former(rows: list[Row], path: Path, machine: Mapping[str, str]) -> list[Row]:
    """Return rows with those of the parts that an earlier run on this machine measured.

    Args:
        rows: What was measured now.
        path: The report of earlier runs; there may be none.
        machine: This machine.
    """
    former: list[Row] = []
    if path.is_file():
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["machine"] == machine:
            former = [Row(**each) for each in report["rows"]]
    now = {row.part for row in rows}
    order = list(PARTS)
    every = [*(row for row in former if row.part not in now), *rows]
    return sorted(every, key=lambda row: order.index(row.part))


def as_table(rows: list[Row], machine: Mapping[str, str]) -> str:
    """Return the rows as a table of Markdown under the machine's name."""
    head = ("what", "ours", "peer", "ratio", "goal", "note")
    lines = [f"On {machine['device']}, torch {machine['torch']}:", ""]
    lines += [_line(head), _line(["---", "---:", "---:", "---:", "---", "---"])]
    return "\n".join([*lines, *(_line(row.cells()) for row in rows)]) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def measured(name: str, bench: Bench) -> list[Row]:
    """Return the rows of a part, or one that states why there are none."""
    began_s = time.monotonic()
    try:
        if began_s >= bench.ends_at_s:
            return [Row(name, note="not reached in the time", part=name)]
        rows = PARTS[name](bench)
    except WorkerError as exc:
        print(exc, flush=True)
        rows = [Row(name, note=str(exc).splitlines()[-1])]
    rows = [replace(row, part=name) for row in rows]
    for row in rows:
        print(f"{time.monotonic() - began_s:6.0f} s  {' | '.join(row.cells())}", flush=True)
    return rows


def _gpu_tests(bench: Bench) -> list[Row]:
    if bench.device != "cuda":
        return []
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=bench.left_s
        )
    except subprocess.TimeoutExpired as exc:
        said = exc.stdout or b""
        print(said.decode() if isinstance(said, bytes) else said, flush=True)
        return [Row("tests marked gpu", note=f"did not end within {exc.timeout:.0f} s")]
    print(done.stdout[-4000:], flush=True)
    return [Row("tests marked gpu", note=done.stdout.strip().splitlines()[-1])]


def _encoding(bench: Bench) -> list[Row]:
    passes_per_s = max(each["images_per_s"] for each in bench.encode())
    gate = bench.gate_encoding()
    if not gate["passes"]:
        raise WorkerError(f"moments of batches are {gate['largest_difference']:.1e} apart")
    loop = gate["loop_images_per_s"]
    note = f"peer: a loop of one by one; moments {gate['largest_difference']:.0e} apart"
    return [Row("encoding, passes/s", passes_per_s, loop, _goal(bench, "350"), note)]


def _training(bench: Bench) -> list[Row]:
    contest = bench.contest(1, untuned=False)
    memory = "peak_reserved" if bench.device == "cuda" else "peak_rss"
    ours = middle(contest["ours"], "images_per_s")
    peer = contest.get("peer, tuned")
    theirs = middle(peer, "images_per_s") if peer else None
    note = (
        f"{middle(contest['ours'], memory) / GB:.1f} GB; peer: {SCRIPT} of diffusers {TAG}, tuned"
    )
    if bench.uncompiled_losses:
        apart = _apart(contest["ours"][0]["losses"], bench.uncompiled_losses)
        if not apart <= LOSS_BOUND:
            raise WorkerError(f"compiled code's mean loss is {apart:.2%} off; no speed counts")
        note += f"; mean loss {apart:.2%} from uncompiled code's"
    return [Row("training, EMA each step, images/s", ours, theirs, _goal(bench, "160"), note)]


def _eager(bench: Bench) -> list[Row]:
    if bench.device != "cuda":
        return []
    found = bench.train("eager", compute={**bench.scale.fast, "compile": "off"})
    bench.uncompiled_losses = found["losses"]
    return [Row("the same without compiling, images/s", found["images_per_s"])]


def _equality(bench: Bench) -> list[Row]:
    gates = {"losses": bench.gate_losses(), "averages": bench.gate_averages()}
    failed = [name for name, gate in gates.items() if not gate["passes"]]
    if failed:
        raise WorkerError(f"not equal: {', '.join(failed)}; no speed counts")
    apart = gates["losses"]["loss_difference"]
    note = f"mean loss {apart:.2%} from float32's; averages as diffusers' EMAModel"
    return [Row("equality of training", note=note)]


def _whole(bench: Bench) -> list[Row]:
    seconds = bench.whole()["seconds"]
    note = "by default, which compiles nothing of so short a training"
    return [Row(_whole_of(bench), seconds, goal=_goal(bench, "120"), note=note)]


def _warm(bench: Bench) -> list[Row]:
    if bench.device != "cuda":
        return []
    if not Path(os.environ[_COMPILED]).is_dir():
        raise WorkerError("nothing was compiled before: name training before it")
    seconds = bench.whole("on")["seconds"]
    return [Row(f"{_whole_of(bench)}, compiled with a warm cache", seconds, goal="75")]


def _whole_of(bench: Bench) -> str:
    scale = bench.scale
    return f"{scale.whole_images} images x {scale.whole_epochs} epochs, a snapshot each, s"


def _lean(bench: Bench) -> list[Row]:
    found = bench.lean()
    memory = found["peak_reserved" if bench.device == "cuda" else "peak_rss"] / GB
    return [Row("peak memory, full fine-tune + EMA, batch 1, GB", memory, goal=_goal(bench, "6.5"))]


def _sampling(bench: Bench) -> list[Row]:
    found = bench.sampling()
    what = f"sampling at {bench.scale.sampling_steps} steps, batch {bench.scale.sampled}, images/s"
    one = found["pipeline_one_by_one_images_per_s"]
    apart = f"latents {found['latents_apart']:.1%} from float32's"
    note = f"peer: diffusers' pipeline, one by one {one:.3g}; {apart}"
    peer = found["pipeline_images_per_s"]
    return [Row(what, found["images_per_s"], peer, _goal(bench, "10"), note)]


def _compiled(bench: Bench) -> list[Row]:
    found = bench.sampling("compiled_sampling")
    compiled, plain = found["compiled_latents_apart"], found["uncompiled_latents_apart"]
    if not compiled <= _LATENTS_BOUND * plain + _FLOAT_ERROR:
        raise WorkerError(f"compiled code's latents are {compiled:.1%} off; no speed counts")
    note = (
        f"peer: the same uncompiled; the first batch took {found['compiled_first_batch_s']:.0f} s; "
        f"latents {compiled:.1%} from float32's, uncompiled {plain:.1%}"
    )
    per_s = found["compiled_images_per_s"], found["uncompiled_images_per_s"]
    return [Row("sampling with compiled blocks, images/s", *per_s, note=note)]


def _captioning(bench: Bench) -> list[Row]:
    found = bench.captioning()
    peer, note = found["one_by_one_captions_per_s"], "peer: generate, one by one"
    return [Row("BLIP, captions/s", found["captions_per_s"], peer, _goal(bench, "1,200"), note)]


def _apart(first: list[float], second: list[float]) -> float:
    """Return how far the means of two runs' losses are apart, as a share of the second's."""
    means = [sum(each) / len(each) for each in (first, second)]
    return abs(means[0] - means[1]) / means[1]


def _goal(bench: Bench, goal: str) -> str:
    return goal if bench.device == "cuda" else ""


PARTS: dict[str, Part] = {
    "encoding": _encoding,
    "eager": _eager,
    "training": _training,
    "sampling": _sampling,
    "captioning": _captioning,
    "whole": _whole,
    "compiled": _compiled,
    "lean": _lean,
    "equality": _equality,
    "warm": _warm,
    "tests": _gpu_tests,
}
"""In order of value, as the time may not suffice for all; training fills the cache of warm."""


def _machine(device: str) -> dict[str, str]:
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    cores = f", {os.cpu_count()} cores" if device == "cpu" else ""
    return {"device": f"{name}{cores}", "torch": torch.__version__}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="cuda if there is one")
    parser.add_argument("--limit-s", type=float, default=TIME_LIMIT_S, help="seconds in all")
    parser.add_argument("--peer", type=Path, help=f"{SCRIPT} of diffusers at {TAG}, unchanged")
    parser.add_argument("--threads", type=int, help="of the processor, for torch")
    parser.add_argument("--work", type=Path, help="folder to keep everything in")
    parser.add_argument("--json", type=Path, help="file for all figures, of earlier parts too")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.device is None:
        import torch

        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.threads is None:
        options.threads = 1 if options.device == "cpu" else os.cpu_count() or 1
    return options


if __name__ == "__main__":
    main()
