/* SPDX-License-Identifier: Apache-2.0
 * Runs a guest twice, by the interpreter and by the translator, in steps of a few
 * instructions, and compares all state after each: registers, CSRs, counts,
 * output; and memory now and then, and at the end.
 *
 *     lockstep [options] KERNEL [INITRD]
 *       --step N       instructions between comparisons, about (random around it)
 *       --most N       stop after so many instructions
 *       --memory-every N   compare memory after so many instructions
 *       --jit LIST, --cpu LIST   as the options of doppel boot
 *       --firmware-none    start the ELF in M-mode
 *       --seed N
 *       --plant        change one bit of the translator's state, which must be found
 *
 * Machines run on virtual time, so that nothing but the executed instructions
 * decides what they do. Prints one line; status 0 when nothing differs. */
#include "host/file.h"
#include "host/random.h"
#include "machine/machine.h"
#include "riscv/hart.h"
#include "vmm/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES (UINT64_C(256) << 20)
#define CONSOLE_SIZE (1u << 20)

struct console {
    char text[CONSOLE_SIZE];
    size_t length;
};

struct side {
    struct machine *machine;
    struct hart *hart;
    struct random_source random;
    struct console console;
};

static struct vm_config words;
static uint64_t step = 200;
static uint64_t most = UINT64_MAX;
static uint64_t memory_every = UINT64_C(50000000);
static uint64_t random_state = 1;
static bool plants;
static const char *files[2];

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

static void create(struct side *side, bool translate, const struct file_bytes *bytes)
{
    struct error err = {0};

    side->random = random_from_seed(1);
    struct machine_config config = {
        .cpus = 1,
        .memory_bytes = MEMORY_BYTES,
        .extensions = words.extensions,
        .widest_satp = words.widest_satp,
        .translate = translate,
        .translator = words.engine.translator,
        .boot = {.mode = words.firmware ? FIRMWARE_NONE : FIRMWARE_BUILTIN,
                 .kernel = {.path = "kernel", .bytes = bytes[0].bytes, .size = bytes[0].size}},
        .serial = {.write = print, .owner = &side->console},
        .htif = {.write = print, .owner = &side->console},
        .entropy = {random_fill, &side->random},
        .virtual_time = true,
        .notify = ignore_notice,
    };
    if (bytes[1].bytes)
        config.boot.initrd =
            (struct machine_file){.path = "initrd", .bytes = bytes[1].bytes, .size = bytes[1].size};
    if (machine_create(&config, &side->machine, &err) < 0) {
        fprintf(stderr, "lockstep: %s\n", err.text);
        exit(2);
    }
    side->hart = machine_hart(side->machine, 0);
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- comparing ---- */

static bool differs(const char *name, uint64_t expected, uint64_t seen)
{
    if (expected == seen)
        return false;
    printf("  %s: interpreter %#llx, translator %#llx\n", name, (unsigned long long)expected,
           (unsigned long long)seen);
    return true;
}

static bool registers_differ(const struct hart *a, const struct hart *b)
{
    bool result = differs("pc", a->pc, b->pc) | differs("icount", a->icount, b->icount) |
                  differs("privilege", a->privilege, b->privilege) |
                  differs("mstatus", a->mstatus, b->mstatus) |
                  differs("fflags", a->fflags, b->fflags) | differs("frm", a->frm, b->frm) |
                  differs("traps", a->traps, b->traps);
    char name[8];

    for (unsigned i = 0; i < 32; i++) {
        snprintf(name, sizeof(name), "x%u", i);
        result |= differs(name, a->x[i], b->x[i]);
        snprintf(name, sizeof(name), "f%u", i);
        result |= differs(name, a->f[i], b->f[i]);
    }
    return result;
}

static bool csrs_differ(struct side *a, struct side *b)
{
    bool result = false;
    char name[16];

    for (unsigned number = 0; number < 4096; number++) {
        uint64_t left;
        uint64_t right;
        if (!csr_peek(a->hart, number, &left) || !csr_peek(b->hart, number, &right))
            continue;
        snprintf(name, sizeof(name), "csr %#x", number);
        result |= differs(name, left, right);
    }
    return result;
}

static bool output_differs(const struct side *a, const struct side *b)
{
    return a->console.length != b->console.length ||
           memcmp(a->console.text, b->console.text, a->console.length) != 0;
}

static bool memory_differs(struct side *a, struct side *b)
{
    static uint8_t chunks[2][1 << 16];

    for (uint64_t at = 0; at < MEMORY_BYTES; at += sizeof(chunks[0])) {
        if (!machine_read_ram(a->machine, MACHINE_RAM_BASE + at, chunks[0], sizeof(chunks[0])) ||
            !machine_read_ram(b->machine, MACHINE_RAM_BASE + at, chunks[1], sizeof(chunks[1])))
            abort();
        if (memcmp(chunks[0], chunks[1], sizeof(chunks[0])) == 0)
            continue;
        for (unsigned i = 0; i < sizeof(chunks[0]); i += 8)
            if (memcmp(chunks[0] + i, chunks[1] + i, 8) != 0) {
                printf("  memory at %#llx differs\n",
                       (unsigned long long)(MACHINE_RAM_BASE + at + i));
                return true;
            }
    }
    return false;
}

static bool state_differs(struct side *a, struct side *b)
{
    return registers_differ(a->hart, b->hart) | csrs_differ(a, b);
}

/* ---- running ---- */

static void report(const char *what, const struct hart *before)
{
    printf("lockstep: %s differs after %llu instructions; the step began at pc %#llx, "
           "privilege %d, icount %llu\n",
           what, (unsigned long long)before->icount, (unsigned long long)before->pc,
           (int)before->privilege, (unsigned long long)before->icount);
}

/* Status: 0 the same to the end, 1 different. */
static int run(struct side *a, struct side *b)
{
    static struct hart before;
    uint64_t memory_at = memory_every;

    while (a->hart->icount < most) {
        uint64_t count = 1 + next_random() % (2 * step);
        before.pc = a->hart->pc;
        before.icount = a->hart->icount;
        before.privilege = a->hart->privilege;
        machine_run(a->machine, 0, count);
        machine_run(b->machine, 0, count);
        if (plants && a->hart->icount > 1000)
            b->hart->f[3] ^= 1;
        struct machine_event event = machine_take_event(a->machine);
        struct machine_event other = machine_take_event(b->machine);
        if (registers_differ(a->hart, b->hart) || (next_random() % 64 == 0 && csrs_differ(a, b)) ||
            event.kind != other.kind) {
            state_differs(a, b);
            report("state", &before);
            return 1;
        }
        if (a->hart->icount >= memory_at) {
            memory_at += memory_every;
            if (memory_differs(a, b)) {
                report("memory", &before);
                return 1;
            }
        }
        if (event.kind != MACHINE_EVENT_NONE)
            break;
    }
    if (csrs_differ(a, b) || output_differs(a, b) || memory_differs(a, b)) {
        report("the end", a->hart);
        return 1;
    }
    printf("lockstep: %llu instructions, %zu bytes printed: no difference\n",
           (unsigned long long)a->hart->icount, a->console.length);
    return 0;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

/* What doppel boot has options for, in its words. */
static void parse_config(int argc, char **argv)
{
    struct error err = {0};

    if (vm_config_parse(&words, argc, argv, &err) != 0) {
        fprintf(stderr, "lockstep: %s\n", err.text[0] ? err.text : "bad option");
        exit(2);
    }
}

static void parse(int argc, char **argv)
{
    /* The kernel is only named here because there must be one. */
    char *passed[8] = {argv[0], argv[0]};
    int passed_count = 2;
    unsigned file_count = 0;
    bool is_bare = false;

    vm_config_init(&words);
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--firmware-none") == 0) {
            is_bare = true;
        } else if (strcmp(argv[i], "--plant") == 0) {
            plants = true;
        } else if (strcmp(argv[i], "--step") == 0 && has_value) {
            step = number(argv[++i]);
        } else if (strcmp(argv[i], "--most") == 0 && has_value) {
            most = number(argv[++i]);
        } else if (strcmp(argv[i], "--memory-every") == 0 && has_value) {
            memory_every = number(argv[++i]);
        } else if (strcmp(argv[i], "--seed") == 0 && has_value) {
            random_state = number(argv[++i]) | 1;
        } else if ((strcmp(argv[i], "--jit") == 0 || strcmp(argv[i], "--cpu") == 0) && has_value &&
                   passed_count < 6) {
            passed[passed_count++] = argv[i];
            passed[passed_count++] = argv[++i];
        } else if (argv[i][0] != '-' && file_count < 2) {
            files[file_count++] = argv[i];
        } else {
            fprintf(stderr, "lockstep: '%s' is not known here\n", argv[i]);
            exit(2);
        }
    }
    parse_config(passed_count, passed);
    if (is_bare)
        words.firmware = "none";
}

int main(int argc, char **argv)
{
    static struct side sides[2];
    struct file_bytes bytes[2] = {0};
    struct error err = {0};

    parse(argc, argv);
    if (!files[0] || step == 0) {
        fprintf(stderr, "lockstep: lockstep [options] KERNEL [INITRD]\n");
        return 2;
    }
    for (unsigned i = 0; i < 2 && files[i]; i++)
        if (file_read(files[i], "guest", UINT64_C(1) << 30, &bytes[i], &err) < 0) {
            fprintf(stderr, "lockstep: %s\n", err.text);
            return 2;
        }
    create(&sides[0], false, bytes);
    create(&sides[1], true, bytes);
    int status = run(&sides[0], &sides[1]);
    machine_destroy(sides[0].machine);
    machine_destroy(sides[1].machine);
    for (unsigned i = 0; i < 2; i++)
        file_bytes_free(&bytes[i]);
    return status;
}
