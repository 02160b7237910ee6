/* SPDX-License-Identifier: Apache-2.0
 * virtio memory balloon (virtio 1.2, section 5.5). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/discard.h"

/* What the guest tells of its memory, by tag (5.5.6.4). */
enum balloon_stat {
    BALLOON_SWAP_IN, /* bytes, as all but faults */
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_CACHES,
    BALLOON_STATS,
};

struct virtio_balloon_config {
    const struct space *space;
    struct discard_port memory;
};

struct virtio_balloon {
    struct virtio_device virtio;
    uint32_t target_pages; /* that the guest is asked to give away */
    uint32_t actual_pages; /* that it says it has given */
    uint32_t stats_known;  /* BIT(tag) */
    uint64_t stats[BALLOON_STATS];
    uint64_t discarded_bytes; /* for figures; not saved */
    struct virtio_balloon_config config;
};

void virtio_balloon_init(struct virtio_balloon *balloon,
                         const struct virtio_balloon_config *config);

/* Asks the guest to do without so many bytes of its memory (rounded down to pages). */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes);
/* Asks for new `stats`; they come when the guest has time. */
void virtio_balloon_ask_stats(struct virtio_balloon *balloon);

extern const struct device_ops virtio_balloon_ops;
