// SPDX-License-Identifier: Apache-2.0
/*
 * Integer rows, first half: arithmetic, tables and data structures.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* The primes below a limit, one bit for each odd number. */
static uint64_t sieve(uint32_t scale)
{
    enum { LIMIT = 400000 };
    static uint64_t composite[LIMIT / 128 + 1];
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 20; round++) {
        memset(composite, 0, sizeof(composite));
        bench_opaque(composite);
        for (uint32_t i = 3; i * i < LIMIT; i += 2) {
            if (composite[i >> 7] >> (i >> 1 & 63) & 1)
                continue;
            for (uint32_t j = i * i; j < LIMIT; j += 2 * i)
                composite[j >> 7] |= 1ull << (j >> 1 & 63);
        }
        uint32_t count = 1;
        for (uint32_t i = 3; i < LIMIT; i += 2)
            count += !(composite[i >> 7] >> (i >> 1 & 63) & 1);
        sum = bench_mix(sum, count);
    }
    return sum;
}

/* Placements of queens, by backtracking over bit sets. */
static uint64_t place_queens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    if (columns == all)
        return 1;
    uint64_t count = 0;
    uint32_t free = all & ~(columns | left | right);
    while (free) {
        uint32_t bit = free & -free;
        free ^= bit;
        count += place_queens(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

static uint64_t queens(uint32_t scale)
{
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 20; round++)
        sum = bench_mix(sum, place_queens((1u << (9 + round % 2)) - 1, 0, 0, 0));
    return sum;
}

/* A table of 64-bit keys with open addressing; two of three look-ups succeed. */
static uint64_t hash_table(uint32_t scale)
{
    enum { SLOTS = 1 << 14, KEYS = 9000 };
    struct slot {
        uint64_t key;
        uint64_t value;
    } *table = bench_alloc(SLOTS * sizeof(*table));
    uint64_t sum = 0;
    uint64_t random = 11;
    for (uint32_t round = 0; round < scale * 100; round++) {
        memset(table, 0, SLOTS * sizeof(*table));
        uint64_t first = random;
        for (uint32_t i = 0; i < KEYS; i++) {
            uint64_t key = bench_random(&random) | 1;
            uint32_t at = (uint32_t)(key * 0x9e3779b97f4a7c15 >> 50);
            while (table[at].key != 0 && table[at].key != key)
                at = (at + 1) % SLOTS;
            table[at].key = key;
            table[at].value += i;
        }
        uint64_t again = first;
        for (uint32_t i = 0; i < KEYS; i++) {
            uint64_t key = (bench_random(&again) | 1) ^ (i % 3 == 0 ? 2 : 0);
            uint32_t at = (uint32_t)(key * 0x9e3779b97f4a7c15 >> 50);
            while (table[at].key != 0 && table[at].key != key)
                at = (at + 1) % SLOTS;
            sum += table[at].value;
        }
    }
    free(table);
    return sum;
}

static void quicksort(uint64_t *from, uint64_t *to)
{
    while (to - from > 12) {
        uint64_t pivot = from[(to - from) / 2];
        uint64_t *low = from;
        uint64_t *high = to - 1;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low <= high) {
                uint64_t kept = *low;
                *low++ = *high;
                *high-- = kept;
            }
        }
        quicksort(from, high + 1);
        from = low;
    }
    for (uint64_t *p = from + 1; p < to; p++) {
        uint64_t kept = *p;
        uint64_t *q = p;
        for (; q > from && q[-1] > kept; q--)
            *q = q[-1];
        *q = kept;
    }
}

static uint64_t sort(uint32_t scale)
{
    enum { COUNT = 20000 };
    uint64_t *numbers = bench_alloc(COUNT * sizeof(*numbers));
    uint64_t random = 5;
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 20; round++) {
        for (uint32_t i = 0; i < COUNT; i++)
            numbers[i] = bench_random(&random);
        quicksort(numbers, numbers + COUNT);
        for (uint32_t i = 0; i < COUNT; i += 100)
            sum = bench_mix(sum, numbers[i]);
    }
    free(numbers);
    return sum;
}

/* Powers of a number of 2048 bits, by schoolbook multiplication. */
static uint64_t big_numbers(uint32_t scale)
{
    enum { WORDS = 32 };
    uint64_t base[WORDS];
    uint64_t power[WORDS];
    uint64_t product[2 * WORDS];
    uint64_t random = 3;
    for (uint32_t i = 0; i < WORDS; i++)
        base[i] = power[i] = bench_random(&random);
    for (uint32_t round = 0; round < scale * 6000; round++) {
        memset(product, 0, sizeof(product));
        for (uint32_t i = 0; i < WORDS; i++) {
            uint64_t carry = 0;
            for (uint32_t j = 0; j < WORDS; j++) {
                unsigned __int128 sum =
                    (unsigned __int128)base[i] * power[j] + product[i + j] + carry;
                product[i + j] = (uint64_t)sum;
                carry = (uint64_t)(sum >> 64);
            }
            product[i + WORDS] = carry;
        }
        memcpy(power, product + WORDS / 2, sizeof(power));
        power[0] |= 1;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        sum = bench_mix(sum, power[i]);
    return sum;
}

/* Division: greatest common divisors, powers modulo 32-bit numbers. */
static uint64_t divide(uint32_t scale)
{
    uint64_t random = 7;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < scale * 200000; i++) {
        uint64_t a = bench_random(&random) >> 24;
        uint64_t b = bench_random(&random) >> 24 | 1;
        uint64_t power = 1;
        uint64_t square = a % 0x7fffffff;
        for (uint32_t exponent = (uint32_t)b & 0xffff; exponent; exponent >>= 1) {
            if (exponent & 1)
                power = power * square % 0x7fffffff;
            square = square * square % 0x7fffffff;
        }
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        sum = bench_mix(sum, a + power);
    }
    return sum;
}

/* Edit distance of two texts: a table filled row by row. */
static uint64_t dynamic(uint32_t scale)
{
    enum { LENGTH = 600 };
    uint8_t first[LENGTH];
    uint8_t second[LENGTH];
    uint32_t row[LENGTH + 1];
    uint64_t random = 9;
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 15; round++) {
        for (uint32_t i = 0; i < LENGTH; i++) {
            first[i] = (uint8_t)(bench_random(&random) % 4);
            second[i] = (uint8_t)(bench_random(&random) % 4);
        }
        for (uint32_t j = 0; j <= LENGTH; j++)
            row[j] = j;
        for (uint32_t i = 1; i <= LENGTH; i++) {
            uint32_t diagonal = row[0];
            row[0] = i;
            for (uint32_t j = 1; j <= LENGTH; j++) {
                uint32_t best = diagonal + (first[i - 1] != second[j - 1]);
                diagonal = row[j];
                if (row[j] + 1 < best)
                    best = row[j] + 1;
                if (row[j - 1] + 1 < best)
                    best = row[j - 1] + 1;
                row[j] = best;
            }
        }
        sum = bench_mix(sum, row[LENGTH]);
    }
    return sum;
}

struct node {
    struct node *left;
    struct node *right;
    uint64_t key;
};

static void insert(struct node **at, uint64_t key)
{
    while (*at)
        at = key < (*at)->key ? &(*at)->left : &(*at)->right;
    *at = bench_alloc(sizeof(**at));
    (*at)->key = key;
}

/* Adds up and frees. */
static uint64_t take_down(struct node *node, uint32_t depth)
{
    if (!node)
        return depth;
    uint64_t sum = take_down(node->left, depth + 1) + take_down(node->right, depth + 1);
    sum += node->key & 0xff;
    free(node);
    return sum;
}

/* Binary trees, every node allocated and freed by itself. */
static uint64_t tree(uint32_t scale)
{
    uint64_t random = 13;
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 45; round++) {
        struct node *root = NULL;
        for (uint32_t i = 0; i < 2000; i++)
            insert(&root, bench_random(&random));
        sum = bench_mix(sum, take_down(root, 0));
    }
    return sum;
}

const struct bench_row bench_integer[] = {
    {"int-sieve", sieve},     {"int-queens", queens},      {"int-hash", hash_table},
    {"int-sort", sort},       {"int-bignum", big_numbers}, {"int-divide", divide},
    {"int-dynamic", dynamic}, {"int-tree", tree},          {NULL, NULL},
};
