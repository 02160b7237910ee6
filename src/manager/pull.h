/* SPDX-License-Identifier: Apache-2.0
 * `doppel pull`: makes an image of Debian out of its packages.
 *
 *     lists -> packages -> a folder with what is essential -> a machine that boots it and installs
 *     everything on its disk (debian/stage2.sh) -> the image gets its name
 *
 * All work is done in a folder beside the images. What was downloaded stays there when it is interrupted, and is
 * used by the next pull. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/image.h"

struct pull_options {
    const char *mirror; /* NULL: that of the host's apt */
    bool again;         /* also if the image is there: it is replaced */
    /* What is done, and how much of all of it, 0-100. */
    void (*progress)(void *owner, const char *text, unsigned percent);
    void *owner;
};

/* Returns 0; -EEXIST: the image is there; -EBUSY: another pull of it is under way, or a machine uses the one that
 * is to be replaced; -EINVAL: no such image can be made. */
MUST_CHECK int image_pull(const struct paths *paths, const char *name,
                          const struct pull_options *options, struct error *err);
