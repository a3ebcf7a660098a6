#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims of models/README.md: both models of models/ run on ulx3s-85f; their files lie on the nf4
# grid, so that 4 bits lose no more than 8 bits do; in integers the loss on held-out texts differs
# from that of the file's floats by at most 0.01 nats per token, and that of the stories also from
# that of the training without quantisation.
#
# The bounds are those of the first part of the texts; models/README.md has the whole.
#
# TP_TIME_LIMIT_S: 300

TOKPROC=${TOKPROC:-build/tokproc}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

if [ ! -e "$TOKPROC" ]; then
    echo "skipped: $TOKPROC is not there"
    exit 77
fi

explain() {
    sed 's/^/# /' "$ROOM/err" | head -20
}

# close KEY FILE KEY FILE LIMIT NAME: two values of JSON lines differ by at most LIMIT
close() {
    difference=$(python3 - "$1" "$2" "$3" "$4" << 'END'
import json, pathlib, sys
values = [json.loads(pathlib.Path(sys.argv[i + 1]).read_text().splitlines()[-1])[sys.argv[i]]
          for i in (1, 3)]
print("%.4f" % abs(values[0] - values[1]))
END
    )
    awk -v limit="$5" -v value="$difference" \
        'BEGIN { exit !(value != "" && value + 0 <= limit) }' 2> "$ROOM/err"
    report $? "$6: $difference, at most $5"
}

# check MODEL TEXT
check() {
    "$TOKPROC" eval -m "models/$1.bin" -d emu --config ulx3s-85f --format nf4 \
        --text "models/$2" -n 3000 --json > "$ROOM/nf4" 2> "$ROOM/err"
    report $? "$1: nf4 is scored on ulx3s-85f"
    "$TOKPROC" eval -m "models/$1.bin" -d emu --format q8 --text "models/$2" -n 3000 --json \
        > "$ROOM/q8" 2> "$ROOM/err"
    report $? "$1: q8 is scored"
    close nats_per_token "$ROOM/nf4" nats_per_token "$ROOM/q8" 0.001 "$1: 4 bits and 8 bits"
    close nats_per_token "$ROOM/nf4" reference_nats_per_token "$ROOM/nf4" 0.01 \
        "$1: integers and floats"
}

check tokproc-stories eval.txt
"$TOKPROC" eval -m models/tokproc-stories.bin --reference models/tokproc-stories-float.bin -d emu \
    --format nf4 --text models/eval.txt -n 3000 --json > "$ROOM/float" 2> "$ROOM/err"
report $? "tokproc-stories: is compared with the float training"
close nats_per_token "$ROOM/float" reference_nats_per_token "$ROOM/float" 0.01 \
    "tokproc-stories: 4 bits in integers and the float training"
check tokproc-weather eval-weather.txt

finish
