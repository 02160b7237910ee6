/* SPDX-License-Identifier: Apache-2.0
 * Packages of Debian for riscv64, through the host's apt with a configuration of its own: its lists, cache and status
 * lie in a folder, signatures are checked against Debian's keyring, and the host's own apt is not touched. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/words.h"

#include <limits.h>

struct apt {
    char folder[PATH_MAX];
    char mirror[512];
    const char *suite; /* "trixie" */
};

/* Told how far a step is, 0-100. */
typedef void apt_progress(void *owner, unsigned percent);

/* Makes the configuration in `folder`. `mirror` NULL: the archive that the host's own apt uses. -ENOENT: the host has no apt, or it
 * knows no archive of Debian; the text says what to do. */
MUST_CHECK int apt_open(struct apt *apt, const char *folder, const char *mirror, const char *suite,
                        struct error *err);

/* Fetches the lists of packages, unless they are there. */
MUST_CHECK int apt_update(const struct apt *apt, apt_progress *progress, void *owner,
                          struct error *err);

/* Downloads packages, named as apt-get install names them ("?essential" too), with what they depend on, to
 * folder/archives; what is there already is not fetched again. */
MUST_CHECK int apt_download(const struct apt *apt, const char *const *packages,
                            apt_progress *progress, void *owner, struct error *err);

/* Calls `found` for each package that would be installed, in an order that suits. */
MUST_CHECK int apt_resolve(const struct apt *apt, const char *const *packages,
                           void (*found)(void *owner, const char *package), void *owner,
                           struct error *err);

/* The package's file: *path in folder/archives. */
MUST_CHECK int apt_find_file(const struct apt *apt, const char *package, char path[PATH_MAX],
                             struct error *err);

/* The package that a name for the newest of a kind depends on, as linux-image-riscv64. */
MUST_CHECK int apt_newest(const struct apt *apt, const char *package, char *to, size_t size,
                          struct error *err);
