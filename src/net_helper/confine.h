/* SPDX-License-Identifier: Apache-2.0
 * What the process gives up before it looks at anything. */
#pragma once

#include <sys/types.h>

/* False: the machine, process `parent`, is gone already. */
bool confine(pid_t parent);
