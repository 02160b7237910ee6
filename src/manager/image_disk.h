/* SPDX-License-Identifier: Apache-2.0
 * Images out of foreign disk images: raw or qcow2 files that others made, with what boots them. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/image.h"

struct image_disk {
    const char *file; /* the disk image */
    const char *name; /* NAME[:VERSION] in the store */
    const char *kernel;
    const char *initrd; /* NULL: none */
    const char *append; /* of the kernel's command line; NULL: nothing */
    const char
        *firmware;    /* NULL: the built-in one, which boots `kernel`. One of the two is there. */
    const char *user; /* to log in as; NULL: root */
    bool cloud_init;  /* machines get a seed (seed.h) */
    /* Called now and then while the disk is copied; false: end, as if nothing had been. NULL: nobody wants to know. */
    bool (*progress)(void *owner, uint64_t done, uint64_t size);
    void *owner;
};

/* Whether the file's content is that of a disk: qcow2, or raw with a partition table or a file system that is known.
 * False also if it cannot be read. */
bool image_disk_is(const char *file);

/* Puts it into the store. -EINVAL: something is none of what it should be; -EEXIST: the name is taken; -ENOENT:
 * a file is missing. On success `image` is the new one (image_fini). */
MUST_CHECK int image_disk_import(const struct paths *paths, const struct image_disk *wanted,
                                 struct image *image, struct error *err);
