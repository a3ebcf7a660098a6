#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about `tokproc flash`, built with sanitizers, with a loader, cables and bitstreams that are
# made up: nothing is written unless the bits are those of their manifest and the FPGA is theirs;
# each failure is one line that says what is wrong and what to do, with the loader's own last lines
# where they tell more; Ctrl-C ends the loader and says what is left; the device's hello is read.

TOKPROC=${TOKPROC_SAN:-build/san/tokproc}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh
. tests/common/fake_board.sh

explain() {
    sed 's/^/# /' "$ROOM/out" "$ROOM/err" "$ROOM/calls" 2>/dev/null | head -40
}

# flash ARGUMENTS: leaves $ROOM/out, $ROOM/err, $ROOM/calls and $status.
flash() {
    : > "$ROOM/calls"
    PATH="$ROOM/bin:$PATH" "$TOKPROC" flash --bitstreams "$ROOM/bits" "$@" \
        > "$ROOM/out" 2> "$ROOM/err" < /dev/null
    status=$?
}

# refused NAME PATTERN ARGUMENTS: the last line on standard error matches, and nothing was written.
refused() {
    name=$1
    pattern=$2
    shift 2
    flash "$@"
    good=0
    [ "$status" = 1 ] || [ "$status" = 2 ] || good=1
    grep -q -e --write "$ROOM/calls" && good=1
    tail -n 1 "$ROOM/err" | grep -qE -e "^tokproc: .*($pattern)" || good=1
    [ "$good" = 0 ] || echo "# exit status $status, wanted a line with: $pattern"
    report $good "$name"
}

# ---- waits for time-outs, beside the others ----

waiting() {
    # Cables and calls of its own: the others change theirs.
    name=$1
    shift
    mkdir "$ROOM/$name"
    (
        PATH="$ROOM/bin:$PATH"
        TOKPROC_ROOT=$ROOM/$name/root
        CALLS=$ROOM/$name/calls
        export PATH TOKPROC_ROOT CALLS
        plug 1-2 0403 6015 D00123 4
        "$TOKPROC" flash --bitstreams "$ROOM/bits" "$@" > "$ROOM/$name/out" 2> "$ROOM/$name/err"
        echo $? > "$ROOM/$name/status"
    ) &
}
FAKE=hangs waiting hangs
hangs=$!
waiting dumb
dumb=$!

# ---- the bitstream ----

refused "an unknown board" "no board is called 'ulx4'.*ulx3s-85f" --board ulx4
refused "a board without a core" "no core fits ulx3s-12f.*try: tokproc plan" --board ulx3s-12f
refused "no bitstreams" "no bitstream of ulx3s-85f.*try: make bitstream" \
    --bitstreams "$ROOM/empty" --board ulx3s-85f
mv "$ROOM/bits/ulx3s-85f/tokproc.bit" "$ROOM/away"
refused "no bits" "but not its bits.*try: make bitstream" --board ulx3s-85f
sed 's/the bits/The bits/' "$ROOM/away" > "$ROOM/bits/ulx3s-85f/tokproc.bit"
refused "bits that are not those of the manifest" "is damaged: .*SHA-256.*try: git checkout" \
    --board ulx3s-85f
[ ! -s "$ROOM/calls" ]
report $? "then the loader was not even called"
mv "$ROOM/away" "$ROOM/bits/ulx3s-85f/tokproc.bit"

# ---- loader and cable ----

saved=$PATH
PATH=$ROOM/empty
"$TOKPROC" flash --bitstreams "$ROOM/bits" --board ulx3s-85f > "$ROOM/out" 2> "$ROOM/err"
status=$?
PATH=$saved
[ "$status" = 1 ] && grep -q "not installed - try: sudo apt install openfpgaloader" "$ROOM/err"
report $? "no loader"
FAKE=broken
refused "a loader that does not run" "openFPGALoader failed .exit status 1"
FAKE=
refused "no cable" "no cable: .*0403:6015.*try: connect the port US1"
plug 1-2 0403 6010 D00123 4
refused "a cable of another kind" "no cable: "
plug 1-2 0403 6015 D00123 4
plug 1-3 0403 6015 D00124 5
refused "two cables" "D00123 .1-2., D00124 .1-3. - try: --cable D00123"
refused "a cable that is not there" "serial number 'D5' - there are: D00123" --cable D5
flash --cable D00124 --dry-run
[ "$status" = 0 ] && grep -q -e "--ftdi-serial D00124 --detect" "$ROOM/calls"
report $? "the chosen one of two cables"
unplug
plug 1-2 0403 6015 D00123 4
if [ "$(id -u)" = 0 ]; then
    chmod -R a+rX "$ROOM"
    as_user="setpriv --reuid=65534 --clear-groups"
fi
chmod 000 "$TOKPROC_ROOT/dev/bus/usb/001/004"
cp "$TOKPROC" "$ROOM/tokproc" && chmod 755 "$ROOM/tokproc"
: > "$ROOM/calls"
chmod a+rw "$ROOM/calls"
(cd "$ROOM" && PATH="$ROOM/bin:$PATH" $as_user ./tokproc flash --bitstreams "$ROOM/bits") \
    > "$ROOM/out" 2> "$ROOM/err"
[ $? = 1 ] && tail -n 1 "$ROOM/err" |
    grep -q "no permission for the cable.*udev rule.*usermod -aG plugdev" &&
    ! grep -q detect "$ROOM/calls"
report $? "a cable without permission"
chmod 644 "$TOKPROC_ROOT/dev/bus/usb/001/004"

for case in "gone:the cable is gone" "locked:cannot be opened - try: the udev rule" \
    "busy:another program holds the cable" "stuck:no FPGA answers" "two:2 parts answer" \
    "odd:failed .exit status 1.: JTAG init failed with: something new"; do
    FAKE=${case%%:*}
    refused "detection: $FAKE" "${case#*:}"
done
grep -q "  | JTAG init failed with: something new" "$ROOM/err"
report $? "what the loader said is shown"
FAKE=
IDCODE=0xffffffff refused "an FPGA that does not answer" "no FPGA answers.*try: the power"

# ---- the FPGA ----

IDCODE=0x41112043
OTHER="LFE5U-45F, this bitstream is for an LFE5U-85F; nothing was written - try: tokproc flash"
refused "bits for another FPGA" "$OTHER --board ulx3s-45f" --board ulx3s-85f
refused "for the flash too" "LFE5U-45F.*nothing was written" --board ulx3s-85f --permanent
IDCODE=0x21111043
refused "an FPGA that no core fits" "LFE5U-12F.*nothing was written - try: tokproc plan" \
    --board ulx3s-85f
refused "the same without --board" "no core fits ulx3s-12f"
IDCODE=0x01113043
refused "an unknown FPGA" "IDCODE 0x01113043, which is of no board"
IDCODE=0x41113043

# ---- writing ----

flash --board ulx3s-85f -d emu
AT="--board ulx3s --ftdi-serial D00123"
printf '%s\n' --Version "$AT --detect --verbose-level 1" \
    "$AT --write-sram $ROOM/bits/ulx3s-85f/tokproc.bit" > "$ROOM/wanted"
[ "$status" = 0 ] && diff "$ROOM/wanted" "$ROOM/calls"
report $? "version, detection, the configuration"
grep -q "^ulx3s-85f: emu answers: link version [0-9]*, .*until power-off" "$ROOM/out" &&
    [ "$(wc -l < "$ROOM/err")" = 6 ]
report $? "a line for each step, and the device's hello"
IDCODE=0x41112043 flash --permanent -d emu --json
[ "$status" = 0 ] && grep -q -e "--write-flash --verify .*ulx3s-45f/tokproc.bit" "$ROOM/calls"
report $? "the flash, of the board that is there"
python3 -c '
import json, sys
value = json.load(sys.stdin)
ok = value["board"] == "ulx3s-45f" and value["permanent"] and value["device"] == "emu"
sys.exit(0 if ok and len(value["source_hash"]) == 64 and value["groups"] > 0 else 1)' < "$ROOM/out"
report $? "in JSON"
flash --dry-run
[ "$status" = 0 ] && grep -q "would run: openFPGALoader .*--write-sram" "$ROOM/out" &&
    ! grep -q -e --write "$ROOM/calls"
report $? "--dry-run writes nothing"
flash -q -d emu
[ "$status" = 0 ] && [ ! -s "$ROOM/err" ]
report $? "--quiet"

mkdir -p "$ROOM/tree/rtl"
cp -r "$ROOM/bits" "$ROOM/tree/bitstreams"
printf 'module b;\n' > "$ROOM/tree/rtl/a.sv"
flash --bitstreams "$ROOM/tree/bitstreams" --dry-run
[ "$status" = 0 ] && grep -q "note: .*other sources: rtl/a.sv has changed" "$ROOM/err"
report $? "bits of other sources than the tree's: a note"
printf 'module a;\n' > "$ROOM/tree/rtl/a.sv"
flash --bitstreams "$ROOM/tree/bitstreams" --dry-run
[ "$status" = 0 ] && ! grep -q "note:" "$ROOM/err"
report $? "bits of these sources: none"

FAKE=fails
flash -d emu
[ "$status" = 1 ] && grep -q "  | Error: Failed to program FPGA" "$ROOM/err" &&
    tail -n 1 "$ROOM/err" | grep -q "exit status 1.*may hold no design.*try: the same command" &&
    [ ! -s "$ROOM/out" ]
report $? "a loader that fails"
flash -d emu --permanent
[ "$status" = 1 ] && tail -n 1 "$ROOM/err" | grep -q "the flash may hold a part of the bits"
report $? "a loader that fails at the flash"

# Python, because a shell starts jobs with SIGINT ignored.
FAKE=waits PATH="$ROOM/bin:$PATH" python3 - "$ROOM" "$TOKPROC" << 'END'
import pathlib, signal, subprocess, sys, time
room, program = pathlib.Path(sys.argv[1]), sys.argv[2]
(room / "calls").write_text("")
with (room / "err").open("wb") as err:
    process = subprocess.Popen([program, "flash", "--bitstreams", str(room / "bits")], stderr=err,
                               stdin=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while "--write" not in (room / "calls").read_text() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    sys.exit(0 if process.wait(60) == 130 else 1)
END
[ $? = 0 ] && grep -q "told to end" "$ROOM/calls" &&
    tail -n 1 "$ROOM/err" | grep -q "interrupted: the FPGA may hold no design"
report $? "Ctrl-C ends the loader and says what is left"

FAKE=slow PATH="$ROOM/bin:$PATH" python3 - "$ROOM" "$TOKPROC" << 'END'
import os, pty, subprocess, sys
room, program = sys.argv[1], sys.argv[2]
ours, theirs = pty.openpty()
process = subprocess.Popen([program, "flash", "--bitstreams", f"{room}/bits", "-d", "emu"],
                           stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
os.close(theirs)
text = b""
try:
    while True:
        text += os.read(ours, 4096)
except OSError:
    pass
open(f"{room}/err", "wb").write(text)
sys.exit(0 if process.wait() == 0 and b"Loading [####" in text and b"50 %" in text else 1)
END
report $? "the loader's progress on a terminal"
FAKE=

# ---- the device ----

make_faulty_device > "$ROOM/err" 2>&1
report $? "a device that tells a build is made"
FAULT=build BUILD=$(cat "$ROOM/ulx3s-85f.build") flash -d sim:faulty --device-folder "$ROOM/devices"
[ "$status" = 0 ] && grep -q "build $(cat "$ROOM/ulx3s-85f.build")" "$ROOM/out"
report $? "a device that answers as the build that was written"
FAULT=build BUILD=1234abcd flash -d sim:faulty --device-folder "$ROOM/devices"
[ "$status" = 1 ] && tail -n 1 "$ROOM/err" | grep -q "answers as build 1234abcd, written was"
report $? "a device that answers as another build"

make -s BUILD="${TP_BUILD:-build}" flash BOARD=ulx4 RUN="--dry-run" > "$ROOM/out" 2> "$ROOM/err"
[ $? != 0 ] && grep -q "no board is called 'ulx4'" "$ROOM/err"
report $? "make flash"

wait "$hangs" "$dumb"
grep -q 1 "$ROOM/hangs/status" && grep -q "did not end within 10 s" "$ROOM/hangs/err"
report $? "a loader that hangs at the detection"
grep -q 1 "$ROOM/dumb/status" && grep -q "^written" "$ROOM/dumb/err" &&
    tail -n 1 "$ROOM/dumb/err" | grep -q "^tokproc: "
report $? "a device that does not answer after the write"
finish
