// SPDX-License-Identifier: Apache-2.0
//
// Looks at a device, and holds it, between two of its steps.

#ifndef TP_TEST_HELD_DEVICE_H
#define TP_TEST_HELD_DEVICE_H

#include <stdbool.h>

#include "tokproc.h"

/** Fails the test where sessions, slots and pages of the device contradict each other. */
void tp_test_check_device(tp_device *device);

/** Holds the sessions back, or lets them go on. */
void tp_test_pause_device(tp_device *device, bool pauses);

#endif
