/* SPDX-License-Identifier: Apache-2.0
 * Runs random streams of instructions in one of our engines and under qemu-riscv64,
 * and compares all registers, flags and the memory they touched.
 *
 *     random --guest STREAM_GUEST [--qemu PATH] [--seed N] [--count STREAMS] [--plant]
 *            [--jit]    the translator, not the interpreter
 *
 * A stream that differs is made smaller by taking out what the difference does
 * not need, and printed. --plant makes one of our results wrong, to show that it
 * is found; then finding it is success. */
#include "random_stream.h"

#include "base/endian.h"
#include "isa/insn.h"
#include "mem/dma.h"
#include "mem/space.h"
#include "riscv/code.h"
#include "riscv/hart.h"
#include "translator/translator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH      1000
#define CODE_PAGES 64
#define SKIPPED    77
#define PLANTED_OP OP_sh2add
#define WFI        0x10500073u

struct options {
    const char *guest;
    const char *qemu;
    uint64_t seed;
    uint64_t count;
    bool plant;
    bool jit;
};

/* ---- our side ---- */

struct machine {
    struct space space;
    struct hart *hart;
    struct translator *translator; /* NULL: the interpreter */
    uint8_t *code;
    uint8_t *data;
    uint8_t *done;
};

static void nothing(void *owner)
{
    (void)owner;
}

static uint64_t no_time(void *owner)
{
    (void)owner;
    return 0;
}

static void *pages(size_t size)
{
    void *bytes = aligned_alloc(PAGE_SIZE, size);

    if (!bytes)
        abort();
    memset(bytes, 0, size);
    return bytes;
}

static void machine_init(struct machine *machine)
{
    struct space *space = &machine->space;

    *space = (struct space){.device_lock = {nothing, nothing, NULL}};
    machine->code = pages(STREAM_CODE_SIZE);
    machine->data = pages(STREAM_DATA_SIZE);
    machine->done = pages(PAGE_SIZE);
    space_add_ram(space, STREAM_CODE, STREAM_CODE_SIZE, machine->code);
    space_add_ram(space, STREAM_DATA, STREAM_DATA_SIZE, machine->data);
    space_add_ram(space, STREAM_DONE, PAGE_SIZE, machine->done);
    store_le32(machine->done, WFI);
    machine->hart = pages(bits_align_up(translator_hart_size(), PAGE_SIZE));
    struct hart_config config = {
        .extensions = extension_set_all(),
        .widest_satp = SATP_SV39,
        .reset_pc = STREAM_DONE,
        .space = space,
        .ports = {no_time, NULL},
        .code_memory = pages(bits_align_up(code_cache_size(CODE_PAGES), PAGE_SIZE)),
        .code_pages = CODE_PAGES,
    };
    hart_init(machine->hart, &config);
}

/* Makes the machine's hart run by the translator. */
static void machine_translate(struct machine *machine)
{
    struct translator_options options = {.features = cpu_features_detect()};
    struct error err = {0};

    if (!translator_is_supported(&options.features)) {
        printf("1..0 # SKIP this host cannot run the translator\n");
        exit(SKIPPED);
    }
    if (translator_create(&options, &machine->translator, &err) < 0) {
        printf("# %s\n", err.text);
        exit(1);
    }
    translator_connect(machine->translator, &machine->space);
    translator_attach(machine->translator, machine->hart);
}

static enum hart_exit machine_run(struct machine *machine)
{
    return machine->translator ? translator_run(machine->translator, machine->hart)
                               : hart_run(machine->hart);
}

static void load_state(struct hart *hart, const struct stream *stream)
{
    memcpy(hart->x, stream->state.x, sizeof(stream->state.x));
    memcpy(hart->f, stream->state.f, sizeof(hart->f));
    hart->x[0] = 0;
    hart->fflags = stream->state.fcsr & 31;
    hart->frm = (stream->state.fcsr >> 5) & 7;
    hart->mstatus |= MSTATUS_FS;
    hart->reserved_at = 0;
    hart->pc = STREAM_CODE + stream->code_at;
    hart->traps = 0;
    hart_set_privilege(hart, PRIV_M);
}

/* Runs a stream: at full speed, or instruction by instruction. False: it trapped
 * or did not end. */
static bool run_ours(struct machine *machine, const struct stream *stream, bool step,
                     struct stream_result *result)
{
    struct hart *hart = machine->hart;
    uint64_t *buffer = (uint64_t *)(void *)(machine->data + (STREAM_BUFFER - STREAM_DATA));

    stream_fill(buffer, stream->seed);
    load_state(hart, stream);
    uint64_t end = hart->icount + 100000;
    enum hart_exit exit = HART_EXIT_POLL;
    while (exit != HART_EXIT_WFI && hart->traps == 0 && hart->icount < end)
        exit = step ? hart_step(hart, false) : machine_run(machine);
    memcpy(result->state.x, hart->x, sizeof(result->state.x));
    memcpy(result->state.f, hart->f, sizeof(result->state.f));
    result->state.x[31] = 0;
    result->state.fcsr = hart->frm << 5 | hart->fflags;
    result->buffer_hash = stream_hash(buffer);
    return exit == HART_EXIT_WFI && hart->traps == 0;
}

static void new_code(struct machine *machine, const uint8_t *code, size_t size)
{
    if (!dma_write(&machine->space, STREAM_CODE, code, size))
        abort();
    hart_request(machine->hart, HART_REQUEST_FENCE_I);
    hart_serve_requests(machine->hart);
}

/* ---- QEMU's side ---- */

static bool write_input(const char *path, const struct stream *streams, uint64_t count,
                        const uint8_t *code, size_t code_size)
{
    struct stream_header header = {count, code_size};
    FILE *file = fopen(path, "wb");

    if (!file)
        return false;
    bool good = fwrite(&header, sizeof(header), 1, file) == 1 &&
                fwrite(streams, sizeof(*streams), count, file) == count &&
                fwrite(code, 1, code_size, file) == code_size;
    return fclose(file) == 0 && good;
}

static bool read_output(const char *path, struct stream_result *results, uint64_t count)
{
    FILE *file = fopen(path, "rb");

    if (!file)
        return false;
    bool good = fread(results, sizeof(*results), count, file) == count;
    fclose(file);
    return good;
}

/* Runs the guest under QEMU with files for its input and output. */
static int run_qemu(const struct options *options, const char *in, const char *out)
{
    int status = -1;

    fflush(stdout); /* or the child would say it again */
    pid_t child = fork();
    if (child == 0) {
        if (!freopen(in, "rb", stdin) || !freopen(out, "wb", stdout))
            _exit(126);
        execlp(options->qemu, options->qemu, options->guest, (char *)NULL);
        _exit(SKIPPED);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool run_theirs(const struct options *options, const struct stream *streams, uint64_t count,
                       const uint8_t *code, size_t code_size, struct stream_result *results)
{
    char in[] = "/tmp/doppel-streams-XXXXXX";
    char out[] = "/tmp/doppel-results-XXXXXX";
    int in_fd = mkstemp(in);
    int out_fd = mkstemp(out);

    if (in_fd < 0 || out_fd < 0)
        abort();
    close(in_fd);
    close(out_fd);
    bool good = write_input(in, streams, count, code, code_size);
    int status = good ? run_qemu(options, in, out) : -1;
    good = status == 0 && read_output(out, results, count);
    unlink(in);
    unlink(out);
    if (status == SKIPPED) {
        printf("1..0 # SKIP cannot run %s\n", options->qemu);
        exit(SKIPPED);
    }
    if (!good)
        printf("# %s ended with status %d\n", options->qemu, status);
    return good;
}

/* ---- comparison ---- */

static bool is_equal(const struct stream_result *a, const struct stream_result *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static void print_difference(const struct stream_result *ours, const struct stream_result *theirs,
                             const struct stream_state *before)
{
    for (unsigned i = 0; i < 32; i++) {
        if (ours->state.x[i] != theirs->state.x[i])
            printf("# x%u: ours %016" PRIx64 " theirs %016" PRIx64 "\n", i, ours->state.x[i],
                   theirs->state.x[i]);
        if (ours->state.f[i] != theirs->state.f[i])
            printf("# f%u: ours %016" PRIx64 " theirs %016" PRIx64 "\n", i, ours->state.f[i],
                   theirs->state.f[i]);
    }
    if (ours->state.fcsr != theirs->state.fcsr)
        printf("# fcsr: ours %" PRIx64 " theirs %" PRIx64 "\n", ours->state.fcsr,
               theirs->state.fcsr);
    if (ours->buffer_hash != theirs->buffer_hash)
        printf("# the buffer differs\n");
    printf("# before:\n");
    for (unsigned i = 0; i < 32; i++)
        printf("#   x%-2u %016" PRIx64 "  f%-2u %016" PRIx64 "\n", i, before->x[i], i,
               before->f[i]);
    printf("#   fcsr %" PRIx64 "\n", before->fcsr);
}

static bool has_planted_op(const struct program *program, uint64_t keep)
{
    for (unsigned i = 0; i < program->unit_count; i++)
        if ((keep >> i & 1) && program->units[i].op == PLANTED_OP)
            return true;
    return false;
}

static void plant(const struct options *options, const struct program *program, uint64_t keep,
                  struct stream_result *ours)
{
    if (options->plant && has_planted_op(program, keep))
        ours->state.x[13] ^= 1u << 17;
}

/* Runs one program with some of its units on both sides; true: they differ. */
static bool differs(const struct options *options, struct machine *machine, struct program *program,
                    uint64_t keep, struct stream_result *ours, struct stream_result *theirs)
{
    static uint8_t code[MAX_STREAM_SIZE];
    size_t size = program_code(program, keep, code);

    program->stream.code_at = 0;
    new_code(machine, code, size);
    bool ended = run_ours(machine, &program->stream, false, ours);
    plant(options, program, keep, ours);
    /* Without what makes it end or stay inside it is of no use. */
    if (!run_theirs(options, &program->stream, 1, code, size, theirs))
        return false;
    return !ended || !is_equal(ours, theirs);
}

/* Takes out units, ever smaller groups of them, while the difference stays.
 * Returns how many are left. */
static unsigned minimise(const struct options *options, struct machine *machine,
                         struct program *program)
{
    struct stream_result ours, theirs;
    uint64_t keep = bits_mask(program->unit_count);

    if (!differs(options, machine, program, keep, &ours, &theirs)) {
        printf("# alone, the stream does not differ\n");
        return 0;
    }
    for (unsigned group = 32; group > 0; group /= 2) {
        for (unsigned at = 0; at < MIN(program->unit_count, MAX_UNITS); at += group) {
            uint64_t fewer = keep & ~(bits_mask(group) << at);
            if (fewer != keep && differs(options, machine, program, fewer, &ours, &theirs))
                keep = fewer;
        }
    }
    differs(options, machine, program, keep, &ours, &theirs);
    printf("# minimised:\n");
    program_print(program, keep);
    print_difference(&ours, &theirs, &program->stream.state);
    return (unsigned)__builtin_popcountll(keep);
}

struct batch {
    struct program programs[BATCH];
    struct stream streams[BATCH];
    struct stream_result theirs[BATCH];
    uint8_t code[BATCH * MAX_STREAM_SIZE];
    size_t code_size;
};

static void make_batch(struct batch *batch, uint64_t seed)
{
    batch->code_size = 0;
    for (unsigned i = 0; i < BATCH; i++) {
        struct program *program = &batch->programs[i];
        random_program(program, seed + i);
        program->stream.code_at = batch->code_size;
        batch->streams[i] = program->stream;
        batch->code_size += program_code(program, UINT64_MAX, batch->code + batch->code_size);
    }
}

/* The first stream of a batch that differs, BATCH when none does. */
static unsigned find_difference(const struct options *options, struct machine *machine,
                                struct batch *batch)
{
    new_code(machine, batch->code, batch->code_size);
    if (!run_theirs(options, batch->streams, BATCH, batch->code, batch->code_size, batch->theirs))
        exit(1);
    for (unsigned i = 0; i < BATCH; i++) {
        struct stream_result ours, stepped;
        bool ended = run_ours(machine, &batch->streams[i], false, &ours);
        plant(options, &batch->programs[i], UINT64_MAX, &ours);
        if (!ended || !is_equal(&ours, &batch->theirs[i]))
            return i;
        if (i % 8 == 0 && (!run_ours(machine, &batch->streams[i], true, &stepped) ||
                           !is_equal(&ours, &stepped))) {
            printf("# single steps give another result than a run\n");
            return i;
        }
    }
    return BATCH;
}

/* True: all streams agree. */
static bool run_batches(const struct options *options, struct machine *machine, unsigned *left)
{
    static struct batch batch;
    uint64_t instructions = 0;

    for (uint64_t done = 0; done < options->count; done += BATCH) {
        make_batch(&batch, options->seed + done);
        uint64_t before = machine->hart->icount;
        unsigned at = find_difference(options, machine, &batch);
        instructions += machine->hart->icount - before;
        if (at < BATCH) {
            printf("# the stream of seed %" PRIu64 " differs:\n", options->seed + done + at);
            *left = minimise(options, machine, &batch.programs[at]);
            return false;
        }
    }
    printf("# %" PRIu64 " streams, %" PRIu64 " instructions of ours, no difference\n",
           options->count, instructions);
    return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--plant") == 0) {
            options->plant = true;
            continue;
        }
        if (strcmp(word, "--jit") == 0) {
            options->jit = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(word, "--guest") == 0)
            options->guest = value;
        else if (strcmp(word, "--qemu") == 0)
            options->qemu = value;
        else if (strcmp(word, "--seed") == 0)
            options->seed = strtoull(value, NULL, 0);
        else if (strcmp(word, "--count") == 0)
            options->count = strtoull(value, NULL, 0);
        else
            return false;
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {
        .qemu = "qemu-riscv64", .seed = (uint64_t)time(NULL) << 20, .count = 10000};
    static struct machine machine;
    unsigned left = 0;

    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: random --guest FILE [--qemu PATH] [--seed N] [--count N] [--plant] "
                        "[--jit]\n");
        return 2;
    }
    if (!options.guest) {
        printf("1..0 # SKIP no cross compiler made the guest\n");
        return SKIPPED;
    }
    printf("1..1\n# seed %" PRIu64 "\n", options.seed);
    fflush(stdout);
    machine_init(&machine);
    if (options.jit)
        machine_translate(&machine);
    bool agree = run_batches(&options, &machine, &left);
    if (options.jit && translator_stats(machine.translator).units == 0) {
        printf("# nothing was translated\n");
        agree = false;
    }
    translator_destroy(machine.translator);
    /* A planted fault must be found, and narrowed down to its instruction. */
    bool good = options.plant ? !agree && left == 1 : agree;
    printf("%sok 1 - random streams%s\n", good ? "" : "not ",
           options.plant ? " with a planted fault" : "");
    return !good;
}
