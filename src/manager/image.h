/* SPDX-License-Identifier: Apache-2.0
 * The store of images: what machines start from. An image is a folder with image.json, a kernel, an initramfs and a
 * raw disk; it is never written to once it has its name. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/paths.h"

#include <jansson.h>

#define IMAGE_NAME_MAX 64

struct image {
    char name[IMAGE_NAME_MAX];        /* as users write it: "debian:13" */
    char folder_name[IMAGE_NAME_MAX]; /* in the store: "debian-13" */
    char folder[PATH_MAX];
    json_t *json; /* owned: name, created, kernel, initrd, disk, append, ready, size */
};

/* Splits "NAME[:VERSION]" (the version of "debian" alone is 13) and finds the folder's path, which need not exist.
 * -EINVAL: no such name can be. `json` stays NULL. */
MUST_CHECK int image_locate(const struct paths *paths, const char *name, struct image *image,
                            struct error *err);
/* Reads an image of the store. -ENOENT: it is not there, and `err` says how to get it. On success the caller
 * owns what is in `image` (image_fini). */
MUST_CHECK int image_open(const struct paths *paths, const char *name, struct image *image,
                          struct error *err);
void image_fini(struct image *image);
/* Names of all images, sorted; a new reference. */
json_t *image_names(const struct paths *paths);

/* The path of a part: "kernel", "initrd" or "disk". */
MUST_CHECK int image_part(const struct image *image, const char *part, char to[PATH_MAX],
                          struct error *err);
const char *image_text(const struct image *image, const char *key);

/* The machine that uses it; a new string reference, NULL: none. */
json_t *image_user(const struct paths *paths, const struct image *image);
/* -EBUSY: a machine uses it. */
MUST_CHECK int image_remove(const struct paths *paths, const struct image *image,
                            struct error *err);

/* Makes `folder`/root.overlay, the disk of a new machine. `size` as users write it; NULL: 20 GiB, or the image's own
 * if that is more. */
MUST_CHECK int image_make_disk(const struct image *image, const char *folder, const char *size,
                               struct error *err);

/* Gives a folder that is complete its name in the store, atomically, and with everything on stable storage. */
MUST_CHECK int image_place(const struct image *image, const char *folder, struct error *err);
