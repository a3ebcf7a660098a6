# SPDX-License-Identifier: Apache-2.0
#
# For tests in shell, which read it from the repository root after they made the folder $ROOM and
# named the program under test $TOKPROC: a board that is not there. It makes
#
#   $ROOM/bin/openFPGALoader  writes its calls to $CALLS, finds the FPGA that $IDCODE names, and
#                             does what $FAKE says; its words are those of version 0.10; what it
#                             plays is $ROOM/played.svf
#   $ROOM/bits                a small bitstream with a manifest for each board that has a core
#   $ROOM/devices             a simulated device of tests/system/faulty_device.c
#
# and plug and unplug put cables into folders under $ROOM/root, which stand for /sys and /dev.

for file in "$TOKPROC" "${TP_BUILD:-build}/tp_genmap" "${TP_BUILD:-build}/libtokproc.a"; do
    if [ ! -e "$file" ]; then
        echo "skipped: $(basename "$file") is not there"
        exit 77
    fi
done

export ROOM IDCODE FAKE CALLS="$ROOM/calls" TOKPROC_ROOT="$ROOM/root"
IDCODE=0x41113043
FAKE=
mkdir -p "$ROOM/bin" "$ROOM/bits" "$ROOM/empty" "$ROOM/devices"

cat > "$ROOM/bin/openFPGALoader" << 'END'
#!/bin/sh
echo "$*" >> "$CALLS"
say() {
    echo "$1" >&2
    exit 1
}
open_failed() {
    echo "unable to open ftdi device: $1" >&2
    say "JTAG init failed with: unable to open ftdi device"
}
bar() {
    printf '\r%s: [%-50s] %s.00%%' "$1" "==========" "$2"
}
case "$FAKE $*" in
broken*) say "error while loading shared libraries: libftdi1.so.2" ;;
*--Version*) echo "openFPGALoader v0.10.0" ;;
gone*--detect*) open_failed "-3 (device not found)" ;;
locked*--detect*) open_failed "-4 (usb_open() failed)" ;;
busy*--detect*) open_failed "-5 (unable to claim usb device)" ;;
stuck*--detect*) say "JTAG init failed with: TDO is stuck at 0" ;;
odd*--detect*) say "JTAG init failed with: something new" ;;
hangs*--detect*) exec sleep 100 ;;
*--detect*)
    # The list below the raw codes names a related part, as the program does.
    echo "Jtag frequency : requested 6000000Hz -> real 3000000Hz"
    echo "Raw IDCODE:"
    echo "- 0 -> $IDCODE"
    case $FAKE in two) echo "- 1 -> 0x41112043" ;; *) echo "- 1 -> 0xffffffff" ;; esac
    printf 'found 1 devices\nindex 0:\n\tidcode 0x1113043\n\tmodel  LFE5UM-85\n'
    ;;
*--write-*)
    echo "Enable configuration: DONE"
    bar Loading 10
    case $FAKE in
    fails)
        printf '\nFAIL\ndisplayReadReg\n'
        say "Error: Failed to program FPGA: std::exception"
        ;;
    waits)
        trap 'echo "told to end" >> "$CALLS"; exit 1' INT
        while :; do sleep 0.1; done
        ;;
    esac
    bar Loading 50
    [ "$FAKE" != slow ] || sleep 0.3
    bar Loading 100
    printf '\nDone\n'
    ;;
*.svf)
    [ "$FAKE" != fails ] || say "TDO value 0 isn't the one expected: 41112043"
    for file in "$@"; do :; done
    cp "$file" "$ROOM/played.svf"
    ;;
esac
END
chmod +x "$ROOM/bin/openFPGALoader"

python3 - "$ROOM" "${TP_BUILD:-build}/tp_genmap" << 'END' || exit 1
import hashlib, json, pathlib, subprocess, sys
room, genmap = pathlib.Path(sys.argv[1]), sys.argv[2]

def digest(data):
    return hashlib.sha256(data).hexdigest()

for board in ("ulx3s-85f", "ulx3s-45f"):
    lines = subprocess.run([genmap, "--board", board], stdout=subprocess.PIPE,
                           check=True).stdout.decode().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    bits = f"the bits of {board}\n".encode() * 40
    files = {"rtl/a.sv": digest(b"module a;\n")}
    sources = "".join(f"{value}  {name}\n" for name, value in files.items())
    sources += "\n".join(["top=tp_top", *lines]) + "\n"
    folder = room / "bits" / board
    folder.mkdir()
    (folder / "tokproc.bit").write_bytes(bits)
    (folder / "manifest.json").write_text(json.dumps({
        "board": board, "configuration": values["configuration"], "top": "tp_top",
        "clock_required_mhz": 100.0, "clock_achieved_mhz": 101.0, "resources": {},
        "bits": "tokproc.bit", "bits_bytes": len(bits), "bits_sha256": digest(bits),
        "files": files, "definition": lines, "source_hash": digest(sources.encode()),
        "build_id": digest(bits)[:8]}))
    (room / f"{board}.build").write_text(digest(bits)[:8])
END

# plug PLACE VENDOR PRODUCT SERIAL NUMBER
plug() {
    folder=$TOKPROC_ROOT/sys/bus/usb/devices/$1
    mkdir -p "$folder" "$TOKPROC_ROOT/dev/bus/usb/001" "$folder:1.0"
    echo "$2" > "$folder/idVendor"
    echo "$3" > "$folder/idProduct"
    echo "$4" > "$folder/serial"
    echo "ULX3S FPGA 85K v3.0.8" > "$folder/product"
    echo 1 > "$folder/busnum"
    echo "$5" > "$folder/devnum"
    : > "$TOKPROC_ROOT/dev/bus/usb/001/00$5"
    [ "$2" != 0403 ] || mkdir -p "$folder:1.0/ttyUSB$5"
}
unplug() {
    rm -rf "$TOKPROC_ROOT"
}

make_faulty_device() {
    ${CC:-gcc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -fPIC -shared -o "$ROOM/devices/faulty.so" \
        -Ihost/include -Ihost/model -Ihost/lib -Ihost/backends -Isim/system \
        tests/system/faulty_device.c "${TP_BUILD:-build}/libtokproc.a" \
        -ljansson -lcrypto -lpcre2-8 -lutf8proc -lm -ldl -lpthread
}
