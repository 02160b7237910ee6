/* SPDX-License-Identifier: Apache-2.0
 * Telling people about units: a log of guest beside host code (--log=jit=debug), and
 * their names for perf and for a gdb that debugs doppel. All under the translator's
 * mutex. */
#pragma once

#include "translator/translate.h"

/* Opens what the options ask for. */
MUST_CHECK int listing_create(struct translator *t, struct error *err);
/* Accepts a translator for which the above has failed. */
void listing_destroy(struct translator *t);

/* A unit is complete; `tr` is how it was made. */
void listing_add(struct translation *tr, const struct unit *unit);
/* Its code is not executed any more, nor that of any unit. */
void listing_clear(struct translator *t);
