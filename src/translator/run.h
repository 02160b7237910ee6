/* SPDX-License-Identifier: Apache-2.0
 * Crossing between host code and C: the floating-point state of the two. */
#pragma once

#include "translator/internal.h"

/* Adds the flags that host code has raised to fflags. */
void runtime_take_flags(struct translated_hart *th);
/* Makes the MXCSR that host code is to run with. */
void runtime_give_rounding(struct translated_hart *th);
