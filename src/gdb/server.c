/* SPDX-License-Identifier: Apache-2.0
 * The gdb remote protocol's server: a table of commands.
 *
 * Each command parses its arguments with a bounded reader and builds its reply
 * in server->out; returning REPLY sends it, an error number becomes "Exx". */
#include "gdb/server.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/endian.h"
#include "base/errno.h"
#include "base/memory.h"
#include "gdb/parse.h"
#include "gdb/target_xml.h"

/* What a command's function returns, apart from negative errnos. */
enum outcome {
    REPLY,    /* send what was built; nothing built: "not supported" */
    NO_REPLY, /* the reply comes later, or never */
};

#define RESENDS_MAX 4
#define SUPPORTED   ";qXfer:features:read+;vContSupported+;QStartNoAckMode+;swbreak+;hwbreak+"

/* --- Threads by their numbers ---------------------------------------------- */

static bool hart_exists(const struct gdb_server *server, uint64_t hart)
{
    const struct gdb_target *target = server->target;

    return hart < target->hart_count &&
           (!target->has_hart || target->has_hart(target->owner, (unsigned)hart));
}

/* A thread id. *hart is hart_count for "all" (-1), `any` for "any" (0). */
static bool parse_thread(const struct gdb_server *server, struct reader *r, unsigned any,
                         unsigned *hart)
{
    uint64_t id;

    if (gdb_accept_text(r, "-1")) {
        *hart = server->target->hart_count;
        return true;
    }
    if (!gdb_parse_number(r, &id) || (id != 0 && !hart_exists(server, id - 1)))
        return false;
    *hart = id == 0 ? any : (unsigned)id - 1;
    return true;
}

/* --- Stops ---------------------------------------------------------------- */

/* In bytes, as the target description says. */
static size_t register_size(unsigned number)
{
    return number >= GDB_REGISTER_FFLAGS && number <= GDB_REGISTER_FCSR ? 4 : 8;
}

static void put_register(struct gdb_server *server, unsigned hart, unsigned number)
{
    const struct gdb_target *target = server->target;
    size_t size = register_size(number);
    uint64_t value;
    uint8_t bytes[8];

    if (target->read_register(target->owner, hart, number, &value) < 0) {
        for (size_t i = 0; i < 2 * size; i++)
            gdb_packet_byte(&server->out, 'x'); /* "unavailable" */
        return;
    }
    store_le64(bytes, value);
    gdb_packet_hex(&server->out, bytes, size);
}

static void put_stop_reason(struct gdb_server *server)
{
    struct gdb_packet *out = &server->out;
    const char *watch = NULL;

    switch (server->stop.reason) {
    case GDB_STOP_SIGNAL:
    case GDB_STOP_EXITED:
    case GDB_STOP_KILLED:
        return;
    case GDB_STOP_BREAK_SOFTWARE:
        if (server->says_swbreak)
            gdb_packet_text(out, "swbreak:;");
        return;
    case GDB_STOP_BREAK_HARDWARE:
        if (server->says_hwbreak)
            gdb_packet_text(out, "hwbreak:;");
        return;
    case GDB_STOP_WATCH_WRITE:
        watch = "watch:";
        break;
    case GDB_STOP_WATCH_READ:
        watch = "rwatch:";
        break;
    case GDB_STOP_WATCH_ACCESS:
        watch = "awatch:";
        break;
    }
    if (watch) {
        gdb_packet_text(out, watch);
        gdb_packet_number(out, server->stop.address);
        gdb_packet_byte(out, ';');
    }
}

static bool is_gone(const struct gdb_stop *stop)
{
    return stop->reason == GDB_STOP_EXITED || stop->reason == GDB_STOP_KILLED;
}

/* Builds the stop reply; the registers are those gdb always asks for next. */
static void put_stop(struct gdb_server *server)
{
    static const uint8_t expedited[] = {GDB_REGISTER_SP, GDB_REGISTER_PC};
    const struct gdb_stop *stop = &server->stop;
    struct gdb_packet *out = &server->out;
    uint8_t signal = (uint8_t)stop->signal;

    if (is_gone(stop)) {
        gdb_packet_byte(out, stop->reason == GDB_STOP_EXITED ? 'W' : 'X');
        gdb_packet_hex(out, &signal, 1);
        return;
    }
    gdb_packet_byte(out, 'T');
    gdb_packet_hex(out, &signal, 1);
    for (size_t i = 0; i < ARRAY_LEN(expedited); i++) {
        gdb_packet_hex(out, &expedited[i], 1);
        gdb_packet_byte(out, ':');
        put_register(server, stop->hart, expedited[i]);
        gdb_packet_byte(out, ';');
    }
    gdb_packet_text(out, "thread:");
    gdb_packet_number(out, stop->hart + 1);
    gdb_packet_byte(out, ';');
    put_stop_reason(server);
}

/* The target may stop again before its `resume` returns. */
static void resume(struct gdb_server *server, const enum gdb_action *actions)
{
    server->running = true;
    server->reply_owed = true;
    server->target->resume(server->target->owner, actions);
}

/* Lets the machine go on as if there had been no debugger. */
static void release(struct gdb_server *server)
{
    enum gdb_action actions[GDB_HARTS_MAX];

    for (unsigned i = 0; i < server->target->hart_count; i++)
        actions[i] = GDB_CONTINUE;
    gdb_breakpoints_remove_all(&server->breakpoints, server->target);
    server->running = true;
    server->reply_owed = false;
    server->target->resume(server->target->owner, actions);
}

/* Registers and memory are within reach. */
static bool is_halted(const struct gdb_server *server)
{
    return !server->running && !is_gone(&server->stop);
}

static int run_stop_query(struct gdb_server *server, struct reader *r)
{
    (void)r;
    if (server->running) {
        server->reply_owed = true;
        server->target->interrupt(server->target->owner);
        return NO_REPLY;
    }
    put_stop(server);
    return REPLY;
}

/* --- Registers and memory -------------------------------------------------- */

/* The registers of g and G: x and pc, then f; gdb asks for the others by p. */
static unsigned bulk_registers(const struct gdb_server *server)
{
    return server->target->has_fpu ? GDB_REGISTER_F0 + 32 : GDB_REGISTER_F0;
}

static int run_read_registers(struct gdb_server *server, struct reader *r)
{
    (void)r;
    for (unsigned i = 0; i < bulk_registers(server); i++)
        put_register(server, server->general_hart, i);
    return REPLY;
}

static int write_register(struct gdb_server *server, struct reader *r, unsigned number)
{
    const struct gdb_target *target = server->target;
    uint8_t bytes[8] = {0};

    if (!gdb_parse_hex(r, bytes, register_size(number)))
        return -EINVAL;
    return target->write_register(target->owner, server->general_hart, number, load_le64(bytes));
}

static int run_write_registers(struct gdb_server *server, struct reader *r)
{
    for (unsigned i = 0; i < bulk_registers(server) && reader_left(r) > 0; i++) {
        if (reader_left(r) >= 16 && *r->at == 'x') {
            r->at += 16; /* unavailable: keep */
            continue;
        }
        /* x0 takes no value; gdb sends it all the same. */
        int error = write_register(server, r, i);
        if (error < 0 && i != GDB_REGISTER_X0)
            return error;
    }
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_read_register(struct gdb_server *server, struct reader *r)
{
    uint64_t number;

    if (!gdb_parse_number(r, &number) || number > GDB_REGISTER_PRIV)
        return -EINVAL;
    put_register(server, server->general_hart, (unsigned)number);
    return REPLY;
}

static int run_write_register(struct gdb_server *server, struct reader *r)
{
    uint64_t number;

    if (!gdb_parse_number(r, &number) || number > GDB_REGISTER_PRIV || !gdb_accept(r, '='))
        return -EINVAL;
    int error = write_register(server, r, (unsigned)number);
    if (error < 0)
        return error;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_read_memory(struct gdb_server *server, struct reader *r)
{
    const struct gdb_target *target = server->target;
    gva_t at;
    uint64_t size;

    if (!gdb_parse_range(r, &at, &size))
        return -EINVAL;
    /* A short answer is allowed: gdb asks again for the rest. */
    size = MIN(size, GDB_PACKET_SIZE / 2);
    size_t done =
        target->read_memory(target->owner, server->general_hart, at, server->scratch, (size_t)size);
    if (done == 0 && size != 0)
        return -EFAULT;
    gdb_packet_hex(&server->out, server->scratch, MIN(done, (size_t)size));
    return REPLY;
}

static int write_memory(struct gdb_server *server, gva_t at, const void *from, size_t size)
{
    const struct gdb_target *target = server->target;

    if (target->write_memory(target->owner, server->general_hart, at, from, size) < size)
        return -EFAULT;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_write_memory(struct gdb_server *server, struct reader *r)
{
    gva_t at;
    uint64_t size;

    if (!gdb_parse_range(r, &at, &size) || !gdb_accept(r, ':') || size > sizeof(server->scratch) ||
        !gdb_parse_hex(r, server->scratch, (size_t)size))
        return -EINVAL;
    return write_memory(server, at, server->scratch, (size_t)size);
}

static int run_write_binary(struct gdb_server *server, struct reader *r)
{
    gva_t at;
    uint64_t size;

    if (!gdb_parse_range(r, &at, &size) || !gdb_accept(r, ':') || size != reader_left(r))
        return -EINVAL;
    return write_memory(server, at, r->at, (size_t)size);
}

/* --- Running -------------------------------------------------------------- */

/* c and s with their optional address, for the harts of Hc. */
static int run_or_step(struct gdb_server *server, struct reader *r, enum gdb_action action)
{
    const struct gdb_target *target = server->target;
    enum gdb_action actions[GDB_HARTS_MAX];
    unsigned chosen = server->control_harts;
    uint64_t pc;

    /* A step is one hart's, also when all are selected. */
    if (action == GDB_STEP && chosen == target->hart_count)
        chosen = server->general_hart;
    if (reader_left(r) > 0) {
        unsigned hart = chosen == target->hart_count ? server->general_hart : chosen;
        if (!gdb_parse_number(r, &pc))
            return -EINVAL;
        int error = target->write_register(target->owner, hart, GDB_REGISTER_PC, pc);
        if (error < 0)
            return error;
    }
    for (unsigned i = 0; i < target->hart_count; i++) {
        bool is_chosen = i == chosen || chosen == target->hart_count;
        actions[i] = is_chosen ? action : GDB_STAY;
    }
    resume(server, actions);
    return NO_REPLY;
}

static int run_continue(struct gdb_server *server, struct reader *r)
{
    return run_or_step(server, r, GDB_CONTINUE);
}

static int run_step(struct gdb_server *server, struct reader *r)
{
    return run_or_step(server, r, GDB_STEP);
}

static int run_vcont_query(struct gdb_server *server, struct reader *r)
{
    (void)r;
    gdb_packet_text(&server->out, "vCont;c;C;s;S;t");
    return REPLY;
}

/* One action of vCont, without its thread; *signal is 0 for none. */
static bool parse_action(struct reader *r, enum gdb_action *action, uint64_t *signal)
{
    *signal = 0;
    if (gdb_accept(r, 'c') || gdb_accept(r, 's')) {
        *action = r->at[-1] == 's' ? GDB_STEP : GDB_CONTINUE;
        return true;
    }
    if (gdb_accept(r, 'C') || gdb_accept(r, 'S')) {
        *action = r->at[-1] == 'S' ? GDB_STEP : GDB_CONTINUE;
        return gdb_parse_number(r, signal);
    }
    *action = GDB_STAY;
    return gdb_accept(r, 't');
}

/* A machine's harts know no signals. */
static void set_signals(const struct gdb_server *server, const uint8_t *signals)
{
    const struct gdb_target *target = server->target;

    for (unsigned i = 0; target->set_signal && i < target->hart_count; i++)
        if (signals[i])
            target->set_signal(target->owner, i, signals[i]);
}

/* vCont;action:thread;action: for each hart, the first action that names it. */
static int run_vcont(struct gdb_server *server, struct reader *r)
{
    unsigned count = server->target->hart_count;
    enum gdb_action actions[GDB_HARTS_MAX];
    uint8_t signals[GDB_HARTS_MAX] = {0};
    bool named[GDB_HARTS_MAX] = {false};
    bool any_runs = false;

    for (unsigned i = 0; i < count; i++)
        actions[i] = GDB_STAY;
    while (gdb_accept(r, ';')) {
        enum gdb_action action;
        uint64_t signal;
        unsigned chosen = count;
        if (!parse_action(r, &action, &signal))
            return -EINVAL;
        if (gdb_accept(r, ':') && !parse_thread(server, r, server->stop.hart, &chosen))
            return -EINVAL;
        for (unsigned i = 0; i < count; i++) {
            if (named[i] || (i != chosen && chosen != count) || !hart_exists(server, i))
                continue;
            named[i] = true;
            actions[i] = action;
            signals[i] = (uint8_t)signal;
            any_runs |= action != GDB_STAY;
        }
    }
    if (reader_left(r) > 0 || !any_runs)
        return -EINVAL; /* a stop reply would never come */
    set_signals(server, signals);
    resume(server, actions);
    return NO_REPLY;
}

static int run_detach(struct gdb_server *server, struct reader *r)
{
    (void)r;
    release(server);
    server->target->detach(server->target->owner);
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_kill(struct gdb_server *server, struct reader *r)
{
    (void)r;
    server->target->kill(server->target->owner);
    return NO_REPLY;
}

static int run_vkill(struct gdb_server *server, struct reader *r)
{
    (void)r;
    server->target->kill(server->target->owner);
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

/* --- Breakpoints ----------------------------------------------------------- */

/* "kind,address,size"; conditions and commands after it are not announced. */
static bool parse_breakpoint(struct reader *r, struct gdb_breakpoint *out)
{
    uint64_t kind, size;

    if (!gdb_parse_number(r, &kind) || kind >= GDB_BREAKPOINT_KINDS || !gdb_accept(r, ',') ||
        !gdb_parse_range(r, &out->at, &size) || reader_left(r) > 0)
        return false;
    out->kind = (enum gdb_breakpoint_kind)kind;
    out->size = (size_t)size;
    return true;
}

static int reply_breakpoint(struct gdb_server *server, int error)
{
    if (error == -ENOTSUP)
        return REPLY; /* an empty one: gdb then tries another kind */
    if (error < 0)
        return error;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_insert(struct gdb_server *server, struct reader *r)
{
    struct gdb_breakpoint wanted;

    if (!parse_breakpoint(r, &wanted))
        return -EINVAL;
    return reply_breakpoint(server,
                            gdb_breakpoints_insert(&server->breakpoints, server->target, wanted));
}

static int run_remove(struct gdb_server *server, struct reader *r)
{
    struct gdb_breakpoint wanted;

    if (!parse_breakpoint(r, &wanted))
        return -EINVAL;
    return reply_breakpoint(server,
                            gdb_breakpoints_remove(&server->breakpoints, server->target, wanted));
}

/* --- Threads -------------------------------------------------------------- */

static int run_select_general(struct gdb_server *server, struct reader *r)
{
    unsigned hart;

    if (!parse_thread(server, r, server->stop.hart, &hart))
        return -EINVAL;
    server->general_hart = hart == server->target->hart_count ? server->stop.hart : hart;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_select_control(struct gdb_server *server, struct reader *r)
{
    unsigned hart;

    if (!parse_thread(server, r, server->target->hart_count, &hart))
        return -EINVAL;
    server->control_harts = hart;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_thread_alive(struct gdb_server *server, struct reader *r)
{
    uint64_t id;

    if (!gdb_parse_number(r, &id) || !hart_exists(server, id - 1))
        return -EINVAL;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

/* As many as fit well; gdb comes back for more until it reads 'l'. */
static int run_next_threads(struct gdb_server *server, struct reader *r)
{
    unsigned i = server->listed_harts;
    unsigned count = 0;

    (void)r;
    for (; i < server->target->hart_count && count < 256; i++) {
        if (!hart_exists(server, i))
            continue;
        gdb_packet_byte(&server->out, count++ ? ',' : 'm');
        gdb_packet_number(&server->out, i + 1);
    }
    if (!count)
        gdb_packet_byte(&server->out, 'l');
    server->listed_harts = i;
    return REPLY;
}

static int run_first_threads(struct gdb_server *server, struct reader *r)
{
    server->listed_harts = 0;
    return run_next_threads(server, r);
}

static int run_thread_info(struct gdb_server *server, struct reader *r)
{
    const struct gdb_target *target = server->target;
    char *text = (char *)server->scratch;
    uint64_t id;

    if (!gdb_parse_number(r, &id) || !hart_exists(server, id - 1))
        return -EINVAL;
    text[0] = 0;
    target->describe_hart(target->owner, (unsigned)id - 1, text, 256);
    gdb_packet_hex(&server->out, text, strlen(text));
    return REPLY;
}

static int run_current_thread(struct gdb_server *server, struct reader *r)
{
    (void)r;
    gdb_packet_text(&server->out, "QC");
    gdb_packet_number(&server->out, server->general_hart + 1);
    return REPLY;
}

/* --- Queries -------------------------------------------------------------- */

static int run_supported(struct gdb_server *server, struct reader *r)
{
    while (reader_left(r) > 0) {
        if (gdb_accept_text(r, "swbreak+"))
            server->says_swbreak = true;
        else if (gdb_accept_text(r, "hwbreak+"))
            server->says_hwbreak = true;
        else
            r->at++;
    }
    gdb_packet_text(&server->out, "PacketSize=");
    gdb_packet_number(&server->out, GDB_PACKET_SIZE);
    gdb_packet_text(&server->out, SUPPORTED);
    if (server->target->read_object)
        gdb_packet_text(&server->out, ";qXfer:auxv:read+;qXfer:exec-file:read+");
    if (server->target->set_signal)
        gdb_packet_text(&server->out, ";QPassSignals+");
    return REPLY;
}

/* "offset,length" of the target description. */
static int run_read_features(struct gdb_server *server, struct reader *r)
{
    uint64_t offset, length;

    if (!gdb_parse_range(r, &offset, &length) || length == 0)
        return -EINVAL;
    /* Escapes may double it. */
    length = MIN(length, GDB_PACKET_SIZE / 2 - 1);
    size_t done =
        gdb_target_xml_read(server->target, (size_t)offset, server->scratch, (size_t)length);
    gdb_packet_byte(&server->out, done < length ? 'l' : 'm');
    gdb_packet_binary(&server->out, server->scratch, done);
    return REPLY;
}

/* "offset,length", behind the annex and its colon. */
static int read_object(struct gdb_server *server, struct reader *r, enum gdb_object object)
{
    const struct gdb_target *target = server->target;
    uint64_t offset, length;

    while (reader_left(r) > 0 && !gdb_accept(r, ':'))
        r->at++;
    if (!target->read_object)
        return REPLY;
    if (!gdb_parse_range(r, &offset, &length) || length == 0)
        return -EINVAL;
    length = MIN(length, GDB_PACKET_SIZE / 2 - 1);
    size_t done =
        target->read_object(target->owner, object, (size_t)offset, server->scratch, (size_t)length);
    gdb_packet_byte(&server->out, done < length ? 'l' : 'm');
    gdb_packet_binary(&server->out, server->scratch, MIN(done, (size_t)length));
    return REPLY;
}

static int run_read_auxv(struct gdb_server *server, struct reader *r)
{
    return read_object(server, r, GDB_OBJECT_AUXV);
}

static int run_read_exec_file(struct gdb_server *server, struct reader *r)
{
    return read_object(server, r, GDB_OBJECT_EXEC_FILE);
}

static int run_file(struct gdb_server *server, struct reader *r)
{
    (void)gdb_files_command(&server->files, server->target, r, &server->out, server->scratch);
    return REPLY;
}

/* Numbers with semicolons between; those not in it are told of again. */
static int run_pass_signals(struct gdb_server *server, struct reader *r)
{
    uint64_t signal;

    memset(server->passed, 0, sizeof(server->passed));
    while (gdb_parse_number(r, &signal)) {
        if (signal < 64 * ARRAY_LEN(server->passed))
            server->passed[signal / 64] |= UINT64_C(1) << (signal % 64);
        if (!gdb_accept(r, ';'))
            break;
    }
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

/* monitor: the command and its output travel as hexadecimal. */
static int run_monitor(struct gdb_server *server, struct reader *r)
{
    const struct gdb_target *target = server->target;
    char command[512];
    size_t size = reader_left(r) / 2;
    char *text = (char *)server->scratch;

    if (size >= sizeof(command) || !gdb_parse_hex(r, (uint8_t *)command, size))
        return -EINVAL;
    command[size] = 0;
    text[0] = 0;
    target->monitor(target->owner, command, text, sizeof(server->scratch) / 2);
    if (text[0])
        gdb_packet_hex(&server->out, text, strlen(text));
    else
        gdb_packet_text(&server->out, "OK");
    return REPLY;
}

static int run_attached(struct gdb_server *server, struct reader *r)
{
    (void)r;
    /* gdb kills what it has started and detaches from the rest when it quits. */
    gdb_packet_byte(&server->out, server->target->is_spawned ? '0' : '1');
    return REPLY;
}

/* This command itself has been acknowledged already. */
static int run_start_no_ack(struct gdb_server *server, struct reader *r)
{
    (void)r;
    server->no_ack = true;
    gdb_packet_text(&server->out, "OK");
    return REPLY;
}

/* --- Dispatch ------------------------------------------------------------- */

enum command_flags {
    WHOLE = 1,  /* the name is the whole packet */
    HALTED = 2, /* only while harts stand still */
};

static const struct command {
    const char *name; /* what the packet begins with */
    unsigned flags;
    int (*run)(struct gdb_server *server, struct reader *arguments);
} commands[] = {
    {"?", WHOLE, run_stop_query},
    {"g", WHOLE | HALTED, run_read_registers},
    {"G", HALTED, run_write_registers},
    {"p", HALTED, run_read_register},
    {"P", HALTED, run_write_register},
    {"m", HALTED, run_read_memory},
    {"M", HALTED, run_write_memory},
    {"X", HALTED, run_write_binary},
    {"c", HALTED, run_continue},
    {"s", HALTED, run_step},
    {"vCont?", WHOLE, run_vcont_query},
    {"vCont", HALTED, run_vcont},
    {"Z", HALTED, run_insert},
    {"z", HALTED, run_remove},
    {"Hg", 0, run_select_general},
    {"Hc", 0, run_select_control},
    {"T", 0, run_thread_alive},
    {"qfThreadInfo", WHOLE, run_first_threads},
    {"qsThreadInfo", WHOLE, run_next_threads},
    {"qThreadExtraInfo,", 0, run_thread_info},
    {"qC", WHOLE, run_current_thread},
    {"qAttached", 0, run_attached},
    {"qSupported", 0, run_supported},
    {"qXfer:features:read:target.xml:", 0, run_read_features},
    {"qXfer:auxv:read:", HALTED, run_read_auxv},
    {"qXfer:exec-file:read:", 0, run_read_exec_file},
    {"vFile:", 0, run_file},
    {"QPassSignals:", 0, run_pass_signals},
    {"qRcmd,", 0, run_monitor},
    {"QStartNoAckMode", WHOLE, run_start_no_ack},
    {"D", HALTED, run_detach},
    {"k", WHOLE, run_kill},
    {"vKill", 0, run_vkill},
};

static void send_reply(struct gdb_server *server)
{
    gdb_packet_end(&server->out);
    server->resends = 0;
    server->send(server->send_owner, server->out.frame, server->out.length);
}

static void reply_error(struct gdb_server *server, int error)
{
    uint8_t number = (uint8_t)-error;

    gdb_packet_begin(&server->out);
    gdb_packet_byte(&server->out, 'E');
    gdb_packet_hex(&server->out, &number, 1);
    send_reply(server);
}

/* Runs the packet in server->in; an unknown one gets an empty reply. */
static void run_packet(struct gdb_server *server)
{
    struct reader packet = reader_make(server->in.payload, server->in.length);
    int outcome = REPLY;

    gdb_packet_begin(&server->out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *command = &commands[i];
        struct reader arguments = packet;
        if (!gdb_accept_text(&arguments, command->name) ||
            ((command->flags & WHOLE) && reader_left(&arguments) > 0))
            continue;
        if ((command->flags & HALTED) && !is_halted(server))
            outcome = -EBUSY;
        else
            outcome = command->run(server, &arguments);
        break;
    }
    if (outcome < 0)
        reply_error(server, outcome);
    else if (outcome == REPLY)
        send_reply(server);
}

static void acknowledge(struct gdb_server *server, char sign)
{
    if (!server->no_ack)
        server->send(server->send_owner, &sign, 1);
}

static void handle(struct gdb_server *server, enum gdb_packet_event event)
{
    switch (event) {
    case GDB_PACKET_NONE:
        break;
    case GDB_PACKET_READY:
        acknowledge(server, '+');
        run_packet(server);
        break;
    case GDB_PACKET_DAMAGED:
        acknowledge(server, '-');
        break;
    case GDB_PACKET_TOO_LONG:
        acknowledge(server, '+');
        reply_error(server, -E2BIG);
        break;
    case GDB_PACKET_INTERRUPT:
        if (server->running)
            server->target->interrupt(server->target->owner);
        break;
    case GDB_PACKET_RESEND:
        if (!server->no_ack && server->out.length > 0 && server->resends++ < RESENDS_MAX)
            server->send(server->send_owner, server->out.frame, server->out.length);
        break;
    }
}

void gdb_server_receive(struct gdb_server *server, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    for (size_t i = 0; i < size; i++)
        handle(server, gdb_packet_receive(&server->in, from[i]));
}

void gdb_server_stopped(struct gdb_server *server, const struct gdb_stop *stop)
{
    ASSERT(stop->hart < server->target->hart_count);
    server->running = false;
    server->stop = *stop;
    if (stop->reason != GDB_STOP_SIGNAL && !is_gone(stop))
        server->stop.signal = GDB_SIGNAL_TRAP;
    server->general_hart = stop->hart;
    if (!server->reply_owed)
        return;
    server->reply_owed = false;
    gdb_packet_begin(&server->out);
    put_stop(server);
    send_reply(server);
}

/* As at the start of a connection. */
static void forget_client(struct gdb_server *server)
{
    server->reply_owed = false;
    server->no_ack = false;
    server->says_swbreak = false;
    server->says_hwbreak = false;
    server->general_hart = server->stop.hart;
    server->control_harts = server->target->hart_count;
    server->listed_harts = 0;
    memset(server->passed, 0, sizeof(server->passed));
    memset(&server->files, 0, sizeof(server->files));
    server->in.state = GDB_PACKET_IDLE;
    server->out.length = 0;
}

void gdb_server_init(struct gdb_server *server, const struct gdb_target *target, bool running,
                     void (*send)(void *owner, const void *bytes, size_t size), void *send_owner)
{
    ASSERT(target->hart_count >= 1 && target->hart_count <= GDB_HARTS_MAX);
    memset(server, 0, sizeof(*server));
    server->target = target;
    server->send = send;
    server->send_owner = send_owner;
    server->running = running;
    server->stop.signal = GDB_SIGNAL_TRAP;
    forget_client(server);
}

bool gdb_server_passes(const struct gdb_server *server, unsigned signal)
{
    return signal < 64 * ARRAY_LEN(server->passed) &&
           (server->passed[signal / 64] >> (signal % 64) & 1);
}

void gdb_server_reset(struct gdb_server *server)
{
    if (is_halted(server))
        release(server);
    else
        gdb_breakpoints_remove_all(&server->breakpoints, server->target);
    forget_client(server);
}
