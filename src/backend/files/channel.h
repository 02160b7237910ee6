/* SPDX-License-Identifier: Apache-2.0
 * The memory that a machine's process and its file server share: slots with requests and
 * their replies, and two rings of slot numbers. It is all that they share.
 *
 * Neither side trusts the other: what decides what a side does next is its own copy.
 *
 *     machine: channel_submit --ring--> server: channel_take, serves, channel_finish
 *     machine: channel_collect <--ring--                                            */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <stdatomic.h>

#define CHANNEL_SLOTS     32u
#define CHANNEL_SLOT_SIZE (UINT64_C(512) << 10)
/* A request that is not larger leaves the rest of its slot to the reply. */
#define CHANNEL_SMALL     4096u
/* 4 KiB pages of data that a request or reply may carry: what remains of a slot, and no
 * more than a chain of descriptors has. */
#define CHANNEL_PAGES     120u

struct channel_slot {
    uint32_t share;
    uint32_t size;     /* of the request, which begins the slot */
    uint32_t reply_at; /* behind it */
    uint32_t room;
    uint32_t reply_size; /* set by the server */
};

struct channel {
    /* Written by the machine, but for `taken`. */
    _Alignas(64) _Atomic uint32_t submitted; /* ever; the first worker sleeps on it */
    _Atomic uint32_t backlog;                /* changes when the others are woken */
    _Atomic uint32_t is_polled;              /* a hart looks for replies: wake nobody */
    _Atomic uint32_t is_awaited;             /* a thread sleeps on `finished` */
    _Atomic uint32_t submit_ring[CHANNEL_SLOTS];
    /* Written by the server. */
    _Alignas(64) _Atomic uint32_t taken;
    _Atomic uint32_t is_first_looking; /* it will see what is submitted: wake nobody */
    _Atomic uint32_t is_first_idle;
    _Atomic uint32_t idle_others;
    _Alignas(64) _Atomic uint32_t finished;      /* ever; the machine sleeps on it */
    _Atomic uint32_t reserved;                   /* places of finish_ring */
    _Atomic uint32_t finish_ring[CHANNEL_SLOTS]; /* slot + 1; 0: nothing yet */
    _Alignas(64) struct channel_slot slots[CHANNEL_SLOTS];
};

/* NULL with the reason in `err`. Children of the process share it. */
struct channel *channel_create(struct error *err);
/* Accepts NULL. */
void channel_destroy(struct channel *channel);
/* Makes the rings empty, when no server is there. */
void channel_reset(struct channel *channel);

uint8_t *channel_bytes(struct channel *channel, unsigned slot);

/* ---- the machine's side ---- */

/* Hands the slot over; `submitted` is how many were before. */
void channel_submit(struct channel *channel, unsigned slot, uint32_t submitted);
/* The next slot whose reply is there, -1: none; `collected` is how many were before. The
 * number is whatever the server says. */
int64_t channel_collect(struct channel *channel, uint32_t collected);
/* What channel_await is given: taken before one looks whether there is something to do. */
uint32_t channel_moment(struct channel *channel);
/* Sleeps until something is finished, or channel_wake, after that moment. May return early. */
void channel_await(struct channel *channel, uint32_t moment);
void channel_wake(struct channel *channel);

/* ---- the server's side ---- */

/* The next slot to serve, -1: none. Any worker. */
int channel_take(struct channel *channel);
/* Sleeps until there is something to take. One worker is the first, which gets all work as
 * long as it keeps up: its caches are warm. May return early. */
void channel_sleep(struct channel *channel, bool is_first);
void channel_finish(struct channel *channel, unsigned slot);
