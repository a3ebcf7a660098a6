#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of a board beside the processor at hand, all measured in one run.

  bench.py --build build --model M --format F --board B [options of `tokproc bench`]

Lines: the simulated device, whose counted cycles and the board's clock give the board's figure; the
emulator; our own float32 forward pass on one thread of this processor, four ways (bench/README.md),
best of several repetitions. The last line on standard output is JSON with everything.
"""

import argparse
import json
import pathlib
import subprocess
import sys

REPETITIONS = 20
TOKENS = 256
PASSES = {
    "rows": "-O3 -march=native, rows",
    "columns": "-O3 -march=native, columns",
    "rows, fast-math": "the same and -ffast-math, rows",
    "columns, fast-math": "the same and -ffast-math, columns",
}


def processor_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def call(*command):
    """Standard output of a program; its messages go where ours go."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} failed")
    return json.loads(done.stdout.decode().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build", type=pathlib.Path)
    for name in ("model", "format", "board"):
        parser.add_argument(f"--{name}", required=True)
    args, more = parser.parse_known_args()
    tokproc = args.build / "tokproc"
    plan = call(tokproc, "plan", "-m", args.model, "--board", args.board, "--json",
                "--format", args.format)["places"][0]
    if plan.get("configuration") is None:
        sys.exit(f"bench: no core fits {args.board} - try: make bench BOARD=...")
    mhz, origin = plan["clock_mhz"], plan["clock_from"]
    common = ["bench", "-m", args.model, "--config", plan["configuration"], "--format", args.format,
              "--temp", "0", "--json"]
    simulated = call(tokproc, *common, "-d", "sim", *more)
    emulated = call(tokproc, *common, "-d", "emu", *more)
    floats = call(args.build / "bench" / "processor", args.model, TOKENS, REPETITIONS)
    cycles = simulated["cycles_per_token"] + simulated["cycles_between_steps_per_token"]
    rate = mhz * 1e6 / cycles

    print(f"{args.model}, {args.format}; processor: {processor_name()}, one thread")
    print(f"{'':44} {'tokens/s':>9}  board is")
    print(f"{args.board + f', {mhz:.2f} MHz ({origin})':44} {rate:9.0f}")
    print(f"  {simulated['cycles_per_token']:.1f} cycles per token counted in simulation, "
          f"{simulated['cycles_between_steps_per_token']:.1f} between steps; not run on silicon")
    rates = {f"float32, {PASSES[name]}": value
             for name, value in floats["tokens_per_second"].items()}
    rates["emulator (bit exact, integers)"] = emulated["tokens_per_second"]
    rates["simulated device"] = simulated["tokens_per_second"]
    for name, value in rates.items():
        print(f"{name:44} {value:9.0f}  {rate / value:8.2f} x as fast")
    print(json.dumps({"processor": processor_name(), "board": args.board, "clock_mhz": mhz,
                      "clock_from": origin, "tokens_per_second_board": rate,
                      "tokens_per_second": rates,
                      "ratios": {name: rate / value for name, value in rates.items()},
                      "simulated": simulated, "emulated": emulated}))


main()
