// SPDX-License-Identifier: Apache-2.0
/*
 * Floating-point rows. The compiler may contract a multiplication and an addition,
 * so that checksums are those of the binary, not of the source.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double random_double(uint64_t *state)
{
    return (double)(bench_random(state) >> 11) * 0x1p-53;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

struct body {
    double position[3];
    double velocity[3];
    double mass;
};

static void attract(struct body *a, struct body *b, double step)
{
    double d[3];
    double square = 0.01; /* keeps what meets from being thrown out */
    for (int k = 0; k < 3; k++) {
        d[k] = a->position[k] - b->position[k];
        square += d[k] * d[k];
    }
    double force = step / (square * sqrt(square));
    for (int k = 0; k < 3; k++) {
        a->velocity[k] -= d[k] * b->mass * force;
        b->velocity[k] += d[k] * a->mass * force;
    }
}

static uint64_t n_body(uint32_t scale)
{
    enum { BODIES = 6 };
    struct body bodies[BODIES];
    uint64_t random = 29;
    for (int i = 0; i < BODIES; i++) {
        for (int k = 0; k < 3; k++) {
            bodies[i].position[k] = random_double(&random) * 10;
            bodies[i].velocity[k] = random_double(&random) - 0.5;
        }
        bodies[i].mass = 0.1 + random_double(&random);
    }
    for (uint32_t round = 0; round < scale * 6000; round++) {
        for (int i = 0; i < BODIES; i++) {
            for (int j = i + 1; j < BODIES; j++)
                attract(&bodies[i], &bodies[j], 0.001);
        }
        for (int i = 0; i < BODIES; i++) {
            for (int k = 0; k < 3; k++)
                bodies[i].position[k] += 0.001 * bodies[i].velocity[k];
        }
    }
    uint64_t sum = 0;
    for (int i = 0; i < BODIES; i++)
        sum = bench_mix(sum, bits_of(bodies[i].position[0]));
    return sum;
}

enum { MATRIX = 72 };

static uint64_t matrix_double(uint32_t scale)
{
    static double a[MATRIX][MATRIX];
    static double b[MATRIX][MATRIX];
    static double c[MATRIX][MATRIX];
    uint64_t random = 31;
    for (int i = 0; i < MATRIX; i++) {
        for (int j = 0; j < MATRIX; j++) {
            a[i][j] = random_double(&random);
            b[i][j] = random_double(&random) - 0.5;
        }
    }
    for (uint32_t round = 0; round < scale * 4; round++) {
        for (int i = 0; i < MATRIX; i++) {
            for (int j = 0; j < MATRIX; j++) {
                double sum = 0;
                for (int k = 0; k < MATRIX; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
        }
        memcpy(b, c, sizeof(b));
        b[0][round % MATRIX] = 1 / c[1][1];
    }
    return bits_of(c[3][5]) ^ bits_of(c[MATRIX - 1][0]);
}

static uint64_t matrix_float(uint32_t scale)
{
    static float a[MATRIX][MATRIX];
    static float b[MATRIX][MATRIX];
    static float c[MATRIX][MATRIX];
    uint64_t random = 37;
    for (int i = 0; i < MATRIX; i++) {
        for (int j = 0; j < MATRIX; j++) {
            a[i][j] = (float)random_double(&random) * 0.05f;
            b[i][j] = (float)random_double(&random);
        }
    }
    for (uint32_t round = 0; round < scale * 4; round++) {
        memset(c, 0, sizeof(c));
        for (int i = 0; i < MATRIX; i++) {
            for (int k = 0; k < MATRIX; k++) {
                for (int j = 0; j < MATRIX; j++)
                    c[i][j] += a[i][k] * b[k][j];
            }
        }
        memcpy(b, c, sizeof(b));
        b[round % MATRIX][0] = 1;
    }
    return bits_of((double)c[3][5]) ^ bits_of((double)c[MATRIX - 1][0]);
}

/* In place, radix 2; the length is a power of two. */
static void transform(double (*x)[2], const double (*roots)[2], uint32_t length)
{
    for (uint32_t i = 1, j = 0; i < length; i++) {
        uint32_t bit = length >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            for (int k = 0; k < 2; k++) {
                double kept = x[i][k];
                x[i][k] = x[j][k];
                x[j][k] = kept;
            }
        }
    }
    for (uint32_t half = 1; half < length; half *= 2) {
        for (uint32_t start = 0; start < length; start += 2 * half) {
            for (uint32_t k = 0; k < half; k++) {
                const double *root = roots[(uint64_t)k * (length / half / 2)];
                double *low = x[start + k];
                double *high = x[start + k + half];
                double re = high[0] * root[0] - high[1] * root[1];
                double im = high[0] * root[1] + high[1] * root[0];
                high[0] = low[0] - re;
                high[1] = low[1] - im;
                low[0] += re;
                low[1] += im;
            }
        }
    }
}

static uint64_t fft(uint32_t scale)
{
    enum { LENGTH = 2048 };
    static double x[LENGTH][2];
    static double roots[LENGTH / 2][2];
    uint64_t random = 41;
    for (uint32_t i = 0; i < LENGTH; i++) {
        x[i][0] = random_double(&random);
        x[i][1] = 0;
    }
    for (uint32_t i = 0; i < LENGTH / 2; i++) {
        roots[i][0] = cos(6.283185307179586 * i / LENGTH);
        roots[i][1] = -sin(6.283185307179586 * i / LENGTH);
    }
    bench_begin();
    for (uint32_t round = 0; round < scale * 30; round++) {
        transform(x, (const double(*)[2])roots, LENGTH);
        for (uint32_t i = 0; i < LENGTH; i++) {
            x[i][0] /= 64; /* keeps the numbers in range */
            x[i][1] /= 64;
        }
    }
    return bits_of(x[1][0]) ^ bits_of(x[LENGTH / 2][1]);
}

/* Solves a dense system: elimination with partial pivoting, as Linpack does. */
static double solve(double *a, double *b, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t pivot = k;
        for (uint32_t i = k + 1; i < n; i++) {
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k]))
                pivot = i;
        }
        for (uint32_t j = k; pivot != k && j < n; j++) {
            double kept = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = kept;
        }
        double kept = b[k];
        b[k] = b[pivot];
        b[pivot] = kept;
        for (uint32_t i = k + 1; i < n; i++) {
            double factor = a[i * n + k] / a[k * n + k];
            for (uint32_t j = k + 1; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            b[i] -= factor * b[k];
        }
    }
    for (uint32_t k = n; k-- > 0;) {
        for (uint32_t j = k + 1; j < n; j++)
            b[k] -= a[k * n + j] * b[j];
        b[k] /= a[k * n + k];
    }
    return b[0];
}

static uint64_t linpack(uint32_t scale)
{
    enum { N = 100 };
    double *a = bench_alloc((uint64_t)N * N * sizeof(*a));
    double *b = bench_alloc(N * sizeof(*b));
    uint64_t random = 43;
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 4; round++) {
        for (uint32_t i = 0; i < N * N; i++)
            a[i] = random_double(&random) - 0.5;
        for (uint32_t i = 0; i < N; i++)
            b[i] = random_double(&random);
        sum = bench_mix(sum, bits_of(solve(a, b, N)));
    }
    free(a);
    free(b);
    return sum;
}

/* Steps until the point leaves the circle, at most `limit`. */
static uint32_t escape(double cr, double ci, uint32_t limit)
{
    double zr = 0;
    double zi = 0;
    uint32_t steps = 0;
    for (; steps < limit && zr * zr + zi * zi < 4; steps++) {
        double next = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = next;
    }
    return steps;
}

static uint64_t mandelbrot(uint32_t scale)
{
    enum { SIZE = 48 };
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 10; round++) {
        for (int row = 0; row < SIZE; row++) {
            for (int column = 0; column < SIZE; column++)
                sum += escape(-2 + 2.5 * column / SIZE + 0.0001 * round, -1.25 + 2.5 * row / SIZE,
                              100);
        }
    }
    return sum;
}

/* to = A x or its transpose, where A[i][j] = 1 / ((i + j) (i + j + 1) / 2 + i + 1) */
static void multiply_series(const double *x, double *to, int n, int transposed)
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++) {
            int divisor = (i + j) * (i + j + 1) / 2 + (transposed ? j : i) + 1;
            sum += x[j] / divisor;
        }
        to[i] = sum;
    }
}

static uint64_t spectral(uint32_t scale)
{
    enum { N = 100 };
    double u[N];
    double v[N];
    double between[N];
    for (int i = 0; i < N; i++)
        u[i] = 1 + 0.01 * i;
    for (uint32_t round = 0; round < scale * 28; round++) {
        multiply_series(u, between, N, 0);
        multiply_series(between, v, N, 1);
        multiply_series(v, between, N, 0);
        multiply_series(between, u, N, 1);
        double length = 0;
        for (int i = 0; i < N; i++)
            length += u[i] * u[i];
        for (int i = 0; i < N; i++)
            u[i] /= sqrt(length);
    }
    return bits_of(u[0]) ^ bits_of(v[N - 1]);
}

/* Rounding and roots, as in drawing and physics. */
static uint64_t rounding(uint32_t scale)
{
    uint64_t random = 47;
    double sum = 0;
    for (uint32_t i = 0; i < scale * 60000; i++) {
        double x = random_double(&random) * 2000 - 1000;
        double whole = floor(x);
        double fraction = x - whole;
        double value = ((fraction * 0.25 - 1.5) * fraction + 3) * fraction + 0.125;
        sum += sqrt(fabs(x)) * value + round(x * 8) / 8 - ceil(value) + trunc(x / 3);
        sum = fmin(fmax(sum, -1e6), 1e6);
    }
    return bits_of(sum);
}

/* From integers and back: resampling of 16-bit sound, colours as floats. */
static uint64_t conversion(uint32_t scale)
{
    enum { SAMPLES = 4096 };
    static int16_t in[SAMPLES];
    static int16_t out[SAMPLES];
    uint64_t random = 53;
    for (uint32_t i = 0; i < SAMPLES; i++)
        in[i] = (int16_t)bench_random(&random);
    uint64_t sum = 0;
    for (uint32_t round = 0; round < scale * 80; round++) {
        double step = 0.75 + 0.0002 * (round % 1000);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            double at = i * step;
            uint32_t index = (uint32_t)at;
            float part = (float)(at - index);
            float value = (float)in[index] * (1 - part) + (float)in[(index + 1) % SAMPLES] * part;
            out[i] = (int16_t)value;
            sum += (uint64_t)((double)(uint16_t)out[i] * 1.5);
        }
        in[round % SAMPLES] = out[SAMPLES / 2];
    }
    return sum;
}

/* The C library's elementary functions. */
static uint64_t functions(uint32_t scale)
{
    uint64_t random = 59;
    double sum = 0;
    for (uint32_t i = 0; i < scale * 18000; i++) {
        double x = random_double(&random) * 20 + 0.01;
        sum += sin(x) * exp(-x) + log(x) - atan2(x, 3) + pow(x, 0.3);
        sum += (double)expf((float)x * -0.1f);
    }
    return bits_of(sum);
}

/* Comparisons: sorting, the least and the largest, points inside polygons. */
static uint64_t comparison(uint32_t scale)
{
    enum { COUNT = 256, CORNERS = 12 };
    double values[COUNT];
    double corner[CORNERS + 1][2];
    uint64_t random = 61;
    for (int i = 0; i < CORNERS; i++) {
        corner[i][0] = cos(0.5235987755982988 * i) * (0.5 + random_double(&random));
        corner[i][1] = sin(0.5235987755982988 * i) * (0.5 + random_double(&random));
    }
    memcpy(corner[CORNERS], corner[0], sizeof(corner[0]));
    uint64_t sum = 0;
    bench_begin();
    for (uint32_t round = 0; round < scale * 66; round++) {
        for (int i = 0; i < COUNT; i++) {
            double x = random_double(&random) * 3 - 1.5;
            int at = i;
            for (; at > 0 && values[at - 1] > x; at--)
                values[at] = values[at - 1];
            values[at] = x;
        }
        for (int i = 0; i < COUNT; i++) {
            double x = values[i];
            double y = values[(i * 7 + 3) % COUNT];
            int inside = 0;
            for (int k = 0; k < CORNERS; k++) {
                if ((corner[k][1] > y) != (corner[k + 1][1] > y) &&
                    (corner[k + 1][0] - corner[k][0]) * (y - corner[k][1]) <
                        (x - corner[k][0]) * (corner[k + 1][1] - corner[k][1]))
                    inside = !inside;
            }
            sum += (uint64_t)inside;
        }
        sum = bench_mix(sum, bits_of(values[round % COUNT]));
    }
    return sum;
}

const struct bench_row bench_fp[] = {
    {"fp-nbody", n_body},
    {"fp-matrix-double", matrix_double},
    {"fp-matrix-float", matrix_float},
    {"fp-fft", fft},
    {"fp-linpack", linpack},
    {"fp-mandelbrot", mandelbrot},
    {"fp-spectral", spectral},
    {"fp-rounding", rounding},
    {"fp-conversion", conversion},
    {"fp-functions", functions},
    {"fp-comparison", comparison},
    {NULL, NULL},
};
