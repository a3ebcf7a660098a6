// SPDX-License-Identifier: Apache-2.0
//
// Serial ports of USB bridges, as the kernel describes them in /sys.

#include "serial_ports.h"

#include <assert.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512 };

static const char vendor[] = "0403";   // FTDI
static const char product[] = "6015";  // FT231X and its like

static int is_usb(const struct dirent *entry)
{
    return strncmp(entry->d_name, "ttyUSB", 6) == 0;
}

// One line that the kernel has about the USB device of a port; empty when it has none. From the
// port up: the driver's port, the interface, the device.
static void read_fact(const char *folder, const char *port, const char *fact, char *text,
                      size_t size)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s/%s/device/../../%s", folder, port, fact);
    FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "r") : NULL;
    text[0] = 0;
    if (file != NULL) {
        if (fgets(text, (int)size, file) != NULL) {
            text[strcspn(text, "\n")] = 0;
        }
        (void)fclose(file);
    }
}

static bool is_bridge(const char *folder, const char *port)
{
    char id[2][8];
    read_fact(folder, port, "idVendor", id[0], sizeof id[0]);
    read_fact(folder, port, "idProduct", id[1], sizeof id[1]);
    return strcmp(id[0], vendor) == 0 && strcmp(id[1], product) == 0;
}

static void describe(const char *folder, const char *name, struct tp_serial_port *port)
{
    char what[TP_PORT_TEXT_BYTES / 2];
    char number[TP_PORT_TEXT_BYTES / 4];
    read_fact(folder, name, "product", what, sizeof what);
    read_fact(folder, name, "serial", number, sizeof number);
    assert(strlen(name) < sizeof port->name);
    memcpy(port->name, name, strlen(name) + 1);
    (void)snprintf(port->text, sizeof port->text, "serial port: %s%s%s",
                   what[0] != 0 ? what : "FT231X", number[0] != 0 ? ", number " : "", number);
}

size_t tp__serial_ports(const char *folder, struct tp_serial_port *ports, size_t max)
{
    struct dirent **entries = NULL;
    size_t count = 0;
    int entry_count = scandir(folder, &entries, is_usb, alphasort);
    for (int i = 0; i < entry_count; i++) {
        const char *name = entries[i]->d_name;
        if (strlen(name) < TP_PORT_NAME_BYTES && is_bridge(folder, name)) {
            if (count < max) {
                describe(folder, name, &ports[count]);
            }
            count++;
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}
