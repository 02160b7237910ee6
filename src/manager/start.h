/* SPDX-License-Identifier: Apache-2.0
 * Starting a machine's process and waiting until its guest is ready. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/record.h"
#include "manager/words.h"

struct start_options {
    unsigned wait_s; /* for the guest to be ready; 0: only for the machine to run */
    /* Told what is being waited for, whenever that changes. NULL: nobody wants to know. */
    void (*progress)(void *owner, const char *text);
    void *owner;
};

/* The command line of a machine's process: `doppel boot ...`. On success the caller has *words to finish. */
MUST_CHECK int start_words(const struct paths *paths, const struct record *record,
                           struct words *words, struct error *err);

/* Starts a machine that is not live. Returns 0 when it is ready; -EAGAIN: it runs, but did not say that it is ready in
 * time; else -errno, and it does not run. */
MUST_CHECK int machine_start(const struct paths *paths, const struct record *record,
                             const struct start_options *options, struct error *err);
