#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Claims about the forward pass that boards are compared with: compiled four ways it gives the
# logits of host/reference, a planted fault is found, and bad arguments are refused.
#
# TP_TIME_LIMIT_S: 300

BUILD=${TP_BUILD:-build}
PROCESSOR=$BUILD/bench/processor
. tests/common/tap.sh

if [ ! -x "$PROCESSOR" ]; then
    echo "skipped: $PROCESSOR was not built"
    exit 77
fi

for model in models/tokproc-stories.bin models/tokproc-weather.bin; do
    out=$("$PROCESSOR" "$model" 48 1 2> /dev/null)
    report $? "$model: the logits are those of the reference"
    echo "$out" | grep -q '"rows": [0-9].*"columns, fast-math": [0-9]'
    report $? "$model: four figures"
    message=$("$PROCESSOR" "$model" 48 1 plant 2>&1 > /dev/null)
    [ $? = 1 ] && echo "$message" | grep -q "differs from the reference's by 0.01"
    report $? "$model: a planted fault is found"
done
"$PROCESSOR" models/nothing.bin 48 1 2> /dev/null
[ $? = 1 ]
report $? "a model that is not there is refused"
"$PROCESSOR" models/tokproc-stories.bin 0 1 2> /dev/null
[ $? = 2 ]
report $? "no tokens are refused"

finish
