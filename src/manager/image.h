/* SPDX-License-Identifier: Apache-2.0
 * The store of images: what machines start from. An image is a folder with image.json, a raw disk and what boots it: a
 * kernel, most often with an initramfs, a firmware, or both; it is never written to once it has its name.
 *
 * Those that `doppel pull` makes tell by systemd when they are ready. Foreign ones (image_disk.h) are ready when
 * ssh answers, and may want a volume with what cloud-init reads (seed.h). */
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
    /* Owned: name, created, kernel, initrd, firmware, disk, append, size; of foreign ones also foreign, user,
     * cloud-init. */
    json_t *json;
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

/* A part of an image: what it is called in image.json, and the file in its folder when it is made or carried. */
struct image_part_name {
    const char *key;
    const char *file;
};
extern const struct image_part_name image_part_names[];
#define IMAGE_PARTS 4

/* The path of a part: "kernel", "initrd", "firmware" or "disk". Only if it has that (image_text). */
MUST_CHECK int image_part(const struct image *image, const char *part, char to[PATH_MAX],
                          struct error *err);
/* "" if there is no such text. */
const char *image_text(const struct image *image, const char *key);
/* Whether it tells nobody that it is ready but by answering ssh. */
bool image_is_foreign(const struct image *image);
/* Whether `name` can be a user's in a guest: [a-z_][a-z0-9_-]*, at most 32. */
bool image_is_user(const char *name);

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

/* For what makes images out of files: */

/* -EEXIST: the name is taken. */
MUST_CHECK int image_check_free(const struct image *image, struct error *err);
/* A new folder beside the images, to make one in. */
MUST_CHECK int image_begin(const struct paths *paths, char folder[PATH_MAX], struct error *err);
/* Removes the folder; if all went well so far (`result` 0, image_place() among it), opens the image that was made, or
 * takes it back if it says nonsense of itself. Returns `result`, or what went wrong here. */
MUST_CHECK int image_end(const struct paths *paths, const char *folder, int result,
                         struct image *image, struct error *err);
