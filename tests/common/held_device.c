// SPDX-License-Identifier: Apache-2.0

#include "held_device.h"

#include "check_main.h"
#include "schedule.h"

void tp_test_check_device(tp_device *device)
{
    pthread_mutex_lock(&device->mutex);
    const char *fault = tp__schedule_fault(device);
    pthread_mutex_unlock(&device->mutex);
    ck_assert_msg(fault == NULL, "%s", fault);
}

void tp_test_pause_device(tp_device *device, bool pauses)
{
    pthread_mutex_lock(&device->mutex);
    device->is_paused = pauses;
    pthread_cond_broadcast(&device->changed);
    pthread_mutex_unlock(&device->mutex);
}
