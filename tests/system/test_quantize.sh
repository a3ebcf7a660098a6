#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about tokproc quantize: the same input gives the same bytes; an image rounded plainly runs
# like the model that it was made of, tokenizer included; formats, origin and measured loss are in
# it; it fits the board that was asked for; nothing is overwritten or left half done; what is wrong
# is said in one line. The same tensors from other kinds of files give the same payload.
#
# Needs python3. The last claim needs ../shared/models (TP_MODELS names the folder).
#
# TP_TIME_LIMIT_S: 600

TOKPROC=${TP_BUILD:-build}/tokproc
MODEL=models/tokproc-stories.bin
TEXT=models/eval.txt
MODELS=${TP_MODELS:-../shared/models}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

if [ ! -x "$TOKPROC" ]; then
    echo "skipped: $TOKPROC was not built"
    exit 77
fi

explain() {
    head -n 5 "$ROOM/err" | sed 's/^/# /'
}

run() {
    "$TOKPROC" "$@" > "$ROOM/out" 2> "$ROOM/err" < /dev/null
}

# refused NAME PATTERN ARGUMENTS: fails with one line that matches.
refused() {
    name=$1
    pattern=$2
    shift 2
    ! run "$@" && [ "$(wc -l < "$ROOM/err")" = 1 ] && grep -qE -e "$pattern" "$ROOM/err"
    report $? "$name"
}

# judge NAME PROGRAM: PROGRAM in python judges `facts`, the JSON of the last run.
judge() {
    tail -n 1 "$ROOM/out" | python3 -c "
import json, sys
facts = json.loads(sys.stdin.readline())
sys.exit(0 if ($2) else str(facts))" 2>> "$ROOM/err"
    report $? "$1"
}

# ---- images ----

run quantize -m "$MODEL" --format nf4 --calibrate "$TEXT" -o "$ROOM/a.tpi" --json
report $? "quantises with a text"
judge "loss, origin and formats are said" \
    "facts['quality']['tokens'] > 500 and abs(facts['quality']['change']) < 0.3
     and facts['origin'] == 'tokproc-stories.bin' and facts['calibrated_on'] == 'eval.txt'
     and facts['formats']['embedding'] == 'q8' and facts['formats']['1.down'] == 'nf4'"
run quantize -m "$MODEL" --format nf4 --calibrate "$TEXT" -o "$ROOM/b.tpi" -q &&
    cmp "$ROOM/a.tpi" "$ROOM/b.tpi" 2>> "$ROOM/err"
report $? "the same input gives the same bytes"
sha=$(sha256sum "$MODEL" | cut -d ' ' -f 1)
run info -m "$ROOM/a.tpi" --json
judge "the checksum is that of the model's file" \
    "facts['origin_sha256'] == '$sha' and facts['has_tokenizer'] and len(facts['costs']) > 1"
run eval -m "$ROOM/a.tpi" --reference "$MODEL" --text "$TEXT" -n 300 --json
judge "an image is scored against its origin" "abs(facts['change']) < 0.3"

run quantize -m "$MODEL" --format fp4 --keep down=q8 --keep 0.query=nf4 -o "$ROOM/c.tpi" --json
judge "matrices can have formats of their own" \
    "facts['formats']['0.query'] == 'nf4' and facts['formats']['1.query'] == 'fp4'
     and facts['formats']['1.down'] == 'q8' and facts['quality'] is None"
run quantize -m "$MODEL" --format fp4 --plain -o "$ROOM/d.tpi" -q
RUN="-d emu --config ulx3s-85f -p Once -n 30 --temp 0 -q"
run run -m "$MODEL" --format fp4 $RUN && cp "$ROOM/out" "$ROOM/model.txt"
run run -m "$ROOM/d.tpi" $RUN && cmp "$ROOM/out" "$ROOM/model.txt" 2>> "$ROOM/err"
report $? "an image runs like its model"
[ "$(wc -c < "$ROOM/out")" -gt 30 ]
report $? "and says something"

run quantize -m "$MODEL" --fit ulx3s-85f -o "$ROOM/e.tpi" -q
run info -m "$ROOM/e.tpi" --json
judge "formats are chosen for a board" \
    "[c['fits'] for c in facts['costs'] if c['device'] == 'ulx3s-85f'] == [True]
     and 'q8' in facts['formats'].values()"

# ---- what is refused ----

refused "a file is not overwritten" "there already.*--force" \
    quantize -m "$MODEL" --format q8 -o "$ROOM/a.tpi"
cmp "$ROOM/a.tpi" "$ROOM/b.tpi" 2> "$ROOM/err"
report $? "and stays as it was"
run quantize -m "$MODEL" --format fp4 --plain -o "$ROOM/b.tpi" --force -q &&
    cmp "$ROOM/b.tpi" "$ROOM/d.tpi"
report $? "unless it is forced"
refused "no file to write" "which file" quantize -m "$MODEL"
refused "a matrix that does not exist" "keep moon=q8" \
    quantize -m "$MODEL" --keep moon=q8 -o "$ROOM/x.tpi"
refused "a format that a matrix cannot have" "keep down=auto" \
    quantize -m "$MODEL" --keep down=auto -o "$ROOM/x.tpi"
refused "automatic formats for no board" "--fit" \
    quantize -m "$MODEL" --format auto -o "$ROOM/x.tpi"
refused "a board that does not exist" "no configuration" \
    quantize -m "$MODEL" --fit moon -o "$ROOM/x.tpi"
refused "a board that is too small" "too large for the device" \
    quantize -m "$MODEL" --fit small -o "$ROOM/x.tpi"
refused "an image is quantised already" "is an image" \
    quantize -m "$ROOM/a.tpi" -o "$ROOM/x.tpi"
refused "an image with a format" "is an image" run -m "$ROOM/a.tpi" --format q8
refused "an image with a text" "is an image" run -m "$ROOM/a.tpi" -d emu --calibrate "$TEXT" -p A
refused "a folder that does not exist" "nowhere" \
    quantize -m "$MODEL" --format q8 -o "$ROOM/nowhere/x.tpi"
head -c 20000 "$ROOM/a.tpi" > "$ROOM/cut.tpi"
refused "an image that was cut short" "byte 16.*cut short" info -m "$ROOM/cut.tpi"
[ ! -e "$ROOM/x.tpi" ] && [ "$(ls "$ROOM" | grep -c tpi)" = 6 ]
report $? "what was refused left no file"

# ---- Ctrl-C ----

mkdir "$ROOM/stopped"
python3 - "$TOKPROC" "$MODEL" "$ROOM/stopped" 2> "$ROOM/err" << 'END'
import os, signal, subprocess, sys, time
for delay in (0.02, 0.1, 0.2):
    process = subprocess.Popen([sys.argv[1], "quantize", "-m", sys.argv[2], "--format", "nf4", "-o",
                                sys.argv[3] + "/x.tpi", "-q"], stderr=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    status = process.wait(60)
    left = os.listdir(sys.argv[3])
    # It may have been done already.
    if (status, left) not in ((130, []), (0, ["x.tpi"]), (-2, [])):
        sys.exit(f"status {status}, files {left}")
    for name in left:
        os.unlink(sys.argv[3] + "/" + name)
END
report $? "Ctrl-C leaves no part of a file"

# ---- kinds of files ----

if [ -e "$MODELS/stories260K.gguf" ]; then
    digests=
    for name in stories260K.bin stories260K.gguf; do
        run quantize -m "$MODELS/$name" --tokenizer "$MODELS/tok512.bin" --format nf4 \
            --calibrate "$MODELS/tinystories-sample.txt" -o "$ROOM/$name.tpi" --json
        digests="$digests $(grep -o '"payload_sha256":"[0-9a-f]*"' "$ROOM/out")"
    done
    set -- $digests
    [ "$#" = 2 ] && [ "$1" = "$2" ]
    report $? "the same tensors in other files give the same payload"
else
    echo "# skipped: the payload of other files: $MODELS is not there"
fi

finish
