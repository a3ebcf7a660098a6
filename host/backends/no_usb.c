// SPDX-License-Identifier: Apache-2.0
//
// Takes the place of usb.c where libusb is not installed.

#include "backend.h"
#include "usb.h"

static tp_status no_open(const char *name, const char *folder, void **state, struct tp_error *error)
{
    (void)name;
    (void)folder;
    (void)state;
    return tp__fail(error, TP_ERROR_UNSUPPORTED,
                    "this library was built without USB - try: install libusb-1.0-0-dev, then make "
                    "build");
}

const struct tp_backend tp__backend_usb = {.kind = "usb", .open = no_open};

size_t tp__usb_boards(struct tp_usb_board *boards, size_t max)
{
    (void)boards;
    (void)max;
    return 0;
}
