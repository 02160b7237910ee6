/* SPDX-License-Identifier: Apache-2.0
 * The two ways test programs end: finisher and HTIF. */
#include "base/endian.h"
#include "dev/test/finisher.h"
#include "dev/test/htif.h"
#include "unit/dev/bench.h"

#define RAM_BASE UINT64_C(0x80000000)
#define TOHOST   (RAM_BASE + 0x1000)
#define FROMHOST (RAM_BASE + 0x1040)

struct fixture {
    struct power_log power;
    struct sink sink;
    struct space space;
    struct htif htif;
};

static uint8_t ram[0x4000] __attribute__((aligned(4096)));

static struct fixture *make(void)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    memset(ram, 0, sizeof(ram));
    f.sink.room = 1000;
    space_add_ram(&f.space, RAM_BASE, sizeof(ram), ram);
    htif_init(&f.htif, &(struct htif_config){.space = &f.space,
                                             .base = RAM_BASE + 0x1000,
                                             .size = 0x1000,
                                             .bytes = ram + 0x1000,
                                             .tohost = TOHOST,
                                             .fromhost = FROMHOST,
                                             .power = power_log_port(&f.power),
                                             .console = sink_port(&f.sink)});
    space_add_mmio(&f.space, RAM_BASE + 0x1000, 0x1000, &htif_mmio, &f.htif);
    return &f;
}

static void put(struct fixture *f, gpa_t at, uint64_t value, unsigned size)
{
    CHECK(space_write(&f->space, at, size, value));
}

static uint64_t get(struct fixture *f, gpa_t at, unsigned size)
{
    uint64_t value = 0;

    CHECK(space_read(&f->space, at, size, &value));
    return value;
}

TEST(finisher, maps_magic_words_to_power_events)
{
    struct power_log log = {0};
    struct finisher finisher;
    struct power_port port = power_log_port(&log);

    finisher_init(&finisher, &port);
    finisher_mmio.write(&finisher, 0, 0x5555, 4);
    CHECK(log.event == POWER_OFF && log.code == 0);
    finisher_mmio.write(&finisher, 0, 0x7777, 2);
    CHECK(log.event == POWER_RESET);
    finisher_mmio.write(&finisher, 0, 42u << 16 | 0x3333, 4);
    CHECK(log.event == POWER_FAIL && log.code == 42);
    finisher_mmio.write(&finisher, 4, 0x5555, 4);
    finisher_mmio.write(&finisher, 0, 0x1234, 4);
    CHECK_EQ(log.calls, 3);
}

TEST(htif, odd_words_end_the_program)
{
    struct fixture *f = make();

    put(f, TOHOST, 1, 8);
    CHECK(f->power.calls == 1 && f->power.event == POWER_OFF && f->power.code == 0);
    put(f, TOHOST, 5 << 1 | 1, 4);
    CHECK_EQ(f->power.calls, 1);
    put(f, TOHOST + 4, 0, 4);
    CHECK(f->power.calls == 2 && f->power.code == 5);
}

TEST(htif, a_low_word_written_twice_is_complete)
{
    struct fixture *f = make();

    put(f, TOHOST, 7, 4);
    put(f, TOHOST, 7, 4);
    CHECK(f->power.calls == 1 && f->power.code == 3);
}

TEST(htif, prints_and_waits_for_the_stream)
{
    struct fixture *f = make();

    put(f, TOHOST, UINT64_C(0x0101000000000000) | 'h', 8);
    CHECK(f->sink.length == 1 && f->sink.bytes[0] == 'h');
    CHECK_EQ(get(f, TOHOST, 8), 0);
    f->sink.room = 0;
    put(f, TOHOST, UINT64_C(0x0101000000000000) | 'i', 8);
    CHECK(get(f, TOHOST, 8) != 0);
    f->sink.room = 1;
    struct stream_handler handler = htif_handler(&f->htif);
    handler.writable(handler.device);
    CHECK_EQ(get(f, TOHOST, 8), 0);
    CHECK_EQ(f->sink.bytes[1], 'i');
}

TEST(htif, hands_input_over_on_request)
{
    struct fixture *f = make();
    struct stream_handler handler = htif_handler(&f->htif);

    CHECK_EQ(handler.receive(handler.device, (const uint8_t *)"x", 1), 0);
    put(f, TOHOST, UINT64_C(0x0100000000000000), 8);
    CHECK_EQ(handler.receive(handler.device, (const uint8_t *)"xy", 2), 1);
    CHECK_EQ(get(f, FROMHOST, 8), UINT64_C(0x0100000000000100) | 'x');
}

TEST(htif, serves_write_and_exit_calls)
{
    struct fixture *f = make();
    uint64_t at = RAM_BASE + 0x2000;

    memcpy(ram + 0x3000, "hello", 6);
    put(f, at, 64, 8);
    put(f, at + 8, 1, 8);
    put(f, at + 16, RAM_BASE + 0x3000, 8);
    put(f, at + 24, 5, 8);
    put(f, TOHOST, at, 8);
    CHECK_EQ(f->sink.length, 5);
    CHECK_EQ(memcmp(f->sink.bytes, "hello", 5), 0);
    CHECK_EQ(get(f, at, 8), 5);
    CHECK_EQ(get(f, FROMHOST, 8), 1);
    CHECK_EQ(get(f, TOHOST, 8), 0);
    put(f, at, 64, 8);
    put(f, at + 16, UINT64_MAX - 2, 8);
    put(f, at + 24, UINT64_MAX, 8);
    put(f, TOHOST, at, 8);
    CHECK_EQ(get(f, at, 8), (uint64_t)-14);
    put(f, at, 93, 8);
    put(f, at + 8, 9, 8);
    put(f, TOHOST, at, 8);
    CHECK(f->power.calls == 1 && f->power.code == 9);
    put(f, TOHOST, 0x10, 8); /* a pointer to nowhere */
    CHECK_EQ(f->power.calls, 1);
}

TEST(htif, the_rest_of_its_page_is_ram)
{
    struct fixture *f = make();

    put(f, TOHOST + 0x800, UINT64_C(0x1122334455667788), 8);
    CHECK_EQ(get(f, TOHOST + 0x801, 1), 0x77);
    CHECK_EQ(load_le64(ram + 0x1800), UINT64_C(0x1122334455667788));
}

TEST_MAIN(TESTS(finisher, maps_magic_words_to_power_events), TESTS(htif, odd_words_end_the_program),
          TESTS(htif, a_low_word_written_twice_is_complete),
          TESTS(htif, prints_and_waits_for_the_stream), TESTS(htif, hands_input_over_on_request),
          TESTS(htif, serves_write_and_exit_calls), TESTS(htif, the_rest_of_its_page_is_ram))
