/* SPDX-License-Identifier: Apache-2.0
 * Ethernet frames between a network device and what stands behind it. A frame is
 * whole: from the destination address to the end of the data, without preamble and
 * check sequence. All calls are made with the device lock held and never block. */
#pragma once

#include "base/types.h"

#define NET_ADDRESS_SIZE 6u
#define NET_HEADER_SIZE  14u
/* The largest packet of IP behind the header and a VLAN tag. */
#define NET_FRAME_MOST   (NET_HEADER_SIZE + 4u + 65535u)

/* What a device calls. */
struct net_port {
    /* Takes a frame of NET_HEADER_SIZE to NET_FRAME_MOST bytes, which are borrowed for
     * the call. False: no room now; the device keeps it and waits for
     * handler->writable. */
    bool (*transmit)(void *owner, const uint8_t *frame, size_t size);
    /* The device has room again after handler->receive refused a frame. */
    void (*readable)(void *owner);
    void *owner;
};

/* What a device offers to the back end. */
struct net_handler {
    /* A frame from outside, borrowed for the call. True: it was taken, or is for nobody
     * here. False: no room now; the back end keeps it, or drops it as a wire would. */
    bool (*receive)(void *device, const uint8_t *frame, size_t size);
    /* Frames are accepted again. */
    void (*writable)(void *device);
    /* The cable is in, or out. A device begins with it in. */
    void (*set_link)(void *device, bool is_up);
    void *device;
};
