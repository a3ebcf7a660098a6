// SPDX-License-Identifier: Apache-2.0
//
// USB cables of boards, read from /sys/bus/usb.

#include "cables.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

static const char *const identities[] = {
    [CABLE_BRIDGE] = "0403:6015", [CABLE_DEVICE] = "1209:0001"};

// Tests put folders of their own in front of /sys and /dev.
static const char *top(void)
{
    const char *folder = getenv("TOKPROC_ROOT");
    return folder != NULL ? folder : "";
}

// The first line of a file of the device; empty when it has none.
static void read_attribute(const char *place, const char *name, char text[CABLE_TEXT_BYTES])
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/sys/bus/usb/devices/%s/%s", top(), place, name);
    FILE *file = fopen(path, "r");
    text[0] = 0;
    if (file != NULL) {
        if (fgets(text, CABLE_TEXT_BYTES, file) == NULL) {
            text[0] = 0;
        }
        (void)fclose(file);
    }
    text[strcspn(text, "\n")] = 0;
    for (char *c = text; *c != 0; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
}

// The serial port that the kernel made of its first interface.
static void find_tty(struct cable *cable)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/sys/bus/usb/devices/%s:1.0", top(), cable->place);
    DIR *folder = opendir(path);
    struct dirent *entry = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, "ttyUSB", 6) == 0) {
            (void)snprintf(cable->tty, sizeof cable->tty, "%s/dev/%.32s", top(), entry->d_name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

static bool is_of(const char *place, enum cable_kind kind)
{
    char vendor[CABLE_TEXT_BYTES];
    char product[CABLE_TEXT_BYTES];
    read_attribute(place, "idVendor", vendor);
    read_attribute(place, "idProduct", product);
    return strncmp(identities[kind], vendor, 4) == 0 && strcmp(identities[kind] + 5, product) == 0;
}

static void describe(const char *place, struct cable *cable)
{
    char bus[CABLE_TEXT_BYTES];
    char number[CABLE_TEXT_BYTES];
    *cable = (struct cable){.place = ""};
    (void)snprintf(cable->place, sizeof cable->place, "%.100s", place);
    read_attribute(place, "serial", cable->serial);
    read_attribute(place, "product", cable->product);
    read_attribute(place, "busnum", bus);
    read_attribute(place, "devnum", number);
    (void)snprintf(cable->node, sizeof cable->node, "%s/dev/bus/usb/%03ld/%03ld", top(),
                   strtol(bus, NULL, 10), strtol(number, NULL, 10));
    cable->may_open = access(cable->node, R_OK | W_OK) == 0;
    find_tty(cable);
}

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const struct cable *)a)->place, ((const struct cable *)b)->place);
}

size_t cable_list(enum cable_kind kind, struct cable *cables)
{
    char path[PATH_BYTES];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/sys/bus/usb/devices", top());
    DIR *folder = opendir(path);
    struct dirent *entry = NULL;
    while (folder != NULL && count < CABLES_MAX && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.' && is_of(entry->d_name, kind)) {
            describe(entry->d_name, &cables[count++]);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    qsort(cables, count, sizeof *cables, compare_places);
    return count;
}

// "D00123 (1-2), D00124 (1-3)"
static void name_all(const struct cable *cables, size_t count, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < count && used < size; i++) {
        int more = snprintf(text + used, size - used, "%s%s (%s)", i == 0 ? "" : ", ",
                            cables[i].serial, cables[i].place);
        used += more > 0 ? (size_t)more : 0;
    }
}

bool cable_choose(const struct options *options, struct cable *cable, char *text, size_t size)
{
    struct cable cables[CABLES_MAX];
    char names[2 * CABLE_TEXT_BYTES];
    size_t matching = 0;
    size_t count = cable_list(CABLE_BRIDGE, cables);
    name_all(cables, count, names, sizeof names);
    for (size_t i = 0; i < count; i++) {
        if (options->cable == NULL || strcmp(options->cable, cables[i].serial) == 0) {
            *cable = cables[i];
            matching++;
        }
    }
    if (count == 0) {
        (void)snprintf(text, size,
                       "no cable: no USB bridge FT231X (0403:6015) is plugged in - try: connect "
                       "the port US1 of the board, with a cable that carries data");
    } else if (matching == 0) {
        (void)snprintf(text, size, "no cable has the serial number '%s' - there are: %s",
                       options->cable, names);
    } else if (matching > 1) {
        (void)snprintf(text, size, "which cable? there are %s - try: --cable %s", names,
                       cables[0].serial);
    } else if (!cable->may_open) {
        (void)snprintf(text, size,
                       "no permission for the cable (%s) - try: the udev rule of the package "
                       "openfpgaloader, sudo usermod -aG plugdev $USER, and a new login "
                       "(docs/boards.md)",
                       cable->node);
    }
    return matching == 1 && cable->may_open;
}

bool cable_find_device(const struct cable *bridge, bool has_usb, char name[TP_DEVICE_NAME_BYTES])
{
    struct cable devices[CABLES_MAX];
    int size = 0;
    if (has_usb && cable_list(CABLE_DEVICE, devices) != 0) {
        size = snprintf(name, TP_DEVICE_NAME_BYTES, "usb");
    } else if (bridge != NULL) {
        struct cable again;
        describe(bridge->place, &again);
        size = again.tty[0] != 0 ? snprintf(name, TP_DEVICE_NAME_BYTES, "serial:%s", again.tty) : 0;
    }
    return size > 0 && size < TP_DEVICE_NAME_BYTES;
}
