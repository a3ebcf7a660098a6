#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about the parsers under libFuzzer with address and undefined-behaviour sanitizers: every
# target finds nothing in a short run from its sound files, nor in any input that once failed, nor,
# with TP_EVERY=1, in one four times as long. `make fuzz` runs as long as asked.
#
# TP_TIME_LIMIT_S: 600

BUILD=${TP_BUILD:-build}
ROOM=$(mktemp -d) || exit 1
trap 'rm -rf "$ROOM"' EXIT
count=0
failed=0
[ -n "$TP_EVERY" ] && most=20000 || most=5000

if [ ! -x "$BUILD/fuzz/make_corpus" ]; then
    echo "skipped: the fuzz targets were not built (clang is needed: make setup)"
    exit 77
fi
"$BUILD/fuzz/make_corpus" "$ROOM/seeds" || exit 1
for source in tests/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c | sed 's/^fuzz_//')
    count=$((count + 1))
    # A target whose inputs take long says how many are enough.
    runs=$(sed -n 's/.*TP_FUZZ_RUNS: //p' "$source")
    runs=${TP_FUZZ_RUNS:-${runs:-$most}}
    mkdir -p "$ROOM/corpus" "$ROOM/seeds/$target"
    if [ -n "$(ls "$ROOM/seeds/$target")" ] &&
        "$BUILD/fuzz/$target" -runs="$runs" -seed=1 -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
            -verbosity=0 -artifact_prefix="$ROOM/" "$ROOM/corpus" "$ROOM/seeds/$target" \
            $(ls -d "tests/fuzz/found/$target" 2> "$ROOM/none") > "$ROOM/log" 2>&1; then
        echo "ok $count - $target: $runs inputs"
    else
        failed=$((failed + 1))
        echo "not ok $count - $target"
        tail -n 30 "$ROOM/log" | sed 's/^/# /'
    fi
    rm -rf "$ROOM/corpus"
done
echo "1..$count"
[ "$failed" = 0 ]
