/* SPDX-License-Identifier: Apache-2.0
 * A work bench for device tests: recording ports, a clock, and saving. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "dev/device.h"
#include "harness/harness.h"
#include "mem/space.h"
#include "port/alarm.h"
#include "port/irq.h"
#include "port/power.h"
#include "port/stream.h"

#define BENCH __attribute__((unused)) static

/* Interrupt wires: levels by number. */
struct wires {
    bool level[256];
    unsigned rises[256];
    unsigned changes;
};

BENCH void wires_set(void *owner, unsigned number, bool level)
{
    struct wires *wires = owner;

    wires->changes += wires->level[number] != level;
    wires->rises[number] += level && !wires->level[number];
    wires->level[number] = level;
}

BENCH struct irq_line wire(struct wires *wires, unsigned number)
{
    return (struct irq_line){wires_set, wires, number};
}

/* A clock that stands still unless moved. */
struct clock {
    uint64_t now;
    uint64_t deadline[64];
};

BENCH uint64_t clock_now(void *owner)
{
    return ((struct clock *)owner)->now;
}

BENCH void clock_set(void *owner, unsigned id, uint64_t deadline)
{
    ((struct clock *)owner)->deadline[id] = deadline;
}

BENCH struct alarm_port clock_port(struct clock *clock)
{
    return (struct alarm_port){clock_now, clock_set, clock};
}

/* A stream that takes at most `room` bytes. */
struct sink {
    size_t room;
    size_t length;
    unsigned readable_calls;
    uint8_t bytes[1 << 16];
};

BENCH size_t sink_write(void *owner, const uint8_t *bytes, size_t size)
{
    struct sink *sink = owner;

    size = size < sink->room ? size : sink->room;
    if (size > sizeof(sink->bytes) - sink->length)
        size = sizeof(sink->bytes) - sink->length;
    memcpy(sink->bytes + sink->length, bytes, size);
    sink->length += size;
    sink->room -= size;
    return size;
}

BENCH void sink_readable(void *owner)
{
    ((struct sink *)owner)->readable_calls++;
}

BENCH struct stream_port sink_port(struct sink *sink)
{
    return (struct stream_port){sink_write, sink_readable, sink};
}

struct power_log {
    unsigned calls;
    enum power_event event;
    unsigned code;
};

BENCH void power_log_request(void *owner, enum power_event event, unsigned code)
{
    struct power_log *log = owner;

    log->calls++;
    log->event = event;
    log->code = code;
}

BENCH struct power_port power_log_port(struct power_log *log)
{
    return (struct power_port){power_log_request, log};
}

/* Saves `from` and loads it into `to`, which is fresh. */
BENCH void move_state(const struct device_ops *ops, const void *from, void *to)
{
    static uint8_t bytes[1 << 16];
    struct writer w = {bytes, sizeof(bytes), 0};
    struct error err = {0};

    state_save(ops->state, from, &w);
    CHECK(writer_is_complete(&w));
    struct reader r = reader_make(bytes, w.length);
    CHECK_EQ(state_load(ops->state, to, &r, &err), 0);
    CHECK_EQ(reader_left(&r), 0);
    if (ops->loaded)
        CHECK_EQ(ops->loaded(to, &err), 0);
}
