/* SPDX-License-Identifier: Apache-2.0
 * Running over the end of memory. QEMU 7.2 aborts there, so there is nothing but
 * the specification to compare with. */
#include "guest.h"

int main(void)
{
    uint64_t end = RAM + (256ul << 20); /* the machine has 256 MiB */
    volatile uint16_t *last = (volatile uint16_t *)(end - 2);

    *last = 0x8082; /* ret */
    fence_i();
    check("last instruction", outcome(M, probe_jump, end - 2, 0), RETURNED);
    *last = 0x0513; /* the first half of addi */
    fence_i();
    check("instruction over the end", outcome(M, probe_jump, end - 2, 0), BY_M(1));
    check("its epc", area()->m.epc, end - 2);
    check("its tval", last_tval(), end);
    *last = 0x0001; /* c.nop */
    fence_i();
    check("running over the end", outcome(M, probe_jump, end - 2, 0), BY_M(1));
    check("its epc", area()->m.epc, end);
    check("its tval", last_tval(), end);
    check("jump beyond", outcome(U, probe_jump, end, 0), BY_M(1));
    check("its epc", area()->m.epc, end);
    return 0;
}
