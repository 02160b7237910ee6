/* SPDX-License-Identifier: Apache-2.0
 * Raw disk images: a file or block device, byte for byte. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "port/block.h"

struct raw;

struct raw_options {
    bool read_only;
    /* Keep writes in an anonymous temporary file and forget them at the end; the
     * image itself is opened read-only. */
    bool snapshot;
    /* The user said format=raw: do not look at the content. Without it, images
     * of other formats are refused, and the guest may not write such a magic
     * into the first sector, which the next start would take for real. */
    bool format_given;
};

/* Opens the image at `path` for use by this machine alone (or shared among
 * readers). On success the caller owns *out (raw_close). Returns 0, or -errno
 * with the reason in `err`: -EBUSY when another process holds the image. May
 * block on file I/O. */
MUST_CHECK int raw_open(const char *path, const struct raw_options *options, struct raw **out,
                        struct error *err);

/* Accepts NULL. No request may be in flight. */
void raw_close(struct raw *raw);

/* The port of an open image; valid until raw_close. Requests complete within
 * submit(). */
const struct block_port *raw_port(const struct raw *raw);
