// SPDX-License-Identifier: Apache-2.0
/*
 * Memory rows: what loads and stores cost by themselves, in sizes that fit the
 * host's nearest cache, its second, and none of a guest's TLB.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20 };

/* Follows pointers that visit every cache line of `size_bytes` once, at random. */
static uint64_t chase(uint64_t size_bytes, uint64_t steps)
{
    enum { LINE = 64 / sizeof(void *) };
    uint64_t lines = size_bytes / 64;
    void **memory = bench_alloc(size_bytes);
    uint32_t *order = bench_alloc(lines * sizeof(*order));
    uint64_t random = 67;
    for (uint64_t i = 0; i < lines; i++)
        order[i] = (uint32_t)i;
    for (uint64_t i = lines - 1; i > 0; i--) {
        uint64_t j = bench_random(&random) % (i + 1);
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (uint64_t i = 0; i < lines; i++)
        memory[(uint64_t)order[i] * LINE] = &memory[(uint64_t)order[(i + 1) % lines] * LINE];
    void **p = memory;
    bench_begin();
    for (uint64_t i = 0; i < steps; i++)
        p = *p;
    uint64_t sum = (uint64_t)(p - memory);
    free(order);
    free(memory);
    return sum;
}

static uint64_t chase_32k(uint32_t scale)
{
    return chase(32 << 10, scale * 7000000ull);
}

static uint64_t chase_1m(uint32_t scale)
{
    return chase(MIB, scale * 400000ull);
}

static uint64_t chase_64m(uint32_t scale)
{
    return chase(64ull * MIB, scale * 200000ull);
}

/* The C library's memcpy, memmove and memset. */
static uint64_t copy(uint32_t scale)
{
    enum { SIZE = 2 * MIB };
    uint8_t *from = bench_alloc(SIZE);
    uint8_t *to = bench_alloc(SIZE + 64);
    uint64_t sum = 0;
    memset(from, 0x5a, SIZE);
    memset(to, 0x11, SIZE + 64);
    bench_begin();
    for (uint32_t round = 0; round < scale * 12; round++) {
        memcpy(to + round % 8 * 8ull, from, SIZE);
        memmove(to + 8, to, SIZE);
        memset(from + round * 1000ull % (SIZE - 60000), (int)round, 60000);
        sum = bench_mix(sum, to[round * 4099 % SIZE]);
    }
    free(from);
    free(to);
    return sum;
}

/* Loops over words as a compiler leaves them: a[i] = b[i] + 3 * c[i] */
static uint64_t stream(uint32_t scale)
{
    enum { WORDS = 3 << 16 };
    uint64_t *a = bench_alloc(3ull * WORDS * sizeof(*a));
    uint64_t *b = a + WORDS;
    uint64_t *c = b + WORDS;
    for (uint32_t i = 0; i < WORDS; i++) {
        b[i] = i;
        c[i] = i * 7ull;
    }
    bench_begin();
    for (uint32_t round = 0; round < scale * 16; round++) {
        for (uint32_t i = 0; i < WORDS; i++)
            a[i] = b[i] + 3 * c[i];
        b[round % WORDS] = a[WORDS - 1 - round];
    }
    uint64_t sum = a[WORDS / 2] + b[0];
    free(a);
    return sum;
}

static uint64_t histogram(uint32_t scale)
{
    uint16_t *data = bench_alloc(MIB);
    uint32_t *narrow = bench_alloc(256 * sizeof(*narrow));
    uint32_t *wide = bench_alloc(65536 * sizeof(*wide));
    uint64_t random = 71;
    for (uint32_t i = 0; i < MIB / 2; i++)
        data[i] = (uint16_t)(bench_random(&random) >> (bench_random(&random) & 15));
    bench_begin();
    for (uint32_t round = 0; round < scale * 10; round++) {
        for (uint32_t i = 0; i < MIB / 2; i++) {
            narrow[data[i] & 0xff]++;
            wide[data[i]]++;
        }
    }
    uint64_t sum = bench_mix(narrow[3], wide[1000]);
    free(data);
    free(narrow);
    free(wide);
    return sum;
}

/* Read, change and write back, anywhere in 16 MiB. */
static uint64_t random_update(uint32_t scale)
{
    enum { WORDS = 16 * MIB / 8 };
    uint64_t *table = bench_alloc(16ull * MIB);
    for (uint32_t i = 0; i < WORDS; i++)
        table[i] = i;
    uint64_t random = 73;
    bench_begin();
    for (uint32_t i = 0; i < scale * 300000; i++) {
        uint64_t next = bench_random(&random);
        table[next % WORDS] ^= next;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WORDS; i += 1009)
        sum = bench_mix(sum, table[i]);
    free(table);
    return sum;
}

/* A byte at a time: change of case, length of lines, count of words. */
static uint64_t bytes(uint32_t scale)
{
    enum { SIZE = 256 << 10 };
    char *text = bench_alloc(SIZE + 1);
    uint64_t random = 79;
    for (uint32_t i = 0; i < SIZE; i++) {
        uint64_t letter = bench_random(&random) % 60;
        text[i] = ' ';
        if (letter < 52)
            text[i] = (char)('A' + letter % 26 + letter / 26 * 32);
        else if (letter == 59)
            text[i] = '\n';
    }
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 15; round++) {
        uint32_t words = 0;
        uint32_t longest = 0;
        uint32_t length = 0;
        char before = ' ';
        for (char *p = text; *p; p++) {
            char now = *p;
            if (now >= 'A' && now <= 'Z')
                *p = (char)((unsigned char)now | 32);
            else if (now >= 'a' && now <= 'z')
                *p = (char)((unsigned char)now & 0xdf);
            words += before <= ' ' && now > ' ';
            length = now == '\n' ? 0 : length + 1;
            longest = length > longest ? length : longest;
            before = now;
        }
        sum = bench_mix(sum, words + longest);
    }
    free(text);
    return sum;
}

/* Fields of records, most of which are skipped. */
static uint64_t records(uint32_t scale)
{
    enum { COUNT = 40000 };
    struct record {
        uint64_t id;
        uint32_t price;
        uint16_t kind;
        uint8_t flags;
        int8_t level;
        char name[40];
        uint64_t total;
    } *all = bench_alloc((uint64_t)COUNT * sizeof(*all));
    uint64_t random = 83;
    for (uint32_t i = 0; i < COUNT; i++) {
        all[i].id = i;
        all[i].price = (uint32_t)bench_random(&random) % 1000;
        all[i].kind = (uint16_t)(bench_random(&random) % 100);
        all[i].flags = (uint8_t)bench_random(&random);
        all[i].level = (int8_t)bench_random(&random);
    }
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 100; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            if ((all[i].flags & 3) == round % 4 || all[i].kind == round % 128) {
                all[i].total += (uint64_t)all[i].price * (uint32_t)(all[i].level + 128);
                sum += all[i].total;
            }
        }
    }
    free(all);
    return sum;
}

/* One load and one store per page: every access wants another TLB entry. */
static uint64_t pages(uint32_t scale)
{
    enum { PAGES = 8192 };
    uint8_t *memory = bench_alloc((uint64_t)PAGES * 4096);
    for (uint32_t i = 0; i < PAGES; i++)
        memory[(uint64_t)i * 4096 + i % 4000] = (uint8_t)i;
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 25; round++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            uint8_t *p = memory + (uint64_t)i * 4096 + (round * 64 + i % 4000) % 4096;
            sum += (*p)++;
        }
    }
    free(memory);
    return sum;
}

const struct bench_row bench_memory[] = {
    {"mem-chase-32k", chase_32k},
    {"mem-chase-1m", chase_1m},
    {"mem-chase-64m", chase_64m},
    {"mem-copy", copy},
    {"mem-stream", stream},
    {"mem-histogram", histogram},
    {"mem-random", random_update},
    {"mem-bytes", bytes},
    {"mem-records", records},
    {"mem-pages", pages},
    {NULL, NULL},
};
