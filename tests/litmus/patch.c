/* SPDX-License-Identifier: Apache-2.0
 * Code that one hart writes and others execute. Who executes it does so after a
 * fence.i of its own that follows the store (unprivileged, "Zifencei"): it must
 * then be the new code, while others go on executing their own in the same page. */
#include "litmus.h"

#define RET      0x00008067u
#define LI_A0(n) (0x00000513u | (uint32_t)(n) << 20)
#define TIMES    20000

#define OWN_PAGES 300 /* of each hart: more code than a cache of 1 MiB holds */
#define ROUNDS    6

static volatile uint32_t shared[1024] __attribute__((aligned(4096)));
static volatile uint32_t own[4][OWN_PAGES][1024] __attribute__((aligned(4096)));
static volatile uint64_t published;
static volatile uint64_t seen[4][8]; /* a cache line each */
static volatile uint64_t wrong;

static uint64_t call(const volatile uint32_t *at)
{
    return ((uint64_t(*)(void))(uint64_t)at)();
}

static void begin(unsigned hart)
{
    barrier();
    if (hart == 0) {
        wrong = published = 0;
        for (unsigned i = 0; i < 4; i++)
            seen[i][0] = 0;
    }
    barrier();
}

static void end(const char *name, unsigned hart)
{
    barrier();
    if (hart == 0)
        check(name, wrong, 0);
}

/* Hart 0 replaces a function that the others call without end. */
static void published_code(unsigned hart, unsigned harts)
{
    begin(hart);
    if (hart == 0) {
        for (uint64_t i = 1; i <= TIMES; i++) {
            shared[0] = LI_A0(i & 0x7ff);
            shared[1] = RET;
            fence();
            published = i;
            for (unsigned other = 1; other < harts; other++)
                while (seen[other][0] != i)
                    relax();
        }
    } else {
        for (uint64_t i = 1; i <= TIMES; i++) {
            while (published != i)
                relax();
            fence();
            fence_i();
            for (unsigned n = 0; n < 3; n++)
                if (call(shared) != (i & 0x7ff))
                    amo_add(&wrong, 1);
            fence();
            seen[hart][0] = i;
        }
    }
    end("code that another hart has written", hart);
}

/* All patch functions of their own in one page. */
static void neighbours(unsigned hart)
{
    volatile uint32_t *mine = shared + 64 * (hart + 1);

    begin(hart);
    for (uint64_t i = 1; i <= TIMES; i++) {
        unsigned at = i % 4 * 2;
        mine[at] = LI_A0(i * (hart + 1) & 0x7ff);
        mine[at + 1] = RET;
        fence_i();
        if (call(mine + at) != (i * (hart + 1) & 0x7ff))
            amo_add(&wrong, 1);
    }
    end("own code in a page with that of others", hart);
}

/* A function is called while it changes: it returns one of its values, never
 * anything else, and the last one in the end. */
static void racing(unsigned hart)
{
    uint64_t last = 0;

    begin(hart);
    if (hart == 0) {
        shared[0] = LI_A0(0);
        shared[1] = RET;
        fence();
        published = 1;
        for (uint64_t i = 1; i <= TIMES; i++)
            shared[0] = LI_A0(i & 0x3ff);
        fence();
        published = 2;
    } else {
        while (!published)
            relax();
        fence();
        while (published == 1) {
            fence_i();
            uint64_t value = call(shared);
            if (value > 0x3ff)
                amo_add(&wrong, 1);
            last = value;
        }
        fence();
        fence_i();
        last = call(shared);
        if (last != (TIMES & 0x3ff))
            amo_add(&wrong, 1);
    }
    end("code that changes while it is called", hart);
}

/* Much code on all harts at once: what a full cache of it makes room for is still
 * executed elsewhere. */
static void much_code(unsigned hart)
{
    begin(hart);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned page = 0; page < OWN_PAGES; page++)
            for (unsigned i = 0; i < 16; i++) {
                own[hart][page][i * 64] = LI_A0((page + i + round * hart) & 0x7ff);
                own[hart][page][i * 64 + 1] = RET;
            }
        fence_i();
        for (unsigned n = 0; n < 2; n++)
            for (unsigned page = 0; page < OWN_PAGES; page++)
                for (unsigned i = 0; i < 16; i++)
                    if (call(&own[hart][page][i * 64]) != ((page + i + round * hart) & 0x7ff))
                        amo_add(&wrong, 1);
    }
    end("more code than is kept", hart);
}

void run_tests(unsigned hart, unsigned harts)
{
    published_code(hart, harts);
    neighbours(hart);
    racing(hart);
    much_code(hart);
}
