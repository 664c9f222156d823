"""Ratio of `lifecycle run scenarios/churn_prediction.yaml` to the same work on the bare libraries, interleaved on one machine.

    nox -s bench -- --baseline PATH/bare_lifecycle.py [--rounds 3]
    nox -s bench                                       # without the baseline: where the harness's own seconds go

Prints medians, their ratio and the seconds per step. A figure, not a test: nothing here fails for being slow.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCENARIO = ROOT / "scenarios" / "churn_prediction.yaml"
QUICK_COMMANDS = (["--help"], ["list", str(ROOT / "scenarios")], ["validate", str(SCENARIO)])


def timed(command: list[str], cwd: Path) -> float:
    """Seconds of the whole process; a command that fails ends the benchmark, since its time means nothing."""
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def steps_of(runs: Path) -> dict[str, float]:
    """Seconds per step of the latest run, from its journal."""
    journal = sorted(runs.glob("*/journal.jsonl"))[-1]
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    found = {f"service {event['service']}": event["seconds"] for event in events if event["event"] == "ServiceReady"}
    return found | {event["step"]: event["seconds"] for event in events if event["event"] == "StepFinished"}


def main() -> None:
    """Run the rounds and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--baseline", type=Path, help="the script on the bare libraries")
    arguments.add_argument("--baseline-python", default=sys.executable, help="the interpreter it runs on")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    lifecycle = [str(Path(sys.executable).parent / "lifecycle")]
    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory(prefix="lifecycle-bench-") as scratch:
        folder = Path(scratch)
        run = [*lifecycle, "run", str(SCENARIO), "--runs", str(folder / "runs")]
        timed(run, ROOT)  # the first run fills the caches, as a user's first run does
        for number in range(1, options.rounds + 1):
            ours.append(timed(run, ROOT))
            print(f"round {number}: lifecycle {ours[-1]:6.1f} s", end="", flush=True)
            if options.baseline:
                bare.append(
                    timed([options.baseline_python, str(options.baseline), "--root", str(folder / "bare")], ROOT)
                )
                print(f"   bare libraries {bare[-1]:6.1f} s", end="")
            print(flush=True)
        print(f"\nlifecycle run churn_prediction: median {statistics.median(ours):.1f} s of {len(ours)}")
        if bare:
            print(
                f"bare libraries: median {statistics.median(bare):.1f} s; ratio {statistics.median(ours) / statistics.median(bare):.2f}"
            )
        print("\nwhere the seconds of the last run went (steps overlap):")
        for step, seconds in sorted(steps_of(folder / "runs").items(), key=lambda item: -item[1]):
            print(f"  {seconds:6.2f} s  {step}")
    print("\nquick commands, median of 5:")
    for arguments_ in QUICK_COMMANDS:
        seconds = statistics.median(timed([*lifecycle, *arguments_], ROOT) for _ in range(5))
        print(f"  {seconds:6.2f} s  lifecycle {arguments_[0]}")


if __name__ == "__main__":
    main()
