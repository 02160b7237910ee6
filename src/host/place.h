/* SPDX-License-Identifier: Apache-2.0
 * Where a file or socket of ours is, so that it can be removed in the end: by its folder, so that it is the same
 * place when folders were renamed or paths mean something else. Any thread. */
#pragma once

#include "base/types.h"

#include <limits.h>

/* Zeroed: nowhere. */
struct place {
    int folder; /* descriptor, if name is not empty */
    char name[NAME_MAX + 1];
};

/* Remembers where `path` is. What cannot be remembered is not removed later. */
void place_open(struct place *place, const char *path);
/* Removes what is there, and forgets the place. Accepts one that is nowhere, as does the next. */
void place_remove(struct place *place);
/* Leaves alone what is there. */
void place_forget(struct place *place);
