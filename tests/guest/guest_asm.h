/* SPDX-License-Identifier: Apache-2.0
 * ORDER AREA: offsets of struct hart_area (guest.h) for start.S. */
#pragma once

#define MAX_HARTS       4
#define STACK_SHIFT     13
#define AREA_EXIT       112
#define AREA_ACTIVE     120
#define AREA_S_TAKEN    128
#define AREA_KEEP_STVEC 136
#define AREA_M          144
#define AREA_S          184
#define AREA_SIZE       256
