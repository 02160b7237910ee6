/* SPDX-License-Identifier: Apache-2.0
 * Saves a machine in the middle of a boot, loads it into a fresh one, and lets
 * both go on: from then on they must print the same, execute the same number of
 * instructions and end with the same memory.
 *
 *     save_load KERNEL INITRD [MILLIONS]     instructions before the first save
 *
 * Machines run on virtual time, so that nothing but their state decides what
 * they do. Prints TAP. */
#include "base/bytes.h"
#include "base/hash.h"
#include "host/file.h"
#include "host/random.h"
#include "machine/machine.h"
#include "riscv/hart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_BYTES (UINT64_C(256) << 20)
#define CONSOLE_SIZE (1u << 20)
#define TIMEOUT_S    240

struct console {
    char text[CONSOLE_SIZE];
    size_t length;
};

struct run {
    struct machine *machine;
    struct console *console;
    struct random_source random;
};

static size_t print(void *owner, const uint8_t *bytes, size_t size)
{
    struct console *console = owner;
    size_t count = MIN(size, CONSOLE_SIZE - console->length);

    memcpy(console->text + console->length, bytes, count);
    console->length += count;
    return size;
}

static void ignore_notice(void *owner)
{
    (void)owner;
}

static struct run create(const struct file_bytes *kernel, const struct file_bytes *initrd)
{
    struct run run = {.console = calloc(1, sizeof(struct console))};
    static struct random_source random; /* each machine starts it anew */
    struct error err = {0};

    random = random_from_seed(1);
    struct machine_config config = {
        .cpus = 1,
        .memory_bytes = MEMORY_BYTES,
        .extensions = extension_set_all(),
        .widest_satp = SATP_SV39,
        .boot = {.mode = FIRMWARE_BUILTIN,
                 .kernel = {.path = "kernel", .bytes = kernel->bytes, .size = kernel->size},
                 .initrd = {.path = "initrd", .bytes = initrd->bytes, .size = initrd->size}},
        .serial = {.write = print, .owner = run.console},
        .entropy = {random_fill, &random},
        .virtual_time = true,
        .notify = ignore_notice,
    };
    if (machine_create(&config, &run.machine, &err) < 0) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    return run;
}

static void run_until_instructions(struct run *run, uint64_t count)
{
    machine_resume(run->machine);
    for (unsigned i = 0; i < TIMEOUT_S * 1000; i++) {
        /* A look from outside; the hart may have moved on, which does not matter. */
        if (((volatile struct hart *)machine_hart(run->machine, 0))->icount >= count)
            break;
        usleep(1000);
    }
    machine_pause(run->machine);
}

static bool run_until_off(struct run *run)
{
    struct machine_event event = {.kind = MACHINE_EVENT_NONE};

    machine_resume(run->machine);
    for (unsigned i = 0; i < TIMEOUT_S * 100 && event.kind == MACHINE_EVENT_NONE; i++) {
        usleep(10000);
        event = machine_take_event(run->machine);
    }
    machine_pause(run->machine);
    return event.kind == MACHINE_EVENT_POWER && event.power == POWER_OFF;
}

static struct writer save(struct run *run)
{
    struct writer w = {0};

    machine_save(run->machine, &w); /* counts */
    w = (struct writer){.to = malloc(w.length), .capacity = w.length};
    machine_save(run->machine, &w);
    return w;
}

static uint32_t memory_hash(struct run *run)
{
    static uint8_t chunk[1 << 20];
    uint32_t crc = 0;

    for (uint64_t at = 0; at < MEMORY_BYTES; at += sizeof(chunk)) {
        if (!machine_read_ram(run->machine, MACHINE_RAM_BASE + at, chunk, sizeof(chunk)))
            abort();
        crc = hash_crc32c(crc, chunk, sizeof(chunk));
    }
    return crc;
}

static int failures;
static int checks;

static void check(bool holds, const char *what)
{
    printf("%sok %d - save_load: %s\n", holds ? "" : "not ", ++checks, what);
    failures += !holds;
}

static void compare(struct run *first, struct run *second, size_t printed_before)
{
    size_t length = first->console->length - printed_before;
    uint64_t counts[] = {machine_stats(first->machine).instructions,
                         machine_stats(second->machine).instructions};

    printf("# %llu and %llu instructions, %zu and %zu bytes printed after the save\n",
           (unsigned long long)counts[0], (unsigned long long)counts[1], length,
           second->console->length);
    check(length > 100 && length == second->console->length &&
              memcmp(first->console->text + printed_before, second->console->text, length) == 0,
          "the loaded machine prints what the saved one prints");
    check(counts[0] == counts[1], "both execute the same number of instructions");
    check(memory_hash(first) == memory_hash(second), "both end with the same memory");
}

/* A damaged state must be refused or give some machine, never harm us. */
static void load_damaged(const struct file_bytes *kernel, const struct file_bytes *initrd,
                         const struct writer *saved)
{
    struct run victim = create(kernel, initrd);
    struct random_source random = random_from_seed(7);
    unsigned refused = 0;
    /* The states of harts and devices come before memory. */
    size_t state_size = MIN(saved->length, 65536);

    for (unsigned i = 0; i < 200; i++) {
        uint32_t numbers[2];
        struct error err = {0};
        random_fill(&random, numbers, sizeof(numbers));
        size_t at = numbers[0] % state_size;
        uint8_t before = saved->to[at];
        saved->to[at] ^= (uint8_t)(1u << (numbers[1] % 8));
        struct reader r = reader_make(saved->to, i % 4 ? saved->length : at);
        if (machine_load(victim.machine, &r, &err) < 0 && err.text[0])
            refused++;
        saved->to[at] = before;
    }
    printf("# %u of 200 damaged states refused\n", refused);
    check(refused >= 50, "truncated states are refused with a reason");
    struct reader r = reader_make(saved->to, saved->length);
    struct error err = {0};
    check(machine_reset(victim.machine, &err) == 0, "a damaged machine can be reset");
    check(machine_load(victim.machine, &r, &err) == 0, "the undamaged state still loads");
    machine_destroy(victim.machine);
    free(victim.console);
}

static void save_at(const struct file_bytes *kernel, const struct file_bytes *initrd,
                    uint64_t instructions, bool damage)
{
    struct run first = create(kernel, initrd);
    struct run second = create(kernel, initrd);
    struct error err = {0};

    run_until_instructions(&first, instructions);
    size_t printed = first.console->length;
    struct writer saved = save(&first);
    printf("# saved %zu bytes at %llu instructions\n", saved.length,
           (unsigned long long)machine_stats(first.machine).instructions);
    struct reader r = reader_make(saved.to, saved.length);
    check(machine_load(second.machine, &r, &err) == 0, "the state loads into a fresh machine");
    struct writer again = save(&second);
    check(again.length == saved.length && memcmp(again.to, saved.to, saved.length) == 0,
          "saving the loaded machine gives the same bytes");
    check(run_until_off(&first), "the saved machine goes on to its end");
    check(run_until_off(&second), "the loaded machine goes on to its end");
    compare(&first, &second, printed);
    if (damage)
        load_damaged(kernel, initrd, &saved);
    free(saved.to);
    free(again.to);
    machine_destroy(first.machine);
    machine_destroy(second.machine);
    free(first.console);
    free(second.console);
}

int main(int argc, char **argv)
{
    struct file_bytes kernel;
    struct file_bytes initrd;
    struct error err = {0};
    uint64_t millions = argc > 3 ? strtoull(argv[3], NULL, 10) : 300;

    if (argc < 3 || file_read(argv[1], "kernel", UINT64_C(1) << 30, &kernel, &err) < 0 ||
        file_read(argv[2], "initrd", UINT64_C(1) << 30, &initrd, &err) < 0) {
        printf("Bail out! %s\n", err.text[0] ? err.text : "usage: save_load KERNEL INITRD");
        return 1;
    }
    save_at(&kernel, &initrd, millions * 1000000, true);
    printf("1..%d\n", checks);
    file_bytes_free(&kernel);
    file_bytes_free(&initrd);
    return failures != 0;
}
