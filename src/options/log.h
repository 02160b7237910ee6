/* SPDX-License-Identifier: Apache-2.0
 * The value of --log: LEVEL[,MODULE=LEVEL]. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"

/* Sets the log's levels, for the life of the program. 0; -EINVAL or -ENOMEM with one
 * line in `err`. */
MUST_CHECK int log_parse_option(const char *value, struct error *err);
