#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about devices that outlive a command (tokproc simulate), with real processes: commands one
# after the other, over TCP and over a serial port, print what the device opened directly prints,
# token for token and, of simulated RTL, cycle for cycle; every verb takes such a device; a command
# that comes while another one uses the device is sent away; one that is killed in mid-run leaves a
# device that serves the next (over a serial port: tests/host/test_server.c); a device that is
# killed ends its command with one line; signals end it cleanly; what cannot be served is refused.
#
# The emulator is served by the program that was built with sanitizers. Needs python3, for a client
# that only holds the line.
#
# TP_TIME_LIMIT_S: 600

TOKPROC=${TOKPROC:-build/tokproc}
SERVER=${TOKPROC_SAN:-build/san/tokproc}
MODEL=models/tokproc-stories.bin
SIM=sim:ulx3s-45f
ROOM=$(mktemp -d) || exit 1
server=
trap 'kill -9 $server 2> /dev/null; rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

for file in "$TOKPROC" "$SERVER" "$(dirname "$TOKPROC")/sim/${SIM#sim:}.so"; do
    if [ ! -e "$file" ]; then
        echo "skipped: $file was not built"
        exit 77
    fi
done

explain() {
    for file in out err server; do
        tail -n 5 "$ROOM/$file" 2> /dev/null | cut -c 1-200 | sed "s/^/# $file: /"
    done
}

# serve OPTIONS: starts a device; leaves its process in $server and its name in $name.
serve() {
    rm -f "$ROOM/line"
    mkfifo "$ROOM/line"
    "$SERVER" simulate "$@" > "$ROOM/line" 2> "$ROOM/server" &
    server=$!
    read -r line < "$ROOM/line"
    name=${line#listening on }
}

# stop SIGNAL NAME: ends the device, which must call that a success.
stop() {
    kill -"$1" "$server"
    wait "$server"
    report $? "$2"
    server=
}

# story DEVICE: leaves the tokens and the cycles of a story in $tokens.
story() {
    "$TOKPROC" run -m "$ROOM/image" -d "$1" --temp 0 -n 4 -p "Once upon a time" -c 90 --json \
        > "$ROOM/out" 2> "$ROOM/err" || return 1
    tokens=$(sed -n 's/.*"tokens":\[\([0-9,]*\)\].*\("cycles_counted":[0-9]*\).*/\1 \2/p' \
        "$ROOM/out")
    [ "$(echo "$tokens" | tr ',' ' ' | wc -w)" = 5 ]
}

# same DEVICE NAME: the story there is the expected one.
same() {
    story "$1" && [ "$tokens" = "$expected" ]
    report $? "$2"
}

# refused NAME PATTERN ARGUMENTS: one line on standard error that matches, exit status 1 or 2.
refused() {
    what=$1
    pattern=$2
    shift 2
    "$TOKPROC" "$@" > "$ROOM/out" 2> "$ROOM/err"
    status=$?
    [ "$status" = 1 ] || [ "$status" = 2 ] && [ "$(wc -l < "$ROOM/err")" = 1 ] &&
        grep -qE "$pattern" "$ROOM/err"
    report $? "$what"
}

# begin DEVICE: starts a long run, and waits for some of its text. Its process is in $client.
begin() {
    rm -f "$ROOM/text"
    mkfifo "$ROOM/text"
    "$TOKPROC" run -m "$ROOM/image" -d "$1" --temp 0 -n 80 -p "Once" -c 90 --ignore-eos -q \
        > "$ROOM/text" 2> "$ROOM/err" &
    client=$!
    exec 3< "$ROOM/text"
    head -c 8 <&3 > "$ROOM/out"
}

# With constants from a given text, once: what is tested here begins behind them.
"$TOKPROC" quantize -m "$MODEL" --format nf4-all --plain --calibrate models/prompts.txt \
    -o "$ROOM/image" -q > "$ROOM/out" 2> "$ROOM/err"
report $? "the image of the model"

# ---- the emulator ----

story emu
report $? "a story on the emulator"
expected=$tokens
serve -d emu --listen 127.0.0.1:0
port=${name##*:}
same "$name" "the same over TCP"
same "$name" "the same again, of the same device"
for verb in "verify -d emu -n 4" "bench -n 4" "trace -n 4 -o $ROOM/trace.json" \
    "eval --text models/eval.txt -n 20" "info --program"; do
    "$TOKPROC" ${verb%% *} -m "$ROOM/image" -d "$name" ${verb#* } > "$ROOM/out" 2> "$ROOM/err"
    report $? "${verb%% *} on such a device"
done
refused "a second device at the same port" "listens there - try: port 0" \
    simulate -d emu --listen "127.0.0.1:$port"
mkfifo "$ROOM/held" "$ROOM/hold"
python3 -c '
import socket, sys
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
line.sendall(b"\0")
open(sys.argv[2], "w").close()
sys.stdin.read()' "$port" "$ROOM/held" < "$ROOM/hold" &
holder=$!
exec 4> "$ROOM/hold"
read -r line < "$ROOM/held"
refused "a command beside another one" "$name: the device is busy" \
    run -m "$ROOM/image" -d "$name" -n 2
exec 4>&-
wait "$holder"
same "$name" "the same when the other one has gone"
stop TERM "TERM ends a device cleanly"
refused "a device that has ended" "no simulated device listens there - try: tokproc simulate" \
    run -m "$ROOM/image" -d "$name" -n 2
serve -d emu --pty
same "$name" "the same over a serial port"
same "$name" "the same again over the serial port"
stop INT "INT ends a device cleanly"

# ---- simulated RTL ----

story "$SIM"
report $? "a story on simulated RTL"
expected=$tokens
SERVER=$TOKPROC
serve --config "${SIM#sim:}"
same "$name" "the same over TCP, with the same cycles"
begin "$name"
kill -9 "$client"
wait "$client"
same "$name" "the same after a command was killed in mid-run"
begin "$name"
kill -9 "$server"
wait "$client"
[ $? = 1 ] && [ "$(wc -l < "$ROOM/err")" = 1 ] && grep -q "connection was closed" "$ROOM/err"
report $? "a device that is killed ends its command with one line"

# ---- words ----

serve -d emu --json
echo "$line" | grep -q '^{"device":"emu","listening":"tcp:127.0.0.1:[0-9]*"}$'
report $? "JSON has device and name"
stop TERM "a device that nobody used ends cleanly"
refused "no address" "HOST:PORT" simulate -d emu --listen 7000
refused "an address of another machine" "cannot listen there" simulate -d emu --listen 192.0.2.1:0
refused "two places" "try: one of them" simulate -d emu --listen 127.0.0.1:0 --pty
refused "a device that is not simulated" "not a simulated device" simulate -d tcp:127.0.0.1:1
refused "a configuration that is not there" "nothing" simulate --config nothing
refused "a serial port that is none" "no serial port" \
    run -m "$ROOM/image" -d serial:/dev/null -n 2
finish
