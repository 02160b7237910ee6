/* SPDX-License-Identifier: Apache-2.0
 * A toy machine for the gdb server's tests. */
#include "fake_target.h"

#include "base/errno.h"
#include "base/format.h"
#include "base/memory.h"

static const struct gdb_csr csrs[] = {
    {"fflags", 1}, {"mstatus", FAKE_MSTATUS}, {"mtvec", 0x305}, {"mhartid", 0xf14}};

/* NULL: no such register. */
static uint64_t *register_of(struct fake *fake, unsigned hart, unsigned number)
{
    if (number < 32)
        return &fake->x[hart][number];
    if (number == GDB_REGISTER_PC)
        return &fake->pc[hart];
    if (number >= GDB_REGISTER_F0 && number < GDB_REGISTER_F0 + 32)
        return &fake->f[hart][number - GDB_REGISTER_F0];
    if (number == GDB_REGISTER_FCSR)
        return &fake->fcsr[hart];
    if (number == GDB_REGISTER_CSR0 + FAKE_MSTATUS)
        return &fake->mstatus[hart];
    return NULL;
}

static int read_register(void *owner, unsigned hart, unsigned number, uint64_t *value)
{
    uint64_t *from = register_of(owner, hart, number);

    if (number == GDB_REGISTER_PRIV)
        *value = 3;
    else if (number == GDB_REGISTER_CSR0 + 0xf14)
        *value = hart;
    else if (from)
        *value = *from;
    else
        return -ENOENT;
    return 0;
}

static int write_register(void *owner, unsigned hart, unsigned number, uint64_t value)
{
    uint64_t *to = register_of(owner, hart, number);

    if (!to || number == 0)
        return -ENOENT;
    *to = value;
    return 0;
}

/* Bytes of [at, at + size) that are memory. */
static size_t accessible(gva_t at, size_t size)
{
    if (at < FAKE_BASE || at - FAKE_BASE >= FAKE_SIZE)
        return 0;
    return MIN(size, FAKE_SIZE - (size_t)(at - FAKE_BASE));
}

static size_t read_memory(void *owner, unsigned hart, gva_t at, void *to, size_t size)
{
    struct fake *fake = owner;
    size_t done = accessible(at, size);

    (void)hart;
    if (done)
        memcpy(to, &fake->memory[at - FAKE_BASE], done);
    return done;
}

static size_t write_memory(void *owner, unsigned hart, gva_t at, const void *from, size_t size)
{
    struct fake *fake = owner;
    size_t done = accessible(at, size);

    (void)hart;
    if (done)
        memcpy(&fake->memory[at - FAKE_BASE], from, done);
    return done;
}

static int insert(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size)
{
    struct fake *fake = owner;

    if (kind == GDB_WATCH_READ)
        return -ENOTSUP;
    if (fake->breakpoint_count == FAKE_BREAKPOINTS)
        return -ENOSPC;
    fake->breakpoints[fake->breakpoint_count++] = (struct gdb_breakpoint){kind, at, size};
    return 0;
}

static int remove(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size)
{
    struct fake *fake = owner;

    for (size_t i = 0; i < fake->breakpoint_count; i++) {
        const struct gdb_breakpoint *b = &fake->breakpoints[i];
        if (b->kind == kind && b->at == at && b->size == size) {
            fake->breakpoints[i] = fake->breakpoints[--fake->breakpoint_count];
            return 0;
        }
    }
    return -ENOENT;
}

static void resume(void *owner, const enum gdb_action *actions)
{
    struct fake *fake = owner;

    memcpy(fake->actions, actions, sizeof(fake->actions));
    fake->running = true;
    fake->resumes++;
    if (fake->runs_at_once)
        fake_run(fake, 100);
}

static void interrupt(void *owner)
{
    struct fake *fake = owner;
    fake->interrupted = true;
}

static void detach(void *owner)
{
    struct fake *fake = owner;
    fake->detached = true;
}

static void kill(void *owner)
{
    struct fake *fake = owner;
    fake->killed = true;
}

static void monitor(void *owner, const char *command, char *text, size_t size)
{
    (void)owner;
    if (strcmp(command, "quiet") != 0)
        format_text(text, size, "you said '%s'\n", command);
}

static void describe_hart(void *owner, unsigned hart, char *text, size_t size)
{
    (void)owner;
    format_text(text, size, "hart %u, M-mode", hart);
}

void fake_init(struct fake *fake, struct gdb_server *server,
               void (*send)(void *owner, const void *bytes, size_t size), void *send_owner)
{
    memset(fake, 0, sizeof(*fake));
    fake->server = server;
    fake->target = (struct gdb_target){
        .hart_count = FAKE_HARTS,
        .has_fpu = true,
        .csrs = csrs,
        .csr_count = ARRAY_LEN(csrs),
        .owner = fake,
        .read_register = read_register,
        .write_register = write_register,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .insert = insert,
        .remove = remove,
        .resume = resume,
        .interrupt = interrupt,
        .detach = detach,
        .kill = kill,
        .monitor = monitor,
        .describe_hart = describe_hart,
    };
    for (unsigned hart = 0; hart < FAKE_HARTS; hart++) {
        fake->pc[hart] = FAKE_BASE;
        for (unsigned i = 1; i < 32; i++)
            fake->x[hart][i] = 0x100 * (hart + 1) + i;
    }
    for (size_t i = 0; i < FAKE_STORE_AT - FAKE_BASE; i += 4)
        fake->memory[i] = 0x13; /* nop */
    gdb_server_init(server, &fake->target, false, send, send_owner);
}

static bool has_hart(void *owner, unsigned hart)
{
    const struct fake *fake = owner;

    return !fake->is_gone[hart];
}

static void set_signal(void *owner, unsigned hart, unsigned signal)
{
    struct fake *fake = owner;

    fake->signals[hart] = signal;
}

static size_t copy_from(const char *text, uint64_t offset, void *to, size_t size)
{
    size_t all = strlen(text);

    if (offset >= all)
        return 0;
    size = MIN(size, all - (size_t)offset);
    if (size)
        memcpy(to, text + offset, size);
    return size;
}

static size_t read_object(void *owner, enum gdb_object object, size_t offset, void *to, size_t size)
{
    (void)owner;
    return copy_from(object == GDB_OBJECT_AUXV ? "auxiliary" : "/bin/program", offset, to, size);
}

static int64_t read_file(void *owner, const char *path, uint64_t offset, void *to, size_t size)
{
    (void)owner;
    return strcmp(path, FAKE_FILE) == 0 ? (int64_t)copy_from(FAKE_FILE, offset, to, size) : -1;
}

void fake_become_program(struct fake *fake)
{
    fake->target.osabi = "GNU/Linux";
    fake->target.is_spawned = true;
    fake->target.has_hart = has_hart;
    fake->target.set_signal = set_signal;
    fake->target.read_object = read_object;
    fake->target.read_file = read_file;
}

static void stop(struct fake *fake, enum gdb_stop_reason reason, unsigned hart, gva_t address)
{
    struct gdb_stop report = {
        .reason = reason, .signal = GDB_SIGNAL_TRAP, .hart = hart, .address = address};

    if (fake->interrupted)
        report.signal = GDB_SIGNAL_INT;
    fake->interrupted = false;
    fake->running = false;
    gdb_server_stopped(fake->server, &report);
}

/* A break- or watchpoint of kinds [from, to] that covers `at`, else NULL. */
static const struct gdb_breakpoint *hit(const struct fake *fake, enum gdb_breakpoint_kind from,
                                        enum gdb_breakpoint_kind to, gva_t at, size_t size)
{
    for (size_t i = 0; i < fake->breakpoint_count; i++) {
        const struct gdb_breakpoint *b = &fake->breakpoints[i];
        bool watches = from != GDB_BREAK_SOFTWARE;
        if (b->kind >= from && b->kind <= to &&
            (watches ? at < b->at + b->size && b->at < at + size : b->at == at))
            return b;
    }
    return NULL;
}

/* Executes one instruction. True: the machine has stopped. */
static bool execute(struct fake *fake, unsigned hart)
{
    const struct gdb_breakpoint *b = NULL;

    if (fake->pc[hart] == FAKE_STORE_PC) {
        b = hit(fake, GDB_WATCH_WRITE, GDB_WATCH_ACCESS, FAKE_STORE_AT, 8);
        if (b) {
            stop(fake, b->kind == GDB_WATCH_WRITE ? GDB_STOP_WATCH_WRITE : GDB_STOP_WATCH_ACCESS,
                 hart, FAKE_STORE_AT);
            return true;
        }
        fake->memory[FAKE_STORE_AT - FAKE_BASE]++;
    }
    fake->pc[hart] += 4;
    if (fake->actions[hart] == GDB_STEP) {
        stop(fake, GDB_STOP_SIGNAL, hart, 0);
        return true;
    }
    b = hit(fake, GDB_BREAK_SOFTWARE, GDB_BREAK_HARDWARE, fake->pc[hart], 4);
    if (b)
        stop(fake,
             b->kind == GDB_BREAK_SOFTWARE ? GDB_STOP_BREAK_SOFTWARE : GDB_STOP_BREAK_HARDWARE,
             hart, 0);
    return b != NULL;
}

void fake_run(struct fake *fake, unsigned limit)
{
    for (unsigned i = 0; i < limit && fake->running && !fake->interrupted; i++) {
        for (unsigned hart = 0; hart < FAKE_HARTS; hart++) {
            if (fake->actions[hart] != GDB_STAY && execute(fake, hart))
                return;
        }
    }
    if (fake->running && fake->interrupted)
        stop(fake, GDB_STOP_SIGNAL, 0, 0);
}
