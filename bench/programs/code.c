// SPDX-License-Identifier: Apache-2.0
/*
 * Integer rows, second half: texts, codecs, and kinds of control flow.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 64 << 10 };

/* Words of one to nine letters, the short ones often, as in a language. */
static void write_text(uint8_t *text, uint32_t size)
{
    uint64_t random = 17;
    uint32_t at = 0;
    while (at < size) {
        uint64_t seed = bench_random(&random) >> 40;
        seed = seed * seed % 1999 + 1; /* one of some words */
        uint32_t length = 1 + (uint32_t)(seed % 9);
        for (uint32_t i = 0; i < length && at < size; i++) {
            text[at++] = (uint8_t)('a' + bench_random(&seed) % 26);
        }
        if (at < size)
            text[at++] = ' ';
    }
}

/* Horspool's search. Returns the number of places where the word stands. */
static uint32_t count_word(const uint8_t *text, uint32_t size, const uint8_t *word, uint32_t length)
{
    uint32_t skip[256];
    for (uint32_t i = 0; i < 256; i++)
        skip[i] = length;
    for (uint32_t i = 0; i + 1 < length; i++)
        skip[word[i]] = length - 1 - i;
    uint32_t count = 0;
    for (uint32_t at = 0; at + length <= size; at += skip[text[at + length - 1]])
        count += memcmp(text + at, word, length) == 0;
    return count;
}

static uint64_t search(uint32_t scale)
{
    uint8_t *text = bench_alloc(TEXT_SIZE);
    write_text(text, TEXT_SIZE);
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 60; round++) {
        uint32_t at = round * 97 % (TEXT_SIZE - 64);
        sum = bench_mix(sum, count_word(text, TEXT_SIZE, text + at, 3 + round % 4));
    }
    free(text);
    return sum;
}

/* What a scanner of a language does: classes of characters, numbers, names. */
static uint64_t parse(uint32_t scale)
{
    uint8_t *text = bench_alloc(TEXT_SIZE + 1);
    write_text(text, TEXT_SIZE);
    for (uint32_t i = 0; i + 20 < TEXT_SIZE; i += 5 + text[i] % 16) {
        text[i] = "0123456789+-*/()=;\n\""[text[i + 1] % 20];
    }
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 150; round++) {
        const uint8_t *p = text;
        uint32_t depth = 0;
        while (*p) {
            if (*p >= 'a' && *p <= 'z') {
                uint32_t name = 5381;
                while ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9'))
                    name = name * 33 + *p++;
                sum += name;
            } else if (*p >= '0' && *p <= '9') {
                uint32_t number = 0;
                while (*p >= '0' && *p <= '9')
                    number = number * 10 + *p++ - '0';
                sum ^= number;
            } else if (*p == '"') {
                const uint8_t *start = ++p;
                while (*p && *p != '"' && *p != '\n')
                    p++;
                sum += (uint64_t)(p - start);
                p += *p != 0;
            } else {
                depth += (*p == '(') - (*p == ')');
                sum = bench_mix(sum, *p++ + depth);
            }
        }
    }
    free(text);
    return sum;
}

/* Emits runs of literals (0nnnnnnn) and matches (1nnnnnnn, distance in 2 bytes). */
static uint32_t compress(const uint8_t *from, uint32_t size, uint8_t *to, uint32_t *heads)
{
    memset(heads, 0, 4096 * sizeof(*heads));
    uint32_t out = 0;
    uint32_t literals = 0;
    for (uint32_t at = 0; at < size;) {
        uint32_t length = 0;
        uint32_t candidate = 0;
        if (at + 4 <= size) {
            uint32_t word;
            memcpy(&word, from + at, 4);
            uint32_t *head = &heads[word * 2654435761u >> 20];
            candidate = *head;
            *head = at + 1;
            if (candidate && at + 1 - candidate < 65536) {
                candidate--;
                while (length < 127 && at + length < size &&
                       from[candidate + length] == from[at + length])
                    length++;
            }
        }
        if (length >= 4) {
            to[out++] = (uint8_t)(0x80 | length);
            to[out++] = (uint8_t)(at - candidate);
            to[out++] = (uint8_t)((at - candidate) >> 8);
            at += length;
            literals = 0;
        } else {
            if (literals % 127 == 0)
                to[out++] = 0;
            to[out - literals % 127 - 1]++;
            to[out++] = from[at++];
            literals++;
        }
    }
    return out;
}

static uint32_t expand(const uint8_t *from, uint32_t size, uint8_t *to)
{
    uint32_t out = 0;
    for (uint32_t at = 0; at < size;) {
        uint32_t length = from[at] & 127;
        if (from[at++] & 0x80) {
            uint32_t distance = from[at] | (uint32_t)from[at + 1] << 8;
            at += 2;
            for (uint32_t i = 0; i < length; i++, out++)
                to[out] = to[out - distance];
        } else {
            memcpy(to + out, from + at, length);
            out += length;
            at += length;
        }
    }
    return out;
}

static uint64_t lz(uint32_t scale)
{
    uint8_t *text = bench_alloc(TEXT_SIZE);
    uint8_t *packed = bench_alloc(2ull * TEXT_SIZE);
    uint8_t *unpacked = bench_alloc(TEXT_SIZE);
    uint32_t *heads = bench_alloc(4096 * sizeof(*heads));
    write_text(text, TEXT_SIZE);
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 20; round++) {
        uint32_t size = compress(text, TEXT_SIZE, packed, heads);
        uint32_t again = expand(packed, size, unpacked);
        if (again != TEXT_SIZE || memcmp(text, unpacked, TEXT_SIZE) != 0)
            bench_fail("text changed");
        sum = bench_mix(sum, size);
        text[round * 31 % TEXT_SIZE] ^= 1;
    }
    free(text);
    free(packed);
    free(unpacked);
    free(heads);
    return sum;
}

/* CRC-32 (ISO-HDLC), a byte at a time by table. */
static uint64_t crc(uint32_t scale)
{
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (uint32_t bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
    uint8_t *text = bench_alloc(TEXT_SIZE);
    write_text(text, TEXT_SIZE);
    uint32_t sum = 0xffffffff;
    bench_begin();
    for (uint32_t round = 0; round < scale * 120; round++) {
        for (uint32_t i = 0; i < TEXT_SIZE; i++)
            sum = table[(sum ^ text[i]) & 0xff] ^ sum >> 8;
    }
    free(text);
    return ~sum;
}

static uint32_t rotate(uint32_t word, uint32_t by)
{
    return word >> by | word << (32 - by);
}

/*
 * The compression function of SHA-256 (FIPS 180-4, 6.2.2), with constants of our
 * own in place of the cube roots: the work is the same.
 */
static void sha256_block(uint32_t state[8], const uint8_t *block, const uint32_t *constants)
{
    uint32_t w[64];
    for (uint32_t i = 0; i < 16; i++, block += 4) {
        w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
               block[3];
    }
    for (uint32_t i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    memcpy(v, state, sizeof(v));
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + t2;
    }
    for (uint32_t i = 0; i < 8; i++)
        state[i] += v[i];
}

static uint64_t sha256(uint32_t scale)
{
    uint32_t constants[64];
    uint32_t state[8];
    uint64_t random = 19;
    for (uint32_t i = 0; i < 64; i++)
        constants[i] = (uint32_t)bench_random(&random);
    for (uint32_t i = 0; i < 8; i++)
        state[i] = (uint32_t)bench_random(&random);
    uint8_t *text = bench_alloc(TEXT_SIZE);
    write_text(text, TEXT_SIZE);
    bench_begin();
    for (uint32_t i = 0; i < scale * 25000; i++)
        sha256_block(state, text + i * 64ull % TEXT_SIZE, constants);
    free(text);
    return (uint64_t)state[0] << 32 | state[7];
}

enum operation { PUSH, LOAD, STORE, ADD, MULTIPLY, AND, SHIFT, LESS, JUMP_IF, JUMP, STOP };

/* A stack machine's loop: one switch per instruction. */
static uint64_t interpret(const int32_t *code, uint64_t *variables)
{
    uint64_t stack[16];
    uint32_t top = 0;
    for (const int32_t *p = code;;) {
        switch ((enum operation) * p++) {
        case PUSH:
            stack[top++] = (uint64_t)*p++;
            break;
        case LOAD:
            stack[top++] = variables[*p++];
            break;
        case STORE:
            variables[*p++] = stack[--top];
            break;
        case ADD:
            top--;
            stack[top - 1] += stack[top];
            break;
        case MULTIPLY:
            top--;
            stack[top - 1] *= stack[top];
            break;
        case AND:
            top--;
            stack[top - 1] &= stack[top];
            break;
        case SHIFT:
            top--;
            stack[top - 1] >>= stack[top] & 63;
            break;
        case LESS:
            top--;
            stack[top - 1] = stack[top - 1] < stack[top];
            break;
        case JUMP_IF:
            p = stack[--top] ? code + *p : p + 1;
            break;
        case JUMP:
            p = code + *p;
            break;
        case STOP:
            return variables[0];
        }
    }
}

/* for (i = 0; i < limit; i++) { if (x & 1) x = 3 * x + 1; else x >>= 1; sum += x & 255; } */
static uint64_t bytecode(uint32_t scale)
{
    enum { SUM, I, X, LIMIT };
    static const int32_t code[] = {
        LOAD, I, LOAD, LIMIT, LESS,     JUMP_IF, 8,   STOP,             /* 0 */
        LOAD, X, PUSH, 1,     AND,      JUMP_IF, 24,                    /* 8 */
        LOAD, X, PUSH, 1,     SHIFT,    STORE,   X,   JUMP, 34,         /* 15; jump at 22 */
        PUSH, 3, LOAD, X,     MULTIPLY, PUSH,    1,   ADD,  STORE, X,   /* 24 */
        LOAD, X, PUSH, 255,   AND,      LOAD,    SUM, ADD,  STORE, SUM, /* 34 */
        LOAD, I, PUSH, 1,     ADD,      STORE,   I,   JUMP, 0,          /* 44 */
    };
    uint64_t variables[] = {0, 0, 0x123456789abcdef, (uint64_t)scale * 100000};
    return interpret(code, variables);
}

static uint64_t fibonacci(uint64_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t ackermann(uint64_t m, uint64_t n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

/* Calls and returns, and deep stacks. */
static uint64_t recursion(uint32_t scale)
{
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 30; round++) {
        sum = bench_mix(sum, fibonacci(24 + round % 2));
        sum = bench_mix(sum, ackermann(2, 250 + round % 10));
        sum = bench_mix(sum, ackermann(3, 5));
    }
    return sum;
}

struct shape {
    uint64_t (*measure)(const struct shape *shape, uint64_t x);
    uint64_t (*next)(struct shape *shape);
    uint64_t a;
    uint64_t b;
};

static uint64_t measure_line(const struct shape *shape, uint64_t x)
{
    return shape->a * x + shape->b;
}

static uint64_t measure_mask(const struct shape *shape, uint64_t x)
{
    return (x ^ shape->a) & shape->b;
}

static uint64_t measure_least(const struct shape *shape, uint64_t x)
{
    return x < shape->a ? x : shape->a;
}

static uint64_t measure_sum(const struct shape *shape, uint64_t x)
{
    return x + (shape->a ^ shape->b);
}

static uint64_t next_count(struct shape *shape)
{
    return shape->a++;
}

static uint64_t next_turn(struct shape *shape)
{
    return shape->b = shape->b << 1 | shape->b >> 63;
}

/* Methods of objects whose kinds alternate without a pattern. */
static uint64_t dispatch(uint32_t scale)
{
    enum { COUNT = 1000 };
    static struct shape shapes[COUNT];
    uint64_t random = 23;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint64_t kind = bench_random(&random) >> 60;
        shapes[i] = (struct shape){
            .measure = kind % 4 == 0   ? measure_line
                       : kind % 4 == 1 ? measure_mask
                       : kind % 4 == 2 ? measure_least
                                       : measure_sum,
            .next = kind & 8 ? next_count : next_turn,
            .a = bench_random(&random),
            .b = bench_random(&random),
        };
    }
    uint64_t sum = 1;
    bench_begin();
    for (uint32_t round = 0; round < scale * 800; round++) {
        for (uint32_t i = 0; i < COUNT; i++)
            sum += shapes[i].measure(&shapes[i], sum) ^ shapes[i].next(&shapes[i]);
    }
    return sum;
}

const struct bench_row bench_code[] = {
    {"int-search", search},
    {"int-parse", parse},
    {"int-lz", lz},
    {"int-crc", crc},
    {"int-sha256", sha256},
    {"int-bytecode", bytecode},
    {"int-recursion", recursion},
    {"int-dispatch", dispatch},
    {NULL, NULL},
};
