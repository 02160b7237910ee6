/* SPDX-License-Identifier: Apache-2.0
 * Memory-model shapes on two or four harts in M-mode (unprivileged architecture,
 * "RVWMO Memory Consistency Model"). Each is run over an array of places between
 * two barriers, so that harts meet in the middle; outcomes that the fences forbid
 * must never be seen, others are only counted. */
#include "litmus.h"

#define PLACES      1024
#define ROUNDS      150
#define LIMIT_TICKS (TICKS_PER_S / 4) /* for one shape */
#define SPINS       300

struct place {
    uint64_t x;
    uint64_t pad0[7];
    uint64_t y;
    uint64_t pad1[7];
};

static struct place places[PLACES] __attribute__((aligned(64)));
static uint64_t seen[4][PLACES]; /* two results of a hart, 32 bits each */
static volatile uint64_t go_on;

/* One access each; nothing else between them. */
#define STORE(at, value) "sd " value ", 0(" at ")\n"
#define LOAD(to, at)     "ld " to ", 0(" at ")\n"
#define BODY(...)                                         \
    __asm__ volatile(__VA_ARGS__                          \
                     : "=&r"(r1), "=&r"(r2)               \
                     : "r"(x), "r"(y), "r"(1ul), "r"(2ul) \
                     : "memory", "t0", "t1")
#define X     "%2"
#define Y     "%3"
#define ONE   "%4"
#define TWO   "%5"
#define R1    "%0"
#define R2    "%1"
#define NO_R1 "li %0, 0\n"
#define NO_R2 "li %1, 0\n"
#define FENCE "fence rw, rw\n"

/* body(hart): what this hart does at a place. */
#define SHAPE(name, ...)                                          \
    static uint64_t name(unsigned hart, uint64_t *x, uint64_t *y) \
    {                                                             \
        uint64_t r1 = 0;                                          \
        uint64_t r2 = 0;                                          \
        switch (hart) {                                           \
            __VA_ARGS__                                           \
        default:                                                  \
            break;                                                \
        }                                                         \
        return r1 << 32 | r2;                                     \
    }
#define HART(n, ...)       \
    case n:                \
        BODY(__VA_ARGS__); \
        break;

/* clang-format off */
SHAPE(sb,
      HART(0, STORE(X, ONE) LOAD(R1, Y) NO_R2)
      HART(1, STORE(Y, ONE) LOAD(R1, X) NO_R2))
SHAPE(sb_fences,
      HART(0, STORE(X, ONE) FENCE LOAD(R1, Y) NO_R2)
      HART(1, STORE(Y, ONE) FENCE LOAD(R1, X) NO_R2))
SHAPE(sb_fence_w_r,
      HART(0, STORE(X, ONE) "fence w, r\n" LOAD(R1, Y) NO_R2)
      HART(1, STORE(Y, ONE) "fence w, r\n" LOAD(R1, X) NO_R2))
SHAPE(sb_amo,
      HART(0, "amoswap.d.aqrl x0, " ONE ", (" X ")\nlr.d.aqrl " R1 ", (" Y ")\n" NO_R2)
      HART(1, "amoswap.d.aqrl x0, " ONE ", (" Y ")\nlr.d.aqrl " R1 ", (" X ")\n" NO_R2))
SHAPE(mp,
      HART(0, STORE(X, ONE) STORE(Y, ONE) NO_R1 NO_R2)
      HART(1, LOAD(R1, Y) LOAD(R2, X)))
SHAPE(mp_fences,
      HART(0, STORE(X, ONE) "fence w, w\n" STORE(Y, ONE) NO_R1 NO_R2)
      HART(1, LOAD(R1, Y) "fence r, r\n" LOAD(R2, X)))
SHAPE(mp_tso,
      HART(0, STORE(X, ONE) "fence.tso\n" STORE(Y, ONE) NO_R1 NO_R2)
      HART(1, LOAD(R1, Y) "fence.tso\n" LOAD(R2, X)))
SHAPE(mp_release_acquire,
      HART(0, STORE(X, ONE) "amoswap.d.rl x0, " ONE ", (" Y ")\n" NO_R1 NO_R2)
      HART(1, "lr.d.aq " R1 ", (" Y ")\n" LOAD(R2, X)))
SHAPE(lb,
      HART(0, LOAD(R1, X) STORE(Y, ONE) NO_R2)
      HART(1, LOAD(R1, Y) STORE(X, ONE) NO_R2))
SHAPE(lb_fences,
      HART(0, LOAD(R1, X) "fence r, w\n" STORE(Y, ONE) NO_R2)
      HART(1, LOAD(R1, Y) "fence r, w\n" STORE(X, ONE) NO_R2))
SHAPE(two_plus_two_w,
      HART(0, STORE(X, ONE) "fence w, w\n" STORE(Y, TWO) NO_R1 NO_R2)
      HART(1, STORE(Y, ONE) "fence w, w\n" STORE(X, TWO) NO_R1 NO_R2))
SHAPE(r_fences,
      HART(0, STORE(X, ONE) FENCE STORE(Y, ONE) NO_R1 NO_R2)
      HART(1, STORE(Y, TWO) FENCE LOAD(R1, X) NO_R2))
SHAPE(s_fences,
      HART(0, STORE(X, TWO) FENCE STORE(Y, ONE) NO_R1 NO_R2)
      HART(1, LOAD(R1, Y) FENCE STORE(X, ONE) NO_R2))
SHAPE(corr,
      HART(0, STORE(X, ONE) STORE(X, TWO) NO_R1 NO_R2)
      HART(1, LOAD(R1, X) LOAD(R2, X)))
SHAPE(iriw,
      HART(0, STORE(X, ONE) NO_R1 NO_R2)
      HART(1, STORE(Y, ONE) NO_R1 NO_R2)
      HART(2, LOAD(R1, X) FENCE LOAD(R2, Y))
      HART(3, LOAD(R1, Y) FENCE LOAD(R2, X)))
SHAPE(wrc,
      HART(0, STORE(X, ONE) NO_R1 NO_R2)
      HART(1, LOAD(R1, X) FENCE STORE(Y, ONE) NO_R2)
      HART(2, LOAD(R1, Y) FENCE LOAD(R2, X)))
/* clang-format on */

#define FIRST(hart)  (seen[hart][i] >> 32)
#define SECOND(hart) (seen[hart][i] & 0xffffffff)

/* Whether the outcome at place i is the one that the shape is about. */
#define OUTCOME(name, condition)        \
    static bool name##_seen(unsigned i) \
    {                                   \
        return condition;               \
    }
OUTCOME(both_zero, FIRST(0) == 0 && FIRST(1) == 0)
OUTCOME(both_one, FIRST(0) == 1 && FIRST(1) == 1)
OUTCOME(stale, FIRST(1) == 1 && SECOND(1) == 0)
OUTCOME(first_stores_last, places[i].x == 1 && places[i].y == 1)
OUTCOME(r, places[i].y == 2 && FIRST(1) == 0)
OUTCOME(s, places[i].x == 2 && FIRST(1) == 1)
OUTCOME(backwards, FIRST(1) > SECOND(1))
OUTCOME(disagree, FIRST(2) == 1 && SECOND(2) == 0 && FIRST(3) == 1 && SECOND(3) == 0)
OUTCOME(no_chain, FIRST(1) == 1 && FIRST(2) == 1 && SECOND(2) == 0)

static const struct {
    const char *name;
    uint64_t (*body)(unsigned hart, uint64_t *x, uint64_t *y);
    bool (*is_seen)(unsigned i);
    unsigned harts;
    bool allowed;
} shapes[] = {
    {"SB", sb, both_zero_seen, 2, true},
    {"SB with fences", sb_fences, both_zero_seen, 2, false},
    {"SB with fence w,r", sb_fence_w_r, both_zero_seen, 2, false},
    {"SB with AMO and LR, aqrl", sb_amo, both_zero_seen, 2, false},
    {"MP", mp, stale_seen, 2, true},
    {"MP with fences", mp_fences, stale_seen, 2, false},
    {"MP with fence.tso", mp_tso, stale_seen, 2, false},
    {"MP with release and acquire", mp_release_acquire, stale_seen, 2, false},
    {"LB", lb, both_one_seen, 2, true},
    {"LB with fences", lb_fences, both_one_seen, 2, false},
    {"2+2W with fences", two_plus_two_w, first_stores_last_seen, 2, false},
    {"R with fences", r_fences, r_seen, 2, false},
    {"S with fences", s_fences, s_seen, 2, false},
    {"CoRR", corr, backwards_seen, 2, false},
    {"WRC with fences", wrc, no_chain_seen, 3, false},
    {"IRIW with fences", iriw, disagree_seen, 4, false},
};

static void clear(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        places[i].x = places[i].y = 0;
}

static uint64_t count_seen(unsigned shape)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < PLACES; i++)
        count += shapes[shape].is_seen(i);
    return count;
}

/* Where each hart is: they meet at every place, or the accesses would be far
 * apart and nothing relaxed be seen. */
static volatile uint64_t position[MAX_HARTS][8];

static void meet(unsigned hart, unsigned harts, uint64_t at, uint64_t delay)
{
    position[hart][0] = at;
    for (unsigned other = 0; other < harts; other++)
        for (unsigned spins = 0; position[other][0] < at; spins++)
            if (spins > SPINS)
                relax();
    for (; delay; delay--)
        __asm__ volatile("");
}

static void visit_places(unsigned hart, unsigned shape, uint64_t base)
{
    static uint64_t random[MAX_HARTS][8];

    for (unsigned i = 0; i < PLACES; i++) {
        random[hart][0] = random[hart][0] * 6364136223846793005ul + hart + 1;
        meet(hart, shapes[shape].harts, base + i, random[hart][0] >> 61);
        seen[hart][i] = shapes[shape].body(hart, &places[i].x, &places[i].y);
    }
}

/* All harts run this; hart 0 counts. */
static void run_shape(unsigned hart, unsigned shape)
{
    uint64_t end = csr_read(time) + LIMIT_TICKS;
    uint64_t count = 0;
    uint64_t rounds = 0;
    uint64_t mine = 0;

    position[hart][0] = 0;
    if (hart == 0) {
        clear();
        go_on = 1;
    }
    barrier();
    while (go_on) {
        if (hart < shapes[shape].harts)
            visit_places(hart, shape, 1 + mine++ * PLACES);
        barrier();
        if (hart == 0) {
            count += count_seen(shape);
            clear();
            go_on = ++rounds < ROUNDS && csr_read(time) < end;
        }
        barrier();
    }
    barrier(); /* all have seen that it is over */
    if (hart != 0)
        return;
    if (!shapes[shape].allowed)
        check(shapes[shape].name, count, 0);
    put_text("# ");
    put_text(shapes[shape].name);
    put_text(": seen ");
    put_hex(count);
    show(" of", rounds * PLACES);
}

/* Aligned accesses are never torn, however they get to memory. */
static void tearing(unsigned hart)
{
    volatile uint64_t *at = &places[0].x;
    uint64_t torn = 0;

    if (hart == 0)
        *at = 0;
    barrier();
    for (unsigned i = 0; i < 100000; i++) {
        if (hart == 0) {
            *at = i & 1 ? -1ul : 0;
        } else {
            uint64_t value = *at;
            torn += value != 0 && value != -1ul;
        }
        if (i % 64 == hart)
            sfence(); /* the next access is one that misses */
    }
    amo_add(&total, torn);
    barrier();
    if (hart == 0) {
        check("aligned accesses are whole", total, 0);
        total = 0;
    }
    barrier();
}

void run_tests(unsigned hart, unsigned harts)
{
    for (unsigned shape = 0; shape < ARRAY_LEN(shapes); shape++)
        if (harts >= shapes[shape].harts)
            run_shape(hart, shape);
    tearing(hart);
}
