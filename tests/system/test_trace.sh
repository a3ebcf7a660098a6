#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims: `tokproc trace --wave` on a device that was built with tracing writes an FST file that
# holds the signals of the chosen step and of the one before it, and nothing else: its times span
# the cycles that the trace of the same run gives these two steps, and at most 100 for what is
# between steps.
#
# TP_TIME_LIMIT_S: 600

TOKPROC=${TOKPROC:-build/tokproc}
CONFIG=ulx3s-45f
MODEL=models/tokproc-stories.bin
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

if [ ! -e "build/sim/$CONFIG-trace.so" ]; then
    echo "skipped: make build/sim/$CONFIG-trace.so"
    exit 77
fi

explain() {
    tail -3 "$ROOM/err" | sed 's/^/# /'
}

# span WAVE TRACE STEP: 0 if the wave is of this step and the one before, 3 if not.
span() {
    python3 - "$@" << 'END'
import json, struct, sys
wave, trace, step = open(sys.argv[1], "rb").read(), json.load(open(sys.argv[2])), int(sys.argv[3])
# FST: block 0 is the header: its length, first and last time, two words, scopes, variables.
kind, length, first, last, _, _, scopes, variables = struct.unpack(">B7Q", wave[:57])
steps = sorted((e["ts"], e["dur"]) for e in trace["traceEvents"]
               if e["ph"] == "X" and e["name"].startswith("step"))
begin, end = steps[step - 1][0], steps[step][0] + steps[step][1]
cycles = (last - first + 1) / 2
print(f"# {cycles:.0f} cycles, {variables} signals; steps {step - 1} and {step}: {end - begin}",
      file=sys.stderr)
# From the STEP frame of the step before last to that of the last one.
ok = kind == 0 and length == 329 and scopes > 50 and variables > 1000
sys.exit(0 if ok and 0 <= cycles - (end - begin) <= 100 else 3)
END
}

# wave STEP
wave() {
    "$TOKPROC" trace -m "$MODEL" -d sim --config $CONFIG --format nf4-all --temp 0 -n 20 \
        --wave "$ROOM/wave$1.fst" --step "$1" -o "$ROOM/trace$1.json" > /dev/null 2> "$ROOM/err"
}

# With position 16 the second page begins, so these two steps differ from their neighbours.
wave 16
report $? "a wave is written"
span "$ROOM/wave16.fst" "$ROOM/trace16.json" 16 2>> "$ROOM/err"
report $? "it spans its step and the one before"
span "$ROOM/wave16.fst" "$ROOM/trace16.json" 17 2>> "$ROOM/err"
[ $? = 3 ]
report $? "the same is told from another step's"

finish
