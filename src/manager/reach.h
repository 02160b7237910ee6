/* SPDX-License-Identifier: Apache-2.0
 * Ways to the ssh server of a machine's guest: vsock port 22; for foreign images also a port of 127.0.0.1 that leads to
 * port 22 of the guest's network. Descriptors are sockets that block, close-on-exec. Any thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/record.h"

#define REACH_SSH_PORT 22

/* Connects to a vsock port of the guest. Returns a descriptor, or -errno: -ECONNREFUSED: nobody listens there;
 * -ETIMEDOUT: the guest does not answer at all. */
MUST_CHECK int reach_vsock(const struct record *record, unsigned port, unsigned timeout_ms);

/* Connects to the guest's ssh server by the way that is known to work, or else by the first that does; the port of the
 * host takes connections also when nobody in the guest does. As reach_vsock. */
MUST_CHECK int reach_ssh(const struct record *record, unsigned timeout_ms);

/* Whether an ssh server answers, and by which way, which is noted in record->json: vsock is tried first, but for images with
 * cloud-init. Takes a few seconds at most. */
bool reach_try(const struct record *record);

/* For a machine of a foreign image that is about to start: forgets which way worked, and chooses the port of the host, its last one if that is
 * still free; none if the guest will have no user-mode network. Changes record->json only. */
MUST_CHECK int reach_prepare(const struct record *record, struct error *err);

/* 0: it has none. */
unsigned reach_host_port(const struct record *record);
