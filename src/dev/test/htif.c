/* SPDX-License-Identifier: Apache-2.0
 * HTIF, as riscv-tests, the proxy kernel and OpenSBI use it.
 *
 * A word in tohost is device << 56 | command << 48 | payload. Device 0 is the
 * system call proxy: an odd payload ends the program, an even one points to
 * {number, arguments...}. Device 1 is the console. We answer as the reference
 * simulator does: tohost becomes 0 when the word is taken, and fromhost receives
 * a response where the command has one (a console write has none). */
#include "dev/test/htif.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/errno.h"
#include "mem/dma.h"

enum {
    DEVICE_SYSTEM = 0,
    DEVICE_CONSOLE = 1,
    CONSOLE_READ = 0,
    CONSOLE_WRITE = 1,
    CONSOLE_BYTE_VALID = 0x100,
    SYSTEM_WRITE = 64,
    SYSTEM_EXIT = 93,
    /* One call writes at most this much; a program with more gets a short
     * count and calls again. */
    WRITE_MOST = 0x10000,
    WRITE_CHUNK = 256,
};

static uint8_t *own_bytes(const struct htif *htif, gpa_t at, uint64_t size)
{
    uint64_t offset = at - htif->config.base;

    if (offset >= htif->config.size || size > htif->config.size - offset)
        return NULL;
    return htif->config.bytes + offset;
}

/* Like dma_read, but sees the pages under ourselves too; a range that is partly
 * ours fails. */
static bool guest_read(const struct htif *htif, gpa_t at, void *to, uint64_t size)
{
    const uint8_t *own = own_bytes(htif, at, size);

    if (!own)
        return dma_read(htif->config.space, at, to, size);
    memcpy(to, own, size);
    return true;
}

static void guest_write64(const struct htif *htif, gpa_t at, uint64_t value)
{
    uint8_t *own = own_bytes(htif, at, sizeof(value));
    uint8_t bytes[8];

    if (own) {
        store_le64(own, value);
        return;
    }
    store_le64(bytes, value);
    if (!dma_write(htif->config.space, at, bytes, sizeof(bytes)))
        return; /* the program's own mistake: it gets no answer */
}

static void respond(const struct htif *htif, uint64_t value)
{
    if (htif->config.fromhost)
        guest_write64(htif, htif->config.fromhost, value);
}

static void finish(struct htif *htif, uint64_t code)
{
    const struct power_port *power = &htif->config.power;

    power->request(power->owner, POWER_OFF, (unsigned)(code & 0xffff));
}

static size_t print(const struct htif *htif, const uint8_t *bytes, size_t size)
{
    const struct stream_port *console = &htif->config.console;

    return console->write ? console->write(console->owner, bytes, size) : size;
}

/* Returns the result of the call. What the console does not take is dropped:
 * the call is synchronous and must not wait. */
static int64_t system_write(const struct htif *htif, uint64_t fd, gpa_t from, uint64_t size)
{
    uint8_t chunk[WRITE_CHUNK];

    if (fd != 1 && fd != 2)
        return -EINVAL;
    size = MIN(size, WRITE_MOST);
    for (uint64_t done = 0; done < size;) {
        uint64_t part = MIN(size - done, WRITE_CHUNK);
        /* Do not straddle pages: the next may be below another device. */
        part = MIN(part, PAGE_SIZE - ((from + done) & PAGE_MASK));
        if (!guest_read(htif, from + done, chunk, part))
            return -EFAULT;
        print(htif, chunk, part);
        done += part;
    }
    return (int64_t)size;
}

static void system_call(struct htif *htif, gpa_t at)
{
    uint8_t bytes[32];
    int64_t result = -ENOTSUP;

    if (!guest_read(htif, at, bytes, sizeof(bytes)))
        return;
    uint64_t number = load_le64(bytes);
    if (number == SYSTEM_EXIT) {
        finish(htif, load_le64(bytes + 8));
        return;
    }
    if (number == SYSTEM_WRITE)
        result =
            system_write(htif, load_le64(bytes + 8), load_le64(bytes + 16), load_le64(bytes + 24));
    guest_write64(htif, at, (uint64_t)result);
    respond(htif, 1);
}

static void acknowledge(const struct htif *htif)
{
    guest_write64(htif, htif->config.tohost, 0);
}

static void console_write(struct htif *htif, uint8_t byte)
{
    htif->output = byte;
    htif->output_waits = print(htif, &byte, 1) == 0;
    if (!htif->output_waits)
        acknowledge(htif);
}

/* The word now in tohost is complete. */
static void process(struct htif *htif)
{
    uint64_t word = load_le64(own_bytes(htif, htif->config.tohost, 8));
    uint64_t device = word >> 56;
    uint64_t command = bits_extract(word, 48, 8);
    uint64_t payload = bits_extract(word, 0, 48);

    htif->low_written = false;
    if (word == 0)
        return;
    if (device == DEVICE_SYSTEM && (payload & 1)) {
        finish(htif, payload >> 1); /* tohost stays: test programs loop on it */
        return;
    }
    if (device == DEVICE_CONSOLE && command == CONSOLE_WRITE) {
        console_write(htif, (uint8_t)payload);
        return;
    }
    if (device == DEVICE_SYSTEM && command == 0)
        system_call(htif, payload);
    else if (device == DEVICE_CONSOLE && command == CONSOLE_READ)
        htif->input_wanted = true;
    acknowledge(htif);
    if (htif->input_wanted && htif->config.console.readable)
        htif->config.console.readable(htif->config.console.owner);
}

static uint64_t htif_read(void *device, uint64_t offset, unsigned size)
{
    const struct htif *htif = device;
    uint64_t value = 0;

    memcpy(&value, htif->config.bytes + offset, size);
    return value;
}

static void htif_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    struct htif *htif = device;
    uint64_t tohost = htif->config.tohost - htif->config.base;
    bool is_tohost = offset + size > tohost && offset < tohost + 8;

    if (is_tohost && htif->output_waits)
        return; /* busy: a program that does not wait loses the word */
    memcpy(htif->config.bytes + offset, &value, size);
    if (!is_tohost) {
        dma_written(htif->config.space, htif->config.base + offset, size);
        return;
    }
    if (size == 8 || (offset == tohost + 4 && size == 4)) {
        process(htif);
    } else if (offset == tohost && size == 4) {
        /* 32-bit programs write the low word only, again and again: a second
         * low word without a high one is complete. */
        if (htif->low_written)
            process(htif);
        else
            htif->low_written = true;
    }
}

const struct mmio_ops htif_mmio = {htif_read, htif_write, MMIO_ANY};

static size_t htif_receive(void *device, const uint8_t *bytes, size_t size)
{
    struct htif *htif = device;

    if (!htif->input_wanted || size == 0)
        return 0;
    htif->input_wanted = false;
    respond(htif, (uint64_t)DEVICE_CONSOLE << 56 | (uint64_t)CONSOLE_READ << 48 |
                      CONSOLE_BYTE_VALID | bytes[0]);
    return 1;
}

static void htif_writable(void *device)
{
    struct htif *htif = device;

    if (htif->output_waits)
        console_write(htif, htif->output);
}

struct stream_handler htif_handler(struct htif *htif)
{
    return (struct stream_handler){htif_receive, htif_writable, htif};
}

static void htif_reset(void *object)
{
    struct htif *htif = object;

    *htif = (struct htif){.config = htif->config};
}

static int htif_loaded(void *object, struct error *err)
{
    (void)err;
    htif_writable(object);
    return 0;
}

static const struct state_field htif_fields[] = {
    STATE_RANGE(struct htif, low_written, 1),
    STATE_RANGE(struct htif, output_waits, 1),
    STATE_RANGE(struct htif, input_wanted, 1),
    STATE_FIELD(struct htif, output),
};
static const struct state_table htif_state = STATE_TABLE("htif", 1, htif_fields);

const struct device_ops htif_ops = {htif_reset, &htif_state, htif_loaded};

void htif_init(struct htif *htif, const struct htif_config *config)
{
    ASSERT(((config->base | config->size) & PAGE_MASK) == 0 && config->size != 0);
    ASSERT((config->tohost & 7) == 0 && config->tohost - config->base < config->size);
    *htif = (struct htif){.config = *config};
}
