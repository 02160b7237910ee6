/* SPDX-License-Identifier: Apache-2.0
 * Images as single files, to be carried to other computers: tar archives of an image's folder, holes kept. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "manager/image.h"

/* Writes an image of the store to `file`, which appears whole or not at all. */
MUST_CHECK int image_export(const struct image *image, const char *file, struct error *err);

/* Puts an archive into the store, as `name`; NULL: as it was called. Only the parts of an image are taken out of it.
 * -EEXIST: there is an image of that name; -EINVAL: it is no archive of an image. On success `image` is the new one (image_fini). */
MUST_CHECK int image_import(const struct paths *paths, const char *file, const char *name,
                            struct image *image, struct error *err);
