/* SPDX-License-Identifier: Apache-2.0
 * Making, examining and converting disk images, for commands. Results are 0, or -errno with one
 * line in `err`. Nothing is left behind by what fails. */
#pragma once

#include "backend/block/disk_image.h"

struct image_create {
    const char *path;
    enum disk_format format; /* raw or overlay */
    uint64_t size_bytes;     /* 0: as large as the base */
    const char *base;        /* of an overlay; NULL: none */
    bool base_format_given;
    enum disk_format base_format;
};

/* A raw image is a hole; an overlay has what its base has. */
MUST_CHECK int image_create(const struct image_create *wanted, struct error *err);

struct image_info {
    enum disk_format format;
    uint64_t size_bytes; /* of the disk */
    uint64_t file_bytes; /* of the file */
    uint64_t used_bytes; /* that the file takes on the host */
    /* Of overlays and qcow2 images: what they name below them, as it stands in the file;
     * "": nothing. */
    char base[OVERLAY_PATH_MOST + 1];
    enum disk_format base_format; /* of overlays */
    bool is_clean;                /* of overlays: closed in order; true for others */
    unsigned version;             /* of the format; 0 for raw */
};

/* Does not open what lies below, and no lock is taken. */
MUST_CHECK int image_info(const char *path, struct image_info *out, struct error *err);

/* Opens the image read-only with all that is below it, and reads its tables. */
MUST_CHECK int image_check(const char *path, const struct disk_image_options *options,
                           struct error *err);

struct image_convert {
    const char *from;
    struct disk_image_options from_options;
    const char *to;
    enum disk_format format;
    /* Called now and then with how far it is; false: end, as if nothing had been. */
    bool (*progress)(void *owner, uint64_t done, uint64_t size);
    void *owner;
};

/* Writes all of the disk into a new file that needs no other; zeroes take no room in it.
 * -ECANCELED: `progress` said so. */
MUST_CHECK int image_convert(const struct image_convert *wanted, struct error *err);
