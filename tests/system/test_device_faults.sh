#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims: a device whose count of cycles differs from the prediction fails the run and the message
# has both numbers; an event that is lost or broken on the link changes nothing of the story, and
# the figures tell of it; a device of another version of the library is refused. The same device
# without a fault streams the story and tells of nothing. A program that is built without libusb
# links without it, and says so.

TOKPROC=${TOKPROC:-build/tokproc}
LIBRARY=${LIBRARY:-${TP_BUILD:-build}/libtokproc.a}
MODEL=models/tokproc-stories.bin
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

for file in "$TOKPROC" "$LIBRARY" "$MODEL"; do
    if [ ! -e "$file" ]; then
        echo "skipped: $(basename "$file") is not there"
        exit 77
    fi
done

explain() {
    sed 's/^/# /' "$ROOM/out" "$ROOM/err" 2>/dev/null
}

compile() {
    gcc -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -Wall -Wextra -Werror \
        -Ihost/include -Ihost/model -Ihost/lib -Ihost/backends -Isim/system "$@" "$LIBRARY" \
        -ljansson -lcrypto -lpcre2-8 -lutf8proc -lm -ldl -lpthread
}

build() {
    compile -fPIC -shared "$@" tests/system/faulty_device.c
}

run() {
    FAULT=$1 "$TOKPROC" run -m "$MODEL" -d sim:faulty --device-folder "$ROOM" --temp 0 -n 20 \
        > "$ROOM/out" 2> "$ROOM/err"
}

# fails FAULT TEXT NAME: the run fails, with TEXT on one line of standard error.
fails() {
    run "$1"
    status=$?
    [ "$status" = 1 ] && [ "$(wc -l < "$ROOM/err")" = 1 ] && grep -q "$2" "$ROOM/err"
    report $? "$3"
}

# goes_on FAULT TEXT NAME: the story is the same, and standard error has TEXT.
goes_on() {
    run "$1" && cmp -s "$ROOM/out" "$ROOM/story" && grep -q "$2" "$ROOM/err"
    report $? "$3"
}

build -o "$ROOM/faulty.so"
report $? "the device builds"
run none
[ $? = 0 ] && [ "$(wc -w < "$ROOM/out")" -gt 4 ] && ! grep -q "the link:" "$ROOM/err"
report $? "without a fault it streams a story"
cp "$ROOM/out" "$ROOM/story"
fails cycles "took 1 cycles, predicted were [0-9]" "a wrong count of cycles fails the run"
goes_on lost "the link: 0 broken frames, 0 repeated, 1 run begun anew" \
    "a lost event changes nothing"
goes_on noise "the link: 1 broken frame, 0 repeated, 1 run begun anew" \
    "a broken event changes nothing"
build -DABI=99 -o "$ROOM/faulty.so"
fails none "another version" "a device of another version is refused"

# What stands before the archive is taken from there, not from it.
compile -o "$ROOM/without" "${TP_BUILD:-build}"/obj/host/tools/*.o host/backends/no_usb.c -ledit
report $? "without libusb the program builds"
"$ROOM/without" run -m "$MODEL" -d usb -q > "$ROOM/out" 2> "$ROOM/err"
[ $? = 1 ] && [ "$(wc -l < "$ROOM/err")" = 1 ] && grep -q "was built without USB" "$ROOM/err"
report $? "and says that it has no boards on USB"
finish
