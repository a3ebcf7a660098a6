#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims, as far as they are properties of the numbers and not of the machine that runs the test,
# for stories260K: in integers, 8-bit weights change the loss by at most 0.015 nats per token, the
# better of fp4 and nf4 by at most 0.13 and no more than Q4_0 rounding, over the first 3000 tokens
# of the sample text; calibrated on texts that are not scored, by at most 0.006 and 0.055; the
# program of its fp4 form takes at most 6000 cycles per token on ulx3s-85f, mean of 256 from the
# start.
# The reference's loss over the whole text: test_reference_text.c. Cycles counted by the device:
# test_same_tokens.c.
#
# The bounds are those of a part of the text; `tokproc eval` without -n measures the whole.
#
# TP_TIME_LIMIT_S: 600

TOKPROC=${TOKPROC:-build/tokproc}
MODELS=${TP_MODELS:-../shared/models}
MODEL=$MODELS/stories260K.gguf
TEXT=$MODELS/tinystories-sample.txt
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

for file in "$TOKPROC" "$MODEL" "$TEXT"; do
    if [ ! -e "$file" ]; then
        echo "skipped: $(basename "$file") is not there"
        exit 77
    fi
done

# figure EXPRESSION FILES: prints the value of a Python expression of the objects a, b in the files.
figure() {
    expression=$1
    shift
    python3 - "$expression" "$@" << 'END'
import json, pathlib, sys
names = "ab"
values = {names[i]: json.loads(pathlib.Path(path).read_text().splitlines()[-1])
          for i, path in enumerate(sys.argv[2:])}
print(eval(sys.argv[1], values))
END
}

# at_most LIMIT VALUE NAME
at_most() {
    awk -v limit="$1" -v value="$2" 'BEGIN { exit !(value != "" && value + 0 <= limit) }'
    report $? "$3: $2, at most $1"
}

# table NAME ARGUMENTS: the rows of a table of formats, by name, in $ROOM/NAME.
table() {
    name=$1
    shift
    "$TOKPROC" eval -m "$MODEL" -d emu --text "$TEXT" -n 3000 --json "$@" \
        > "$ROOM/out" 2> "$ROOM/err" || sed 's/^/# /' "$ROOM/err"
    python3 -c '
import json, sys
table = json.loads(sys.stdin.read().splitlines()[-1])
rows = {row["format"]: row["change"] for row in table["rows"]}
print(json.dumps({**rows, **{key: table[key] for key in ("tokens", "texts_left_out")}}))' \
        < "$ROOM/out" > "$ROOM/$name"
}

table plain --compare q8,nf4,fp4
at_most 0.015 "$(figure 'a["q8"]' "$ROOM/plain")" "q8: change of the loss"
at_most 0.13 "$(figure 'min(a["nf4"], a["fp4"])' "$ROOM/plain")" \
    "fp4 or nf4: change of the loss"
at_most "$(figure 'a["Q4_0 rounding"]' "$ROOM/plain")" \
    "$(figure 'min(a["nf4"], a["fp4"])' "$ROOM/plain")" "fp4 or nf4: no worse than Q4_0"
[ "$(figure 'a["tokens"] >= 3000 and a["tokens"] < 4000' "$ROOM/plain")" = True ]
report $? "the scored part has 3000 tokens and the rest of a text"

table calibrated --compare q8,nf4,fp4 --calibrate "$TEXT"
at_most 0.006 "$(figure 'a["q8"]' "$ROOM/calibrated")" "q8, calibrated: change of the loss"
at_most 0.055 "$(figure 'min(a["nf4"], a["fp4"])' "$ROOM/calibrated")" \
    "fp4 or nf4, calibrated: change of the loss"
[ "$(figure 'a["texts_left_out"] > 0' "$ROOM/calibrated")" = True ]
report $? "the texts that calibrated are not scored"

"$TOKPROC" bench -m "$MODEL" -d emu --config ulx3s-85f --format fp4 -n 256 --json \
    > "$ROOM/bench" 2> "$ROOM/err" || sed 's/^/# /' "$ROOM/err"
at_most 6000 "$(figure 'a["cycles_per_token"]' "$ROOM/bench")" "fp4: cycles per token"
[ "$(figure '(a["tokens"], a["cycles_counted"])' "$ROOM/bench")" = "(256, 0)" ]
report $? "256 tokens, predicted: the emulator counts no cycles"

finish
