/* SPDX-License-Identifier: Apache-2.0
 * The PCI host bridge, and virtio's capabilities, as firmware and Linux see
 * them. */
#include "dev/virtio/rng.h"
#include "unit/dev/driver.h"

static struct guest g;
static struct virtio_rng rng;

static void fill(void *owner, void *to, size_t size)
{
    (void)owner;
    memset(to, 0xa5, size);
}

static void make(void)
{
    guest_init(&g, true);
    virtio_rng_init(&rng, &(struct virtio_rng_config){&g.space, {fill, NULL}});
    guest_attach(&g, &rng.virtio);
}

TEST(pci, absent_functions_read_all_ones)
{
    make();
    CHECK_EQ(peek(&g, ECAM_BASE, 4), 0x00081b36);
    CHECK_EQ(peek(&g, ECAM_BASE + 0xb, 1), 0x06);
    CHECK_EQ(peek(&g, ECAM_BASE + (1 << 15), 4), 0xffffffff);
    CHECK_EQ(peek(&g, ECAM_BASE + (SLOT << 15) + (1 << 12), 2), 0xffff);
    CHECK_EQ(peek(&g, ECAM_BASE + (1 << 20), 4), 0xffffffff);
    poke(&g, ECAM_BASE + (1 << 20), 0, 4);
    CHECK_EQ(peek(&g, config_address(0), 8), UINT64_C(0x0010000010441af4));
    CHECK_EQ(peek(&g, config_address(0x100), 4), 0); /* no extended capabilities */
    CHECK_EQ(pci_pio_mmio.read(NULL, 0, 2), 0xffff);
}

TEST(pci, bars_tell_their_size)
{
    make();
    poke(&g, config_address(0x20), 0xffffffff, 4);
    poke(&g, config_address(0x24), 0xffffffff, 4);
    CHECK_EQ(peek(&g, config_address(0x20), 4), 0xffffc004);
    CHECK_EQ(peek(&g, config_address(0x24), 4), 0xffffffff);
    poke(&g, config_address(0x10), 0xffffffff, 4);
    CHECK_EQ(peek(&g, config_address(0x10), 4), 0);
    poke(&g, config_address(0x30), 0xffffffff, 4);
    CHECK_EQ(peek(&g, config_address(0x30), 4), 0); /* no ROM */
    poke(&g, config_address(0x00), 0xffffffff, 4);
    CHECK_EQ(peek(&g, config_address(0x00), 2), 0x1af4);
}

TEST(pci, bars_are_decoded_where_and_when_programmed)
{
    make();
    CHECK_EQ(peek(&g, COMMON + 0x12, 2), 0xffff);
    map_bar(&g);
    CHECK_EQ(peek(&g, COMMON + 0x12, 2), 1);
    poke(&g, config_address(0x20), (uint32_t)WINDOW_BASE + 0x20000, 4);
    CHECK_EQ(peek(&g, COMMON + 0x12, 2), 0xffff);
    CHECK_EQ(peek(&g, COMMON + 0x10012, 2), 1);
    poke(&g, config_address(0x24), 0x4, 4); /* into the 64-bit window */
    CHECK_EQ(peek(&g, COMMON + 0x10012, 2), 0xffff);
    CHECK_EQ(pci_window_mmio.read(&g.host.windows[1], 0x40020012, 2), 1);
    poke(&g, config_address(0x04), 0, 2);
    CHECK_EQ(pci_window_mmio.read(&g.host.windows[1], 0x40020012, 2), 0xffff);
}

TEST(pci, intx_is_swizzled_shared_and_masked)
{
    struct pci_function other;
    const struct pci_function_config config = {.vendor_id = 1, .interrupt_pin = 4};

    make();
    pci_function_init(&other, &config);
    pci_host_plug(&g.host, 4, &other); /* (4 + 4 - 1) % 4 == 3 == SLOT % 4 */
    pci_function_set_irq(&g.vpci.function, 0, true);
    pci_function_set_irq(&other, 0, true);
    CHECK(g.wires.level[35]);
    CHECK(peek(&g, config_address(0x06), 2) & 8);
    pci_function_set_irq(&g.vpci.function, 0, false);
    CHECK(g.wires.level[35]);
    CHECK(!(peek(&g, config_address(0x06), 2) & 8));
    poke(&g, ECAM_BASE + (4 << 15) + 4, 0x400, 2);
    CHECK(!g.wires.level[35]);
    poke(&g, ECAM_BASE + (4 << 15) + 4, 0, 2);
    CHECK(g.wires.level[35]);
}

/* Walks the list as a driver does. */
static unsigned find_capability(unsigned type)
{
    unsigned at = (unsigned)peek(&g, config_address(0x34), 1);

    for (unsigned i = 0; at && i < 48; i++) {
        if (peek(&g, config_address(at), 1) == 9 && peek(&g, config_address(at + 3), 1) == type)
            return at;
        at = (unsigned)peek(&g, config_address(at + 1), 1);
    }
    return 0;
}

TEST(virtio_pci, capabilities_describe_the_bar)
{
    make();
    CHECK(peek(&g, config_address(0x06), 2) & 0x10);
    const uint32_t offsets[] = {0, 0, 0x3000, 0x1000, 0x2000};
    for (unsigned type = 1; type <= 4; type++) {
        unsigned at = find_capability(type);
        CHECK(at != 0);
        CHECK_EQ(peek(&g, config_address(at + 4), 1), 4);
        CHECK_EQ(peek(&g, config_address(at + 8), 4), offsets[type]);
    }
    CHECK_EQ(peek(&g, config_address(find_capability(2) + 16), 4), 4);
    CHECK(find_capability(5) != 0);
}

TEST(virtio_pci, configuration_access_reaches_the_unmapped_bar)
{
    make();
    unsigned at = find_capability(5);
    poke(&g, config_address(at + 4), 4, 1);
    poke(&g, config_address(at + 8), 0x14, 4);
    poke(&g, config_address(at + 12), 1, 4);
    poke(&g, config_address(at + 16), 3, 4);
    CHECK_EQ(rng.virtio.status, 3);
    CHECK_EQ(peek(&g, config_address(at + 16), 1), 3);
    poke(&g, config_address(at + 8), 0x12, 4);
    poke(&g, config_address(at + 12), 2, 4);
    CHECK_EQ(peek(&g, config_address(at + 16), 4), 1);
    poke(&g, config_address(at + 8), 0xfffffffe, 4); /* outside */
    poke(&g, config_address(at + 16), 0, 4);
    poke(&g, config_address(at + 8), 0x14, 4);
    poke(&g, config_address(at + 12), 3, 4); /* no such width */
    poke(&g, config_address(at + 16), 0, 4);
    CHECK_EQ(rng.virtio.status, 3);
}

TEST(virtio_pci, state_moves_with_its_configuration_space)
{
    static struct guest other;
    static struct virtio_rng other_rng;
    static struct virtio_pci foreign;

    make();
    negotiate(&g, 0);
    other = (struct guest){.pci = true, .ram = g.ram, .next_free = RAM_BASE};
    space_add_ram(&other.space, RAM_BASE, RAM_SIZE, g.ram);
    virtio_rng_init(&other_rng, &(struct virtio_rng_config){&other.space, {fill, NULL}});
    guest_attach(&other, &other_rng.virtio);
    move_state(&virtio_rng_ops, &rng, &other_rng);
    move_state(&virtio_pci_ops, &g.vpci, &other.vpci);
    CHECK_EQ(get_status(&other), 0xb);
    virtio_needs_reset(&other_rng.virtio, "test");
    virtio_pci_ops.reset(&other.vpci);
    CHECK_EQ(peek(&other, COMMON + 0x12, 2), 0xffff);

    struct error err = {0};
    foreign = other.vpci;
    foreign.function.host = NULL;
    foreign.function.config[0] ^= 1;
    CHECK(virtio_pci_ops.loaded(&foreign, &err) < 0);
}

TEST_MAIN(TESTS(pci, absent_functions_read_all_ones), TESTS(pci, bars_tell_their_size),
          TESTS(pci, bars_are_decoded_where_and_when_programmed),
          TESTS(pci, intx_is_swizzled_shared_and_masked),
          TESTS(virtio_pci, capabilities_describe_the_bar),
          TESTS(virtio_pci, configuration_access_reaches_the_unmapped_bar),
          TESTS(virtio_pci, state_moves_with_its_configuration_space))
