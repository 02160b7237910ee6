// SPDX-License-Identifier: Apache-2.0
/* The least that a program does: the row process-start takes its time. */
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
