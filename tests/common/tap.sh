# SPDX-License-Identifier: Apache-2.0
#
# For tests in shell, which read it from the repository root: results as TAP, like tap.py.

count=0
failed=0

# What is shown of a test that failed, as lines that begin with #; tests say their own.
explain() {
    :
}

# report STATUS NAME
report() {
    count=$((count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $count - $2"
    else
        failed=$((failed + 1))
        echo "not ok $count - $2"
        explain
    fi
}

# Ends a test: the plan, and a status that says whether all passed.
finish() {
    echo "1..$count"
    [ "$failed" = 0 ]
}
