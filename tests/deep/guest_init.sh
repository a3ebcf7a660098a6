#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# The first process of the guest of test_usb_guest.py: loads the drivers of USB, waits for the board
# and runs /story once, its output to the second serial line; TOKENS of the kernel's command line is
# for the story. What it says on the first line, each line after "guest: ", is read by the test.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

uptime_s() {
    cut -d ' ' -f 1 /proc/uptime
}

# Leaves the folder of the board in $board; false when it is not there.
find_board() {
    for board in /sys/bus/usb/devices/*; do
        grep -qs 1209 "$board/idVendor" && return 0
    done
    return 1
}

echo "guest: starts at $(uptime_s) s"
while read -r module; do
    insmod "/modules/$module.ko"
done < /modules/order
# libusb hears of boards that come from udev, which is not here: the board comes first.
tries=0
until find_board || [ $tries = 500 ]; do
    usleep 20000
    tries=$((tries + 1))
done
echo "guest: buses:" $(cut -d ' ' -f 1 /sys/bus/usb/devices/usb*/product)
if find_board; then
    bus=/sys/bus/usb/devices/usb$(cat "$board/busnum")
    echo "guest: board on $(cut -d ' ' -f 1 "$bus/product") at $(cat "$board/speed") Mbit/s"
    echo "guest: story begins at $(uptime_s) s"
    sh /story > /dev/ttyS1 2> /error
    status=$?
    sed 's/^/guest: error: /' /error
    echo "guest: story ends at $(uptime_s) s"
    echo "guest: status $status"
else
    dmesg | grep -iE 'usb|hci' | tail -n 20
    echo "guest: no board"
fi
reboot -f
