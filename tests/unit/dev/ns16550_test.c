/* SPDX-License-Identifier: Apache-2.0
 * The UART as its drivers use it. */
#include "dev/irq/plic.h"
#include "dev/serial/ns16550.h"
#include "unit/dev/bench.h"

struct fixture {
    struct wires wires;
    struct sink sink;
    struct ns16550 uart;
};

static struct fixture *make(void)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    f.sink.room = 1 << 16;
    ns16550_init(&f.uart, &(struct ns16550_config){wire(&f.wires, 0), sink_port(&f.sink)});
    return &f;
}

static unsigned get(struct fixture *f, unsigned reg)
{
    return (unsigned)ns16550_mmio.read(&f->uart, reg, 1);
}

static void put(struct fixture *f, unsigned reg, unsigned value)
{
    ns16550_mmio.write(&f->uart, reg, value, 1);
}

static size_t receive(struct fixture *f, const char *text)
{
    struct stream_handler handler = ns16550_handler(&f->uart);

    return handler.receive(handler.device, (const uint8_t *)text, strlen(text));
}

TEST(ns16550, sends_what_is_written_at_once)
{
    struct fixture *f = make();

    CHECK_EQ(get(f, 5), 0x60);
    put(f, 0, 'A');
    CHECK_EQ(f->sink.length, 1);
    CHECK_EQ(f->sink.bytes[0], 'A');
    CHECK_EQ(get(f, 5), 0x60);
}

TEST(ns16550, keeps_the_transmitter_full_while_the_stream_is)
{
    struct fixture *f = make();

    f->sink.room = 0;
    put(f, 2, 1);
    for (unsigned i = 0; i < 20; i++)
        put(f, 0, 'a' + i);
    CHECK_EQ(get(f, 5) & 0x60, 0);
    f->sink.room = 100;
    struct stream_handler handler = ns16550_handler(&f->uart);
    handler.writable(handler.device);
    CHECK_EQ(f->sink.length, 16);
    CHECK_EQ(memcmp(f->sink.bytes, "abcdefghijklmnop", 16), 0);
    CHECK_EQ(get(f, 5) & 0x60, 0x60);
}

TEST(ns16550, an_empty_transmitter_interrupts_once_and_iir_says_so_until_read)
{
    struct fixture *f = make();

    put(f, 1, 2);
    CHECK_EQ(f->wires.rises[0], 1);
    CHECK(!f->wires.level[0]);
    CHECK_EQ(get(f, 5), 0x60);
    CHECK_EQ(f->wires.rises[0], 1);
    CHECK_EQ(get(f, 2), 0x02);
    CHECK_EQ(get(f, 2), 0x01);
    put(f, 0, 'x');
    CHECK_EQ(f->wires.rises[0], 2);
    put(f, 0, 'y');
    CHECK_EQ(f->wires.rises[0], 3);
    CHECK_EQ(get(f, 2), 0x02);
    put(f, 1, 0);
    put(f, 1, 2);
    CHECK_EQ(f->wires.rises[0], 4);
}

TEST(ns16550, an_empty_transmitter_waits_for_the_levels_above_it)
{
    struct fixture *f = make();

    put(f, 1, 1);
    receive(f, "a");
    CHECK(f->wires.level[0]);
    put(f, 1, 3);
    CHECK_EQ(get(f, 2), 0x04);
    CHECK_EQ(f->wires.rises[0], 1);
    CHECK_EQ(get(f, 0), 'a');
    CHECK_EQ(f->wires.rises[0], 2);
    CHECK(!f->wires.level[0]);
    CHECK_EQ(get(f, 2), 0x02);
}

TEST(ns16550, a_modem_change_below_it_stays_a_level)
{
    struct fixture *f = make();

    put(f, 1, 2);
    put(f, 4, 0x10); /* loopback: the peer seems to go */
    put(f, 1, 2 | 8);
    CHECK(f->wires.level[0]);
    CHECK_EQ(get(f, 2), 0x02);
    CHECK(f->wires.level[0]);
    CHECK_EQ(get(f, 2), 0x00);
    get(f, 6);
    CHECK(!f->wires.level[0]);
}

/* What a kernel does that never heard of IIR: it claims, looks at LSR, writes
 * when it has something, and completes. */
TEST(ns16550, a_driver_that_never_reads_iir_gets_through)
{
    static struct plic plic;
    struct wires contexts = {0};
    struct irq_line output = wire(&contexts, 0);
    struct fixture *f = make();
    unsigned left = 3;
    unsigned interrupts = 0;

    plic_init(&plic, &(struct plic_config){10, 1, &output});
    plic_mmio.write(&plic, 0x2000, 1u << 10, 4);
    plic_mmio.write(&plic, 10 * 4, 1, 4);
    f->uart.config.irq = (struct irq_line){plic_set_source, &plic, 10};
    put(f, 1, 3);
    for (; contexts.level[0] && interrupts < 100; interrupts++) {
        CHECK_EQ(plic_mmio.read(&plic, 0x200004, 4), 10);
        CHECK_EQ(get(f, 5), 0x60);
        if (left) {
            put(f, 0, 'x');
            left--;
        }
        CHECK_EQ(get(f, 5), 0x60);
        plic_mmio.write(&plic, 0x200004, 10, 4);
    }
    CHECK_EQ(f->sink.length, 3);
    CHECK_EQ(interrupts, 4);
}

TEST(ns16550, receives_through_the_fifo_and_asks_for_more)
{
    struct fixture *f = make();

    put(f, 2, 0xc1); /* trigger 14 */
    put(f, 1, 1);
    CHECK_EQ(receive(f, "hi"), 2);
    CHECK(f->wires.level[0]);
    CHECK_EQ(get(f, 2), 0xcc); /* time-out */
    CHECK_EQ(receive(f, "0123456789abcdefgh"), 14);
    CHECK_EQ(get(f, 2), 0xc4);
    CHECK_EQ(get(f, 0), 'h');
    CHECK_EQ(f->sink.readable_calls, 1);
    for (unsigned i = 0; i < 15; i++)
        get(f, 0);
    CHECK(!f->wires.level[0]);
    CHECK_EQ(get(f, 5) & 1, 0);
}

TEST(ns16550, loops_back_data_and_modem_lines)
{
    struct fixture *f = make();

    put(f, 4, 0x10 | 0x0a);
    CHECK_EQ(get(f, 6) & 0xf0, 0x90); /* as Linux' size probe expects */
    put(f, 0, 'L');
    CHECK_EQ(f->sink.length, 0);
    CHECK_EQ(get(f, 0), 'L');
    put(f, 0, '1');
    put(f, 0, '2');
    CHECK_EQ(get(f, 5) & 2, 2); /* overrun */
    CHECK_EQ(get(f, 5) & 2, 0);
    CHECK_EQ(receive(f, "x"), 0);
}

TEST(ns16550, dlab_selects_the_divisor)
{
    struct fixture *f = make();

    put(f, 3, 0x83);
    put(f, 0, 0x12);
    put(f, 1, 0x34);
    CHECK_EQ(get(f, 0), 0x12);
    CHECK_EQ(get(f, 1), 0x34);
    put(f, 3, 0x03);
    CHECK_EQ(get(f, 1), 0);
    put(f, 7, 0xa5);
    CHECK_EQ(get(f, 7), 0xa5);
    CHECK_EQ(f->sink.length, 0);
}

TEST(ns16550, goes_on_after_save_and_load)
{
    struct fixture *f = make();
    static struct fixture g;

    put(f, 2, 1);
    put(f, 1, 3);
    receive(f, "abc");
    f->sink.room = 0;
    put(f, 0, 'Z');
    g.sink.room = 10;
    ns16550_init(&g.uart, &(struct ns16550_config){wire(&g.wires, 0), sink_port(&g.sink)});
    move_state(&ns16550_ops, &f->uart, &g.uart);
    CHECK(g.wires.level[0]);
    CHECK_EQ(g.sink.length, 1);
    CHECK_EQ(get(&g, 0), 'a');
    CHECK_EQ(get(&g, 0), 'b');
    CHECK_EQ(get(&g, 1), 3);
}

TEST(ns16550, refuses_saved_counts_beyond_the_fifo)
{
    struct fixture *f = make();
    uint8_t bytes[1024];
    struct writer w = {bytes, sizeof(bytes), 0};
    struct error err = {0};

    f->uart.rx_count = 17;
    state_save(ns16550_ops.state, &f->uart, &w);
    struct reader r = reader_make(bytes, w.length);
    CHECK(state_load(ns16550_ops.state, &f->uart, &r, &err) < 0);
}

TEST_MAIN(TESTS(ns16550, sends_what_is_written_at_once),
          TESTS(ns16550, keeps_the_transmitter_full_while_the_stream_is),
          TESTS(ns16550, an_empty_transmitter_interrupts_once_and_iir_says_so_until_read),
          TESTS(ns16550, an_empty_transmitter_waits_for_the_levels_above_it),
          TESTS(ns16550, a_modem_change_below_it_stays_a_level),
          TESTS(ns16550, a_driver_that_never_reads_iir_gets_through),
          TESTS(ns16550, receives_through_the_fifo_and_asks_for_more),
          TESTS(ns16550, loops_back_data_and_modem_lines), TESTS(ns16550, dlab_selects_the_divisor),
          TESTS(ns16550, goes_on_after_save_and_load),
          TESTS(ns16550, refuses_saved_counts_beyond_the_fifo))
