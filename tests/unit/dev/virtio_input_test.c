/* SPDX-License-Identifier: Apache-2.0
 * The power button over both transports. */
#include "dev/virtio/input.h"
#include "unit/dev/driver.h"

static struct guest g;
static struct virtio_input input;
static struct ring events;
static struct ring status_ring;

static void make(bool pci)
{
    guest_init(&g, pci);
    virtio_input_init(&input, &g.space);
    guest_attach(&g, &input.virtio);
    negotiate(&g, 0);
    ring_init(&g, &events, 0, 16, 0);
    ring_init(&g, &status_ring, 1, 16, 0);
    set_status(&g, 0xf);
}

static gpa_t give_buffer(uint32_t size)
{
    struct buffer buffer = {allocate(&g, 8), size, true};

    ring_add(&g, &events, &buffer, 1);
    notify(&g, 0);
    return buffer.at;
}

static void check_event(gpa_t at, unsigned type, unsigned code, unsigned value)
{
    uint32_t written = 0;

    CHECK(ring_used(&g, &events, &written));
    CHECK_EQ(written, 8);
    CHECK_EQ(load_le16(at_ram(&g, at)), type);
    CHECK_EQ(load_le16(at_ram(&g, at) + 2), code);
    CHECK_EQ(load_le32(at_ram(&g, at) + 4), value);
}

static unsigned ask(unsigned select, unsigned subselect)
{
    write_config(&g, 0, select, 1);
    write_config(&g, 1, subselect, 1);
    return (unsigned)read_config(&g, 2, 1);
}

TEST(virtio_input, answers_what_the_driver_selects)
{
    for (unsigned pci = 0; pci < 2; pci++) {
        static const char name[] = "doppel power button";
        make(pci);
        CHECK_EQ(read_config(&g, 2, 1), 0);
        CHECK_EQ(ask(1, 0), sizeof(name) - 1);
        for (unsigned i = 0; i < sizeof(name); i++)
            CHECK_EQ(read_config(&g, 8 + i, 1), name[i]);
        CHECK_EQ(ask(3, 0), 8);
        CHECK_EQ(ask(0x11, 1), 116 / 8 + 1);
        CHECK_EQ(read_config(&g, 8 + 116 / 8, 1), 1 << 116 % 8);
        for (unsigned select = 0; select < 256; select++) /* no answer to anything else */
            for (unsigned sub = 0; sub < 256; sub += 3) {
                bool known = (select == 1 && sub == 0) || (select == 3 && sub == 0) ||
                             (select == 0x11 && sub == 1);
                CHECK(known || ask(select, sub) == 0);
            }
        ask(1, 0);
        write_config(&g, 8, 0x41414141, 4); /* the answer is not the driver's to write */
        CHECK_EQ(read_config(&g, 8, 1), 'd');
        write_config(&g, 132, 0xffffffff, 4);
        CHECK_EQ(read_config(&g, 132, 4), 0);
    }
}

TEST(virtio_input, a_press_is_the_key_down_and_up)
{
    for (unsigned pci = 0; pci < 2; pci++) {
        gpa_t at[5];
        uint32_t written;
        make(pci);
        for (unsigned i = 0; i < 5; i++)
            at[i] = give_buffer(8);
        CHECK(!ring_used(&g, &events, &written));
        virtio_input_press(&input);
        check_event(at[0], 1, 116, 1);
        check_event(at[1], 0, 0, 0);
        check_event(at[2], 1, 116, 0);
        check_event(at[3], 0, 0, 0);
        CHECK(!ring_used(&g, &events, &written));
        CHECK_EQ(take_interrupt(&g), VIRTIO_ISR_QUEUE);
    }
}

TEST(virtio_input, a_press_waits_for_buffers)
{
    uint32_t written;

    make(true);
    virtio_input_press(&input);
    virtio_input_press(&input); /* changes nothing */
    for (unsigned i = 0; i < 4; i++) {
        gpa_t at = give_buffer(8);
        check_event(at, i % 2 ? 0 : 1, i % 2 ? 0 : 116, i == 0);
    }
    give_buffer(8);
    CHECK(!ring_used(&g, &events, &written));
}

TEST(virtio_input, without_a_driver_a_press_is_lost)
{
    uint32_t written;

    guest_init(&g, true);
    virtio_input_init(&input, &g.space);
    guest_attach(&g, &input.virtio);
    virtio_input_press(&input);
    CHECK_EQ(input.events_left, 0);
    make(true);
    virtio_input_press(&input);
    CHECK_EQ(input.events_left, 4);
    set_status(&g, 0);
    CHECK_EQ(input.events_left, 0);
    negotiate(&g, 0);
    ring_init(&g, &events, 0, 16, 0);
    set_status(&g, 0xf);
    give_buffer(8);
    CHECK(!ring_used(&g, &events, &written));
}

TEST(virtio_input, odd_buffers_do_no_harm)
{
    uint32_t written;

    make(true);
    give_buffer(3); /* too small */
    struct buffer readable = {allocate(&g, 8), 8, false};
    ring_add(&g, &events, &readable, 1);
    struct buffer nowhere = {UINT64_C(0x123456789000), 8, true};
    ring_add(&g, &events, &nowhere, 1);
    notify(&g, 0);
    virtio_input_press(&input);
    while (ring_used(&g, &events, &written))
        CHECK(written <= 8);
    struct buffer led = {allocate(&g, 8), 8, false};
    for (unsigned i = 0; i < 8; i++)
        ring_add(&g, &status_ring, &led, 1);
    notify(&g, 1);
    if (get_status(&g) == 0xf)
        for (unsigned i = 0; i < 8; i++)
            CHECK(ring_used(&g, &status_ring, &written) && written == 0);
}

TEST(virtio_input, a_press_goes_on_after_save_and_load)
{
    static struct virtio_input other;

    make(true);
    ask(1, 0);
    gpa_t first = give_buffer(8);
    virtio_input_press(&input);
    check_event(first, 1, 116, 1);
    CHECK_EQ(input.events_left, 3);
    virtio_input_init(&other, &g.space);
    move_state(&virtio_input_ops, &input, &other);
    CHECK_EQ(other.events_left, 3);
    CHECK_EQ(other.virtio.config[2], sizeof("doppel power button") - 1);
    virtio_input_press(&other);
    CHECK_EQ(other.events_left, 3);
}

TEST(virtio_input, a_state_that_no_press_leaves_is_refused)
{
    struct error err = {0};

    make(true);
    input.events_left = 5;
    CHECK(virtio_input_ops.loaded(&input, &err) < 0);
    CHECK(err.text[0]);
}

TEST_MAIN(TESTS(virtio_input, answers_what_the_driver_selects),
          TESTS(virtio_input, a_press_is_the_key_down_and_up),
          TESTS(virtio_input, a_press_waits_for_buffers),
          TESTS(virtio_input, without_a_driver_a_press_is_lost),
          TESTS(virtio_input, odd_buffers_do_no_harm),
          TESTS(virtio_input, a_press_goes_on_after_save_and_load),
          TESTS(virtio_input, a_state_that_no_press_leaves_is_refused))
