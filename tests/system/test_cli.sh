#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about the command line, built with sanitizers, on the emulator: a bad input gives exactly
# one line on standard error, which says what is wrong, and a non-zero exit status, without a crash,
# a leak or a sanitizer's report; Ctrl-C ends a run at once and cleanly; every verb gives the
# documented keys of JSON.
#
# Needs python3, to make damaged files and to read JSON.
#
# TP_TIME_LIMIT_S: 900

# Without sanitizers, for a step that takes long in code that another line runs with them.
UNCHECKED=${TOKPROC:-build/tokproc}
TOKPROC=${TOKPROC_SAN:-build/san/tokproc}
MODEL=models/tokproc-stories.bin
TOKENIZER=models/tokproc-stories-tok.bin
# Constants from a given text: the default, text that the model generates, is slow with sanitizers.
QUICK="--calibrate models/prompts.txt"
FAST="-d emu --config ulx3s-85f --format fp4 $QUICK"
# Where eval need not round well: that takes four fifths of it.
PLAIN="$FAST --plain"
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

if [ ! -x "$TOKPROC" ]; then
    echo "skipped: $TOKPROC was not built"
    exit 77
fi

explain() {
    sed 's/^/# err: /' "$ROOM/err" | head -20
    tail -n 5 "$ROOM/out" | cut -c 1-200 | sed 's/^/# out: /'
}

# run ARGUMENTS: leaves $ROOM/out, $ROOM/err and $status.
run() {
    "$TOKPROC" "$@" > "$ROOM/out" 2> "$ROOM/err" < /dev/null
    status=$?
}

# refused NAME PATTERN ARGUMENTS: one line on standard error that matches, exit status 1 or 2.
refused() {
    name=$1
    pattern=$2
    shift 2
    run "$@"
    good=0
    [ "$status" = 1 ] || [ "$status" = 2 ] || good=1
    [ "$(wc -l < "$ROOM/err")" = 1 ] || good=1
    grep -q "^tokproc" "$ROOM/err" || good=1
    grep -qE -e "$pattern" "$ROOM/err" || good=1
    [ "$good" = 0 ] || echo "# exit status $status, wanted a line with: $pattern"
    report $good "$name"
}

# works NAME ARGUMENTS: exit status 0.
works() {
    name=$1
    shift
    run "$@"
    [ "$status" = 0 ] || echo "# exit status $status"
    report "$status" "$name"
}

# has_keys NAME KEYS: the last line of the last run is a JSON object with these keys.
has_keys() {
    tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
missing = [key for key in sys.argv[1:] if key not in value]
sys.exit("no " + ", ".join(missing) if missing else 0)' $2 2>> "$ROOM/err"
    report $? "$1"
}

python3 - "$MODEL" "$ROOM" << 'END' || exit 1
import math, pathlib, struct, sys
model = pathlib.Path(sys.argv[1]).read_bytes()
room = pathlib.Path(sys.argv[2])
(room / "short.bin").write_bytes(model[:len(model) // 3])
(room / "header.bin").write_bytes(model[:20])
(room / "empty.bin").write_bytes(b"")
(room / "long.bin").write_bytes(model + b"more")
(room / "foreign.bin").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
for name, value in (("nan", math.nan), ("infinite", -math.inf)):
    at = len(model) // 2 // 4 * 4
    (room / f"{name}.bin").write_bytes(model[:at] + struct.pack("<f", value) + model[at + 4:])
sizes = (8, 8, 1, 1, 1, 300, 16)
(room / "other.bin").write_bytes(struct.pack("<7i", *sizes) + bytes(
    4 * (300 * 8 + 8 + 4 * 64 + 8 + 3 * 64 + 8 + 2 * 16 * 4)))
pieces = b"".join(struct.pack("<fi", 0.0, 1) + bytes([97 + i % 26]) for i in range(300))
(room / "tokens300.bin").write_bytes(struct.pack("<i", 4) + pieces)
END

# ---- models ----

bad_model() {
    refused "$1" "$2" run -m "$ROOM/$3" --tokenizer "$TOKENIZER" $FAST -n 2
}
bad_model "truncated model" "short.bin" short.bin
bad_model "model with nothing but a header" "header.bin" header.bin
bad_model "empty model" "empty.bin" empty.bin
bad_model "model with bytes behind it" "long.bin" long.bin
bad_model "foreign file" "foreign.bin" foreign.bin
bad_model "NaN weight" "nan.bin" nan.bin
bad_model "infinite weight" "infinite.bin" infinite.bin
bad_model "model that is not there" "nothing.bin" nothing.bin
refused "directory for a model" "models" run -m models $FAST
refused "model that cannot be read" "mem" run -m /proc/self/mem $FAST
refused "no model" "which model" run -d emu
refused "no model for info" "which model" info
refused "tokenizer of another vocabulary" "300.*512|512.*300" \
    run -m "$MODEL" --tokenizer "$ROOM/tokens300.bin" $FAST
refused "model for a tokenizer" "tokproc-stories" run -m "$MODEL" --tokenizer "$MODEL" $FAST
refused "tokenizer that is not there" "nothing.bin" \
    run -m "$MODEL" --tokenizer "$ROOM/nothing.bin" $FAST
refused "weights too large for the device" "weights: [0-9]+ beats.* 3072 .*too many" \
    run -m "$MODEL" -d emu --config ulx3s-85f --format q8
refused "model too large for a small device" "weights: [0-9]+ beats.* 1024 " \
    run -m "$MODEL" -d emu --config small
refused "text for constants that is not there" "nothing.txt" \
    run -m "$MODEL" $FAST --calibrate "$ROOM/nothing.txt"

# ---- prompts and texts ----

refused "prompt longer than the context" "context" \
    run -m "$MODEL" $FAST -c 8 -p "Once upon a time there was a little dog who liked the sun"
refused "prompt that is not UTF-8" "UTF-8" run -m "$MODEL" $FAST -p "$(printf 'one \377 two')"
refused "chat without a template" "has no chat template.*plain, chatml" \
    run -m "$MODEL" $FAST --chat auto -p hello
refused "chat template that is not known" "vicuna.*plain, chatml" \
    run -m "$MODEL" $FAST --chat vicuna -p hello
refused "context longer than the device's" "[0-9]" run -m "$MODEL" $FAST -c 5000
refused "no text for eval" "which text" eval -m "$MODEL" $PLAIN
refused "text for eval that is not there" "nothing.txt" \
    eval -m "$MODEL" $PLAIN --text "$ROOM/nothing.txt"
refused "directory for a text" "models" eval -m "$MODEL" $PLAIN --text models
printf 'bad \377 text\n' > "$ROOM/bad.txt"
refused "text that is not UTF-8" "UTF-8" eval -m "$MODEL" $PLAIN --text "$ROOM/bad.txt"
refused "reference of another vocabulary" "512.*300|300.*512" \
    eval -m "$MODEL" $PLAIN --text models/eval.txt --reference "$ROOM/other.bin" \
    --tokenizer "$TOKENIZER"
refused "reference that is not there" "nothing.bin" \
    eval -m "$MODEL" $PLAIN --text models/eval.txt --reference "$ROOM/nothing.bin"
refused "table of an unknown format" "cannot have q9 .*try" \
    eval -m "$MODEL" -d emu --text models/eval.txt --compare fp4,q9
refused "table with a format twice" "cannot have fp4 .*try" \
    eval -m "$MODEL" -d emu --text models/eval.txt --compare fp4,fp4
refused "table of formats with --format" "compare does not go with --format" \
    eval -m "$MODEL" $PLAIN --text models/eval.txt --compare fp4
refused "export of another kind" "cannot be pdf .*try" \
    quantize -m "$MODEL" --export pdf -o "$ROOM/a.pdf"
refused "all texts are left out" "no text" \
    eval -m "$MODEL" $PLAIN --text models/eval.txt --skip 100000
: > "$ROOM/empty.txt"
refused "empty text" "empty.txt" eval -m "$MODEL" $PLAIN --text "$ROOM/empty.txt"

refused "plan without a model" "which model" plan
refused "plan of an unknown board" "no board is called 'ulx4'.*ulx3s-85f" \
    plan -m "$MODEL" --board ulx4
refused "plan of an unknown configuration" "no configuration is called 'ulx4'.*try" \
    plan -m "$MODEL" --config ulx4
refused "bench of a board without a bitstream" "no bitstream of ulx3s-85f .*try: make bitstream" \
    bench -m "$MODEL" $QUICK -d emu --format fp4 --board ulx3s-85f --bitstreams "$ROOM"
refused "bench of a board that is too small" "no core fits ulx3s-25f.*try: tokproc plan" \
    bench -m "$MODEL" -d emu --format fp4 --board ulx3s-25f
refused "bench of a board and a configuration" "try: without --config" \
    bench -m "$MODEL" $FAST --board ulx3s-85f
refused "bench of an unknown board" "no board is called 'ulx4'" bench -m "$MODEL" --board ulx4
refused "trace to nowhere" "where to.*try: -o" trace -m "$MODEL" $FAST
refused "trace over a file" "is there already.*--force" trace -m "$MODEL" $FAST -o "$ROOM/long.bin"
refused "trace to a folder that is not there" "cannot be written" \
    trace -m "$MODEL" $FAST -n 2 -o "$ROOM/nothing/a.json"
refused "wave of an emulator" "only simulated devices" trace -m "$MODEL" $FAST --wave "$ROOM/a.fst"
refused "wave of a device that was not built" "make build/sim/large-trace.so" \
    trace -m "$MODEL" -d sim --config large --device-folder "$ROOM" --wave "$ROOM/a.fst"
refused "plan of a board and a configuration" "try: without --config" \
    plan -m "$MODEL" --board ulx3s-85f --config large

# ---- options ----

option() {
    name=$1
    shift
    refused "$name" "try: tokproc" run -m "$MODEL" -d emu "$@"
}
option "unknown option" --colour
option "unknown format" --format q9
option "negative temperature" --temp -1
option "temperature of 101" --temp 101
option "temperature of 0.001" --temp 0.001
option "temperature that is no number" --temp warm
option "temperature nan" --temp nan
option "top-k of 65" --top-k 65
option "repetition penalty below 1" --repeat-penalty 0.9
option "repetition penalty of 4" --repeat-penalty 4
option "top-p above 1" --top-p 1.1
option "negative min-p" --min-p -0.1
option "65 candidates" --logprobs 65
option "no tokens" -n 0
option "negative tokens" -n -5
option "half a token" -n 1.5
option "seed that is no number" --seed x
option "context of 0" -c 0
option "no slot for a prompt" --prefill-slots 0
option "nine slots for a prompt" --prefill-slots 9
option "missing value" -p
option "empty stop string" --stop ""
option "value of a flag" --json=yes
option "option of another verb" --text x.txt
BITS=bitstreams/ulx3s-45f/tokproc.bit
head -c 500000 "$BITS" > "$ROOM/cut.bit"
refused "bitstream without a file" "info, check, read.*try" bitstream info
refused "bitstream of nowhere" "cannot open" bitstream info "$ROOM/none.bit"
refused "bitstream that is a model" "no preamble" bitstream check "$MODEL"
refused "bitstream that is cut" "ends inside a compressed frame" bitstream check "$ROOM/cut.bit"
refused "memories without a map" "needs the map" bitstream read "$BITS" --no-map
refused "bitstreams of two parts" "LFE5U-45F" \
    bitstream diff "$BITS" bitstreams/ulx3s-85f/tokproc.bit
refused "packing without a board" "which board" pack -m "$MODEL" -o "$ROOM/a.bit"
refused "packing over a file" "is there already.*--force" \
    pack -m "$MODEL" --board ulx3s-45f -o "$ROOM/cut.bit"
refused "packing twice at once" "one of --full" \
    pack -m "$MODEL" --board ulx3s-45f --full --partial -o "$ROOM/a.bit"
run bitstream check --json "$BITS"
has_keys "bitstream: keys" "part base usercode frames block_rams crcs canonical fault commands"
refused "nine sessions" "try: tokproc" bench -m "$MODEL" -d emu -j 9
refused "a prompt of several sessions" "try: without --sessions" \
    bench -m "$MODEL" $FAST -j 2 --prompt-tokens 20
refused "a prompt longer than the context" "room for 30 more tokens, 31" \
    bench -m "$MODEL" $FAST -c 30 --prompt-tokens 31
refused "unknown device" "toaster" run -m "$MODEL" -d toaster
refused "unknown configuration" "nothing" run -m "$MODEL" -d emu --config nothing
refused "simulated device that was not built" "nothing" run -m "$MODEL" -d sim --config nothing
refused "path for a configuration" "devices" run -m "$MODEL" -d sim --config ../sim/small
refused "folder without devices" "sim" run -m "$MODEL" -d sim --device-folder "$ROOM"

run paint
[ "$status" = 2 ] && head -n 1 "$ROOM/err" | grep -q "no verb 'paint'"
report $? "unknown verb"
run
[ "$status" = 2 ] && grep -q "usage" "$ROOM/err"
report $? "no verb"

# ---- what works ----

works "help" --help
works "help of a verb" run --help
grep -q -e "--top-k" "$ROOM/out"
report $? "help of a verb has its options"
works "version" --version
works "devices" devices
grep -q "^emu" "$ROOM/out"
report $? "devices has the emulator"
works "devices in JSON" devices --json
has_keys "devices: keys" "devices"
works "info" info -m "$MODEL"
works "info in JSON" info -m "$MODEL" --json
has_keys "info: keys" "name parameters dim vocab context"
works "listing" info -m "$MODEL" $FAST --program
grep -qi "matvec" "$ROOM/out"
report $? "listing has instructions"
works "run" run -m "$MODEL" $FAST -p "Once upon a time" -n 12 --temp 0 --json
has_keys "run: keys" "tokens text prompt_tokens"
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
ok = len(value["tokens"]) == 12 and len(value["text"]) > 12 and value["prompt_tokens"] > 1
sys.exit(0 if ok else 1)'
report $? "run: 12 tokens and their text"
tail -n 1 "$ROOM/out" > "$ROOM/story.json"
works "run as a chat" run -m "$MODEL" $FAST --chat zephyr --system "Be kind." -p "Hello" -n 8 --json
works "run with all of sampling" run -m "$MODEL" $FAST -p "Once" -n 8 --repeat-penalty 1.2 \
    --top-k 40 --top-p 0.9 --min-p 0.05 --logprobs 3 --json
tail -n 1 "$ROOM/out" | python3 -c '
import json, math, sys
value = json.loads(sys.stdin.readline())
ok = len(value["logprobs"]) == len(value["tokens"]) > 0
for token, entry in zip(value["tokens"], value["logprobs"]):
    top = [candidate["logprob"] for candidate in entry["top"]]
    ok = ok and entry["id"] == token and len(top) == 3 and top == sorted(top, reverse=True)
    ok = ok and entry["logprob"] <= top[0] <= 0 and sum(map(math.exp, top)) < 1.001
sys.exit(0 if ok else 1)'
report $? "run: log probabilities of each token and of three candidates"
works "run with log probabilities as text" run -m "$MODEL" $FAST -n 4 --temp 0 --logprobs 2
[ "$(grep -c ";.*,.*-[0-9]" "$ROOM/err")" = 4 ]
report $? "run: a line of log probabilities for each token"
works "bench of four sessions" bench -m "$MODEL" $FAST -j 4 -n 4
works "bench" bench -m "$MODEL" $FAST -n 8 --json
has_keys "bench: keys" "cycles_per_token cycles_predicted cycles_counted simulated_khz
    tokens_per_second multiplier_use"
works "plan" plan -m "$MODEL" --ledger
grep -q "ulx3s-12f" "$ROOM/out" && grep -q "multipliers: .* of 28" "$ROOM/out" &&
    grep -q "too many" "$ROOM/out" && grep -q "gate and up" "$ROOM/out"
report $? "plan: boards, what is short, ledger"
works "plan in JSON" plan -m "$MODEL" --json --ledger
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
places = {place["board"]: place for place in value["places"]}
row = {row["format"]: row for row in places["ulx3s-85f"]["formats"]}
fits, short = row["fp4, nf4, int4"], row["q8"]
clock = places["ulx3s-85f"]["clock_mhz"]
ledger = fits["ledger"]
parts = ("busy", "filling", "draining", "waiting")
weights = [need for need in short["needs"] if need["what"] == "weights"][0]
ok = fits["fits"] and not short["fits"] and weights["need"] > weights["have"]
ok = ok and abs(fits["tokens_per_second"] * fits["cycles_per_token"] - clock * 1e6) < 1
ok = ok and sum(ledger["sum"][part] for part in parts) == ledger["cycles"]
ok = ok and sum(line[part] for line in ledger["work"].values() for part in parts) == \
    ledger["cycles"]
ok = ok and ledger["cycles"] / ledger["tokens"] == fits["cycles_per_token"]
ok = ok and not places["ulx3s-12f"]["formats"][0]["fits"]
ok = ok and fits["stream_bytes"] == 113 + 2318 * fits["block_rams"] > 113
ok = ok and fits["load_seconds_jtag"] == 8 * fits["stream_bytes"] / 25e6
ok = ok and abs(fits["load_seconds_serial"] * 3e5 - fits["link_bytes"]) < 1
ok = ok and "load_seconds_usb" not in fits
ok = ok and all(abs(row["load_seconds_usb"] * 1.216e6 - row["link_bytes"]) < 1
                for row in places["ulx3s-45f"]["formats"] if row["fits"])
sys.exit(0 if ok else 1)'
report $? "plan: the figures belong together"
works "plan of a configuration" plan -m "$MODEL" --config large --format q8 -c 100
grep -q "^q8 .*yes" "$ROOM/out"
report $? "plan: a configuration and a format"
works "plan for the table" plan -m "$MODEL" --config ulx3s-85f --format fp4 --json
tail -n 1 "$ROOM/out" > "$ROOM/plan.json"
works "bench of the plan" bench -m "$MODEL" $FAST --temp 0 -n 256 --json
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
row = json.load(open(sys.argv[1]))["places"][0]["formats"][0]
n, cycles = value["tokens"], value["cycles_predicted"]
sys.exit(0 if n == 256 and cycles == row["cycles_per_token"] * 256 else f"{n} {cycles} {row}")' \
    "$ROOM/plan.json" 2>> "$ROOM/err"
report $? "plan: bench of 256 tokens takes the cycles"
works "bench with its ledger" bench -m "$MODEL" $FAST -j 2 -n 6 --ledger --contexts
grep -q "^roofline" "$ROOM/out" && grep -q "attention .*%" "$ROOM/out" &&
    grep -q "^  4 .* 128 " "$ROOM/out"
report $? "bench: ledger, roofline and contexts"
for slots in 1 4; do
    works "bench of a prompt over slots: $slots" bench -m "$MODEL" $FAST --temp 0 \
        --prompt-tokens 40 --prefill-slots "$slots" --json
    tail -n 1 "$ROOM/out" > "$ROOM/prompt$slots.json"
    works "a long prompt over slots: $slots" run -m "$MODEL" $FAST -n 8 --json \
        --prefill-slots "$slots" --repeat-penalty 1.3 -p "Once upon a time there was a little cat \
who lived in a big house by the sea with a dog and a bird. One day the cat"
    tail -n 1 "$ROOM/out" > "$ROOM/long$slots.json"
done
python3 -c '
import json, sys
one, four, long_one, long_four = [json.load(open(name)) for name in sys.argv[1:]]
ok = one["tokens"] == one["steps"] == four["tokens"] == 40 and four["steps"] == 11
ok = ok and four["cycles_predicted"] < 0.75 * one["cycles_predicted"]
ok = ok and long_one["tokens"] == long_four["tokens"] and long_one["prompt_tokens"] > 20
sys.exit(0 if ok else f"{one} {four} {long_one} {long_four}")' "$ROOM/prompt1.json" \
    "$ROOM/prompt4.json" "$ROOM/long1.json" "$ROOM/long4.json" 2> "$ROOM/err"
report $? "prompts: fewer steps over four slots, the same tokens"
works "trace" trace -m "$MODEL" $FAST -j 2 -n 5 -o "$ROOM/trace.json" --json
has_keys "trace: keys" "steps cycles_predicted cycles_counted trace"
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
facts = json.loads(sys.stdin.readline())
events = json.load(open(sys.argv[1]))["traceEvents"]
spans = [event for event in events if event["ph"] == "X"]
steps = [event for event in spans if event["pid"] == 1]
ok = len(steps) == facts["steps"] > 4
ok = ok and sum(step["dur"] for step in steps) == facts["cycles_predicted"]
names = {event["args"]["name"] for event in events if event["ph"] == "M"}
ok = ok and {"steps", "matrix", "rotation", "attention", "slot 0", "slot 1"} <= names
ok = ok and any(span["name"] == "layer 0: queries" for span in spans)
for track in {(span["pid"], span["tid"]) for span in spans}:
    end = 0
    for span in (span for span in spans if (span["pid"], span["tid"]) == track):
        ok = ok and span["ts"] >= end and span["dur"] >= 0
        end = span["ts"] + span["dur"]
    ok = ok and end <= facts["cycles_predicted"]
sys.exit(0 if ok else 1)' "$ROOM/trace.json" 2>> "$ROOM/err"
report $? "trace: a track of each unit and slot, nothing overlaps, all within the steps"
works "eval" eval -m "$MODEL" $FAST --text models/eval.txt -n 100 --json
tail -n 1 "$ROOM/out" > "$ROOM/fp4.json"
has_keys "eval: keys" "nats_per_token reference_nats_per_token change change_error
    perplexity_ratio kl_divergence kl_median kl_99_percent top_agreement tokens texts_left_out"
works "eval of a model against itself by name" \
    eval -m "$MODEL" $PLAIN --text models/eval.txt -n 20 --reference "$MODEL"
grep -q "KL" "$ROOM/out" && grep -q "change" "$ROOM/out"
report $? "eval: KL divergence and change are shown"
works "table of formats" eval -m "$MODEL" -d emu $QUICK --plain --text models/eval.txt -n 20 \
    --compare nf4,fp4
grep -q "^Q4_0 rounding" "$ROOM/out" && grep -q "^fp4 " "$ROOM/out"
report $? "table: formats and roundings"
works "table of formats in JSON" eval -m "$MODEL" -d emu $QUICK --text models/eval.txt -n 100 \
    --compare nf4,fp4 --json
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
alone = json.load(open(sys.argv[1]))
rows = {row["format"]: row for row in value["rows"]}
same = ("nats_per_token", "change", "change_error", "kl_divergence", "top_agreement")
ok = list(rows) == ["nf4", "fp4", "Q8_0 rounding", "Q4_0 rounding"]
ok = ok and all(rows["fp4"][key] == alone[key] for key in same)
ok = ok and rows["fp4"]["matrix_bytes"] == rows["nf4"]["matrix_bytes"] > 0
ok = ok and 0 < rows["Q8_0 rounding"]["kl_divergence"] < rows["fp4"]["kl_divergence"]
sys.exit(0 if ok else 1)' "$ROOM/fp4.json"
report $? "table: a row says what eval of the format alone says"
for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
    printf 'Once there was a dog who saw %s red balls.\n<|endoftext|>\n' $number
done > "$ROOM/dogs.txt"
works "eval leaves the calibration's texts out" eval -m "$MODEL" -d emu --config ulx3s-85f \
    --format fp4 --plain --calibrate "$ROOM/dogs.txt" --text "$ROOM/dogs.txt" -n 20
grep -q "without the first [1-9]" "$ROOM/out"
report $? "eval: says what was left out"
works "quantize" quantize -m "$MODEL" --format ternary $QUICK -o "$ROOM/a.tpi" --json
tail -n 1 "$ROOM/out" > "$ROOM/a.json"
works "export of an image" quantize -m "$ROOM/a.tpi" --export gguf -o "$ROOM/a.gguf" -q
CHECKED=$TOKPROC
TOKPROC=$UNCHECKED
works "quantize an export" \
    quantize -m "$ROOM/a.gguf" --format ternary --plain -o "$ROOM/b.tpi" --json
TOKPROC=$CHECKED
tail -n 1 "$ROOM/out" > "$ROOM/b.json"
python3 -c '
import json, sys
a, b = (json.load(open(path))["payload_sha256"] for path in sys.argv[1:])
sys.exit(a != b)' "$ROOM/a.json" "$ROOM/b.json"
report $? "quantize an export: the same payload as the image"
works "eval of an image beside its origin" \
    eval -m "$ROOM/a.tpi" --reference "$MODEL" --text models/eval.txt -n 100 --json
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
ok = value["format"] == "image" and value["reference"] == "tokproc-stories.bin"
sys.exit(0 if ok and value["kl_divergence"] > 0.05 else 1)'
report $? "eval of an image: far from its origin"
refused "table of an image" "is an image" eval -m "$ROOM/a.tpi" --text models/eval.txt --compare q8
works "eval of an image beside its own weights" eval -m "$ROOM/a.tpi" --text models/eval.txt \
    -n 100 --json
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
sys.exit(0 if value["reference"] == "a.tpi" and 0 < value["kl_divergence"] < 0.02 else 1)'
report $? "eval of an image: near its own weights"
works "verify" verify -m "$MODEL" --format fp4 $QUICK -d emu -d emu:ulx3s-85f -n 8
grep -q "all 8 tokens are equal" "$ROOM/out"
report $? "verify: equal"
stop=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["text"][9:12], end=".")' \
    "$ROOM/story.json")
stop=${stop%.}
works "stop string" run -m "$MODEL" $FAST -p "Once upon a time" -n 40 --temp 0 --stop "$stop" --json
tail -n 1 "$ROOM/out" | python3 -c '
import json, sys
value = json.loads(sys.stdin.readline())
whole = json.load(open(sys.argv[1]))["text"]
expected = whole[:whole.index(sys.argv[2])]
sys.exit(0 if value["end"] == "stop text" and value["text"] == expected else 1)' \
    "$ROOM/story.json" "$stop"
report $? "stop string: the text ends before it"

# ---- Ctrl-C ----

# interrupt BYTES ARGUMENTS: sends SIGINT when that much is on standard output, or after a
# second; the text must be whole. A shell starts jobs with SIGINT ignored; python does not.
interrupt() {
    python3 - "$ROOM" "$TOKPROC" "$@" 2> "$ROOM/note" << 'END'
import pathlib, signal, subprocess, sys, time
room, program, least = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with (room / "out").open("wb") as out, (room / "err").open("wb") as err:
    process = subprocess.Popen([program] + sys.argv[4:], stdout=out, stderr=err,
                               stdin=subprocess.DEVNULL)
    end = time.monotonic() + (60 if least else 1)
    while ((room / "out").stat().st_size < least or not least) and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    status = process.wait(60)
text = (room / "out").read_bytes().decode("utf-8")
sys.exit(0 if status == 130 and len(text) >= least else f"exit status {status}, text: {text}")
END
    result=$?
    cat "$ROOM/note" >> "$ROOM/err"
    return $result
}
interrupt 8 run -m "$MODEL" -d emu --format fp4 $QUICK -n 100000 --ignore-eos -p "Once"
report $? "Ctrl-C ends a run with status 130"
[ "$(wc -l < "$ROOM/err")" -le 1 ]
report $? "Ctrl-C during a run: nothing but the figures"
interrupt 0 run -m "$MODEL" -d emu --format fp4 -p "Once"
report $? "Ctrl-C ends the preparation with status 130"
[ "$(cat "$ROOM/err")" = "tokproc: interrupted" ]
report $? "Ctrl-C during the preparation: one line"

finish
