/* SPDX-License-Identifier: Apache-2.0
 * `doppel image ls | import | export | rm`: the store of images. */
#pragma once

#include "base/types.h"

/* Whether `word` is one of these. */
bool store_is_command(const char *word);
/* argv[0] is that word. Returns the exit status. */
int cmd_store(int argc, char **argv);
