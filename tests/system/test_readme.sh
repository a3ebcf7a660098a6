#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about README.md: its C example has at most 60 lines, compiles without a warning and writes
# a story on the emulator; the options of its command lines and its make targets exist.

BUILD=${TP_BUILD:-build}
TOKPROC=${TOKPROC:-$BUILD/tokproc}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
. tests/common/tap.sh

for file in README.md "$BUILD/libtokproc.a" "$TOKPROC"; do
    if [ ! -e "$file" ]; then
        echo "skipped: $file is not there"
        exit 77
    fi
done

explain() {
    sed 's/^/# /' "$ROOM/log" | head -20
}

: > "$ROOM/log"
awk '/^```c$/ { inside = 1; next } /^```/ { if (inside) exit } inside' README.md \
    > "$ROOM/example.c"
lines=$(wc -l < "$ROOM/example.c")
[ "$lines" -gt 10 ] && [ "$lines" -le 60 ]
report $? "the example has 11 to 60 lines: $lines"

${CC:-gcc} -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -Ihost/include \
    "$ROOM/example.c" "$BUILD/libtokproc.a" \
    -ljansson -lcrypto -lpcre2-8 -lutf8proc $(pkg-config --libs libusb-1.0) -lm -ldl -lpthread \
    -o "$ROOM/example" \
    > "$ROOM/log" 2>&1
report $? "the example compiles"

"$ROOM/example" > "$ROOM/story" 2> "$ROOM/log"
report $? "the example runs"
[ "$(wc -c < "$ROOM/story")" -gt 100 ] && [ "$(tail -c 1 "$ROOM/story" | od -An -c)" = '  \n' ]
report $? "the example writes a text and a line end"

grep '^build/tokproc ' README.md > "$ROOM/commands"
[ "$(wc -l < "$ROOM/commands")" -ge 4 ]
report $? "there are command lines"
while read -r line; do
    verb=$(echo "$line" | cut -d ' ' -f 2)
    : > "$ROOM/log"
    "$TOKPROC" "$verb" --help > "$ROOM/help" 2>> "$ROOM/log" || echo "no verb $verb" >> "$ROOM/log"
    # Texts in quotes are values.
    for word in $(echo "$line" | sed 's/"[^"]*"//g'); do
        case $word in
        -*)
            grep -qE -e "^ +(-[a-z], )?$word( |,)" "$ROOM/help" ||
                echo "no option $word of $verb" >> "$ROOM/log"
            ;;
        esac
    done
    [ ! -s "$ROOM/log" ]
    report $? "options of: $line"
done < "$ROOM/commands"

: > "$ROOM/log"
for target in $(grep -oE '(^|`)make [a-z-]+' README.md | sed 's/.*make //' | sort -u); do
    grep -qE "^$target:" Makefile || echo "no target $target" >> "$ROOM/log"
done
[ ! -s "$ROOM/log" ]
report $? "make targets exist"

finish
