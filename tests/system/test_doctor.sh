#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about `tokproc doctor`, with a loader, cables and bitstreams that are made up: each step
# that fails is named with what to do, those that need it are not tried and not called ok, and the
# exit status is 0 only when the first token is the emulator's. Devices are the emulator, simulated
# RTL where it was built, and a device that lies.

TOKPROC=${TOKPROC:-build/tokproc}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh
. tests/common/fake_board.sh

explain() {
    sed 's/^/# /' "$ROOM/out" "$ROOM/err"
}

# Text for the constants: what the model would generate takes longer.
doctor() {
    PATH="$ROOM/bin:$PATH" "$TOKPROC" doctor --bitstreams "$ROOM/bits" \
        --calibrate models/prompts.txt --device-folder "$ROOM/devices" "$@" \
        > "$ROOM/out" 2> "$ROOM/err" < /dev/null
    status=$?
}

# says NAME STATUS LINE...: the last run ended so, and each LINE matches one of its output.
says() {
    name=$1
    good=0
    [ "$status" = "$2" ] || good=1
    shift 2
    for line in "$@"; do
        grep -qE -e "$line" "$ROOM/out" || good=1
        grep -qE -e "$line" "$ROOM/out" || echo "# no line $line"
    done
    report $good "$name"
}

# ---- no board ----

PATH=$ROOM/empty "$TOKPROC" doctor --bitstreams "$ROOM/bits" > "$ROOM/out" 2> "$ROOM/err"
status=$?
says "nothing is there" 1 "^1 loader +FAILS .*try: sudo apt install openfpgaloader" \
    "^2 cable +FAILS .*try: connect the port US1" "^3 FPGA +not tried" "^4 bitstream +not tried" \
    "^5 device +FAILS .*try: tokproc flash" "^6 model +not tried" "^7 token +not tried"
doctor --board ulx4
[ "$status" = 2 ] && grep -q "no board is called 'ulx4'" "$ROOM/err"
report $? "an unknown board"
doctor --board ulx3s-45f
says "the bitstream of a named board, without a cable" 1 "^1 loader +ok +openFPGALoader v0.10.0" \
    "^4 bitstream +ok .*ulx3s-45f/tokproc.bit.*build $(cat "$ROOM/ulx3s-45f.build")"

# ---- a board ----

plug 1-2 0403 6015 D00123 4
doctor
says "a board whose device does not answer" 1 "^2 cable +ok +D00123" \
    "^3 FPGA +ok .*0x41113043, ULX3S with an LFE5U-85F" "^4 bitstream +ok .*ulx3s-85f/tokproc.bit" \
    "^5 device +FAILS .*serial:" "^7 token +not tried"
! grep -q -e --write "$ROOM/calls"
report $? "nothing is written"
doctor --board ulx3s-45f
says "a board with another FPGA than was said" 1 "^3 FPGA +FAILS .*try: --board ulx3s-85f"
FAKE=stuck doctor
says "an FPGA that does not answer" 1 "^3 FPGA +FAILS .*try: the power" "^4 bitstream +not tried"
IDCODE=0x01113043 doctor
says "an unknown FPGA" 1 "^3 FPGA +FAILS .*no board here"
echo >> "$ROOM/bits/ulx3s-85f/tokproc.bit"
doctor
says "a damaged bitstream" 1 "^4 bitstream +FAILS .*is damaged"
plug 1-5 1209 0001 T1 6
IDCODE=0x41112043 doctor
says "a device on USB is preferred" 1 "^5 device +FAILS .*usb: "
doctor
says "unless the bitstream has none" 1 "^5 device +FAILS .*serial:"
unplug

# ---- devices ----

doctor -d emu
says "the emulator" 0 "^5 device +ok .*emu: link version [0-9]+, .*groups" \
    "^6 model +ok .*tokproc-stories.bin in q8" "^7 token +ok .*Once upon a time"
! grep -q "^1" "$ROOM/out"
report $? "with -d the cable is not looked at"
doctor -d emu:ulx3s-45f --json
[ "$status" = 0 ] && python3 -c '
import json, sys
value = json.load(sys.stdin)
steps = value["steps"]
ok = value["ok"] and [step["name"] for step in steps] == ["device", "model", "token"]
ok = ok and all(step["state"] == "ok" for step in steps) and "nf4-all" in steps[1]["text"]
sys.exit(0 if ok and "ulx3s-45f" in steps[0]["text"] else 1)' < "$ROOM/out"
report $? "in JSON; a smaller configuration has a smaller format"
doctor -d toaster
says "no such device" 1 "^5 device +FAILS .*toaster" "^6 model +not tried"
doctor -d emu -m "$ROOM/nothing.bin"
says "no such model" 1 "^5 device +ok" "^6 model +FAILS .*nothing.bin" "^7 token +not tried"
doctor -d emu:ulx3s-45f --format q8
says "a model that does not fit" 1 "^6 model +FAILS .*weights: " "^7 token +not tried"
simulated=$(ls "${TP_BUILD:-build}"/sim/ulx3s-45f.so 2> "$ROOM/err")
if [ -n "$simulated" ]; then
    cp "$simulated" "$ROOM/devices/"
    doctor -d sim
    says "simulated RTL" 0 "^5 device +ok .*sim:ulx3s-45f: .*, ulx3s-45f, 1 group" "^7 token +ok"
    rm "$ROOM/devices/ulx3s-45f.so"
fi

make_faulty_device > "$ROOM/err" 2>&1
report $? "a device that lies is made"
FAULT=none doctor -d sim:faulty
says "it says the truth" 0 "^6 model +ok .*sums of [0-9]+ words are right" "^7 token +ok"
FAULT=token doctor -d sim:faulty
says "another first token" 1 "^6 model +ok" "^7 token +FAILS .*the emulator has.*try: "
FAULT=memory doctor -d sim:faulty
says "a memory that keeps no word" 1 "^6 model +FAILS .*not hold the model: word 0 .*'weight'" \
    "^7 token +not tried"
FAULT=build BUILD=$(cat "$ROOM/ulx3s-45f.build") doctor -d sim:faulty
says "the build of a bitstream here" 0 "^5 device +ok .*build $(cat "$ROOM/ulx3s-45f.build"),"
FAULT=build BUILD=1234abcd doctor -d sim:faulty
says "a build of no bitstream here" 1 "^5 device +FAILS .*1234abcd.*try: tokproc flash"
finish
