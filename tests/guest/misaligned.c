/* SPDX-License-Identifier: Apache-2.0
 * Misaligned loads and stores work at every offset and size, in and across pages
 * and at the ends of memory; atomics trap (unprivileged, "Load and Store
 * Instructions"; "A" extension). */
#include "guest.h"

static uint8_t bytes[3 * PAGE] __attribute__((aligned(4096)));

static void refill(void)
{
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256 + 1);
}

static uint64_t hash(void)
{
    uint64_t h = 0xcbf29ce484222325;

    for (unsigned i = 0; i < sizeof(bytes); i += 8)
        h = (h ^ *(uint64_t *)(bytes + i)) * 0x100000001b3;
    return h;
}

static void loads_and_stores(void)
{
    static const struct {
        const char *name;
        const void *probe;
        bool stores;
    } rows[] = {
        {"lb", probe_lb, false},   {"lh", probe_lh, false},   {"lw", probe_lw, false},
        {"ld", probe_ld, false},   {"lbu", probe_lbu, false}, {"lhu", probe_lhu, false},
        {"lwu", probe_lwu, false}, {"sb", probe_sb, true},    {"sh", probe_sh, true},
        {"sw", probe_sw, true},    {"sd", probe_sd, true},    {"fsw", probe_fsw, true},
        {"fsd", probe_fsd, true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        refill();
        uint64_t all = 0;
        for (uint64_t at = PAGE - 16; at < PAGE + 16; at++) {
            __asm__ volatile("fmv.d.x fa0, %0" ::"r"(0x0123456789abcdef * at) : "fa0");
            uint64_t end = outcome(at & 1 ? U : M, rows[i].probe, (uint64_t)bytes + at,
                                   0xfedcba9876543210 + at);
            all = all * 31 + end;
            if (!rows[i].stores)
                all ^= area()->m.a0;
        }
        put_text(rows[i].name);
        show(" ends", all);
        show("  memory", hash());
    }
    refill();
    uint64_t all = 0;
    for (uint64_t at = PAGE - 9; at < PAGE + 9; at++) {
        uint64_t value;
        outcome(M, probe_fld, (uint64_t)bytes + at, 0);
        __asm__ volatile("fmv.x.d %0, fa0" : "=r"(value));
        all = all * 31 + value;
        outcome(M, probe_flw, (uint64_t)bytes + at, 0);
        __asm__ volatile("fmv.x.d %0, fa0" : "=r"(value));
        all = all * 31 + value;
    }
    show("flw and fld", all);
}

static void ends_of_memory(void)
{
    uint64_t end = RAM + (256ul << 20); /* the machine has 256 MiB */

    show_call("load of the last bytes", M, probe_lb, end - 1, 0);
    show_call("load beyond", M, probe_lb, end, 0);
    show_call("load over the end", M, probe_lw, end - 2, 0);
    show_call("store beyond", M, probe_sb, end, 0);
    show_call("load before", M, probe_lb, RAM - 1, 0);
    show_call("highest address", M, probe_lb, -1ul, 0);
    check("load that wraps", outcome(M, probe_lw, -2ul, 0), BY_M(5));
    show_call("bit 56", M, probe_lw, BIT(56) | RAM, 0);
    show_call("bit 55", M, probe_lw, BIT(55) | RAM, 0);
}

static void atomics(void)
{
    static const struct {
        const char *name;
        const void *probe;
        unsigned size;
        uint64_t cause;
    } rows[] = {{"lr.w", probe_lr_w, 4, 4},           {"lr.d", probe_lr_d, 8, 4},
                {"sc.w", probe_sc_w, 4, 6},           {"sc.d", probe_sc_d, 8, 6},
                {"amoadd.w", probe_amoadd_w, 4, 6},   {"amoadd.d", probe_amoadd_d, 8, 6},
                {"amoswap.d", probe_amoswap_d, 8, 6}, {"amomaxu.w", probe_amomaxu_w, 4, 6}};

    refill();
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned at = 0; at < 16; at++) {
            uint64_t end = outcome(U, rows[i].probe, (uint64_t)bytes + at, 1);
            bool misaligned = at % rows[i].size;
            check(rows[i].name, end, misaligned ? BY_M(rows[i].cause) : RETURNED);
            if (misaligned)
                check("  tval", last_tval(), (uint64_t)bytes + at);
        }
    }
}

int main(void)
{
    loads_and_stores();
    ends_of_memory();
    atomics();
    return 0;
}
