/* SPDX-License-Identifier: Apache-2.0
 * gdb for a process VM. */
#include "process/debugger.h"

#include "debug/connection.h"
#include "debug/registers.h"
#include "gdb/server.h"
#include "host/thread.h"
#include "process/calls.h"
#include "process/gdb_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long the end of the process waits until gdb has been told of it. */
#define EXIT_PATIENCE_S 1

enum debugged_state {
    DEBUGGED_FREE, /* no task */
    DEBUGGED_OUTSIDE,
    DEBUGGED_RUNNING,
    DEBUGGED_PARKED,
};

/* A task as gdb's thread. Guarded by the debugger's lock. */
struct debugged {
    struct task *task;
    enum debugged_state state;
    enum gdb_action action;
    bool has_stepped; /* one instruction of a step, which is still to be reported */
    bool is_told;     /* its signal has been reported */
    int signal;       /* that it will get */
    int next_signal;  /* that gdb has chosen, for its next resume */
};

struct debugger {
    struct process *process;
    int wake_fd; /* an eventfd: the server's thread shall look at has_stop and has_exit */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* any of what follows */
    bool is_stopping;       /* tasks park */
    bool has_stop;          /* a task has stopped the program: `stop` */
    bool has_exit;          /* the process waits to end: `stop` */
    bool exit_is_told;
    struct gdb_stop stop;
    bool has_client;
    bool is_releasing; /* the client has left: signals go their way */
    struct debugged threads[GDB_HARTS_MAX];

    /* Of the server's thread alone. */
    struct connection connection;
    struct gdb_server server;
    struct gdb_target target;
    bool is_killed;     /* gdb wants the process gone, once it has had its answer */
    unsigned told_hart; /* where gdb saw the program stop */
    uint64_t told_pc;
};

/* ---- stopping; the lock is held ---- */

static struct debugged *debugged_of(struct debugger *debugger, const struct task *task)
{
    return &debugger->threads[task->debug_index];
}

static void wake_server(struct debugger *debugger)
{
    const uint64_t one = 1;

    if (write(debugger->wake_fd, &one, sizeof(one)) < 0)
        return; /* it is awake */
}

static void begin_stop(struct debugger *debugger)
{
    debugger->is_stopping = true;
    for (unsigned i = 0; i < GDB_HARTS_MAX; i++)
        if (debugger->threads[i].state == DEBUGGED_RUNNING)
            hart_request(debugger->threads[i].task->hart, HART_REQUEST_LOOK);
}

static void end_stop(struct debugger *debugger)
{
    debugger->is_stopping = false;
    pthread_cond_broadcast(&debugger->changed);
}

/* A task stops the program. False: it is being stopped already. */
static bool report(struct debugger *debugger, const struct gdb_stop *stop)
{
    if (debugger->is_stopping)
        return false;
    debugger->stop = *stop;
    debugger->has_stop = true;
    begin_stop(debugger);
    wake_server(debugger);
    return true;
}

/* Waits for a change; gdb may look at the task meanwhile. */
static void park(struct debugger *debugger, struct debugged *self)
{
    self->state = DEBUGGED_PARKED;
    pthread_cond_broadcast(&debugger->changed);
    pthread_cond_wait(&debugger->changed, &debugger->lock);
}

static bool may_run(const struct debugger *debugger, const struct debugged *self)
{
    return !debugger->is_stopping && self->action != GDB_STAY;
}

static bool any_runs(const struct debugger *debugger)
{
    for (unsigned i = 0; i < GDB_HARTS_MAX; i++)
        if (debugger->threads[i].state == DEBUGGED_RUNNING)
            return true;
    return false;
}

static void wait_until_halted(struct debugger *debugger)
{
    while (any_runs(debugger))
        pthread_cond_wait(&debugger->changed, &debugger->lock);
}

/* ---- what tasks do ---- */

static enum hart_exit run_engine(struct task *task)
{
    struct translator *translator = task->process->translator;

    return translator ? translator_run(translator, task->hart) : hart_run(task->hart);
}

/* Returns whether the task is to make one step only. */
static bool enter(struct debugger *debugger, struct task *task)
{
    const struct gdb_stop step = {
        .reason = GDB_STOP_SIGNAL, .signal = GDB_SIGNAL_TRAP, .hart = task->debug_index};

    pthread_mutex_lock(&debugger->lock);
    struct debugged *self = debugged_of(debugger, task);
    if (self->has_stepped)
        report(debugger, &step);
    self->has_stepped = false;
    while (!may_run(debugger, self))
        park(debugger, self);
    self->state = DEBUGGED_RUNNING;
    self->has_stepped = self->action == GDB_STEP;
    bool steps = self->has_stepped;
    pthread_mutex_unlock(&debugger->lock);
    return steps;
}

/* A break- or watchpoint is reported, unless the program is being stopped for another
 * reason: then the task comes to it again. */
static void leave(struct debugger *debugger, struct task *task, bool is_point)
{
    pthread_mutex_lock(&debugger->lock);
    struct debugged *self = debugged_of(debugger, task);
    self->state = DEBUGGED_OUTSIDE;
    if (is_point) {
        struct gdb_stop stop = debug_take_stop(task->hart, task->debug_index);
        report(debugger, &stop);
        self->has_stepped = false;
    }
    if (debugger->is_stopping)
        pthread_cond_broadcast(&debugger->changed);
    pthread_mutex_unlock(&debugger->lock);
}

/* The hart is the parent's, with its breakpoints. */
static enum hart_exit run_vfork_child(struct task *task)
{
    enum hart_exit exit = run_engine(task);

    if (exit != HART_EXIT_DEBUG)
        return exit;
    task->hart->debug.stop = HART_STOP_NONE;
    task->hart->debug.skip_breakpoint = true;
    return HART_EXIT_POLL;
}

enum hart_exit debugger_run(struct task *task)
{
    struct debugger *debugger = task->process->debugger;

    if (task->is_vfork_child)
        return run_vfork_child(task);
    enum hart_exit exit = enter(debugger, task) ? hart_step(task->hart, false) : run_engine(task);
    bool is_point = exit == HART_EXIT_DEBUG && task->hart->debug.stop != HART_STOP_STEP;
    task->hart->debug.stop = is_point ? task->hart->debug.stop : HART_STOP_NONE;
    leave(debugger, task, is_point);
    return exit == HART_EXIT_DEBUG ? HART_EXIT_POLL : exit;
}

int debugger_on_signal(struct task *task, int signal)
{
    struct debugger *debugger = task->process->debugger;
    struct gdb_stop stop = {
        .reason = GDB_STOP_SIGNAL,
        .signal = gdb_signal_from_linux(signal),
        .hart = task->debug_index,
    };

    if (task->is_vfork_child || stop.signal == 0)
        return signal;
    pthread_mutex_lock(&debugger->lock);
    struct debugged *self = debugged_of(debugger, task);
    self->signal = signal;
    self->is_told = !debugger->has_client || gdb_server_passes(&debugger->server, stop.signal);
    while (!self->is_told) {
        if (debugger->has_client)
            report(debugger, &stop);
        else
            self->is_told = true;
        while (!may_run(debugger, self))
            park(debugger, self);
    }
    self->state = DEBUGGED_OUTSIDE;
    self->has_stepped = false;
    signal = self->signal;
    pthread_mutex_unlock(&debugger->lock);
    return signal;
}

bool debugger_add_task(struct task *task)
{
    struct debugger *debugger = task->process->debugger;
    const struct task *other = NULL;
    unsigned index = GDB_HARTS_MAX;

    pthread_mutex_lock(&debugger->lock);
    for (unsigned i = GDB_HARTS_MAX; i-- > 0;) {
        if (debugger->threads[i].state == DEBUGGED_FREE)
            index = i;
        else
            other = debugger->threads[i].task;
    }
    bool fits = index < GDB_HARTS_MAX && (!other || debug_copy_points(task->hart, other->hart));
    if (fits) {
        task->debug_index = index;
        debugger->threads[index] =
            (struct debugged){.task = task, .state = DEBUGGED_OUTSIDE, .action = GDB_CONTINUE};
    }
    pthread_mutex_unlock(&debugger->lock);
    return fits;
}

void debugger_remove_task(struct task *task)
{
    struct debugger *debugger = task->process->debugger;

    pthread_mutex_lock(&debugger->lock);
    /* Not if it has never been added. */
    if (debugged_of(debugger, task)->task == task)
        *debugged_of(debugger, task) = (struct debugged){.state = DEBUGGED_FREE};
    pthread_cond_broadcast(&debugger->changed);
    pthread_mutex_unlock(&debugger->lock);
}

void debugger_end(struct process *process, int status, int signal)
{
    struct debugger *debugger = process->debugger;
    const struct task *task = task_current();
    struct timespec until;

    if (task && task->is_vfork_child)
        return;
    pthread_mutex_lock(&debugger->lock);
    /* Not while gdb looks at the program. */
    while (debugger->is_stopping && debugger->has_client)
        pthread_cond_wait(&debugger->changed, &debugger->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += EXIT_PATIENCE_S;
    debugger->stop = (struct gdb_stop){
        .reason = signal ? GDB_STOP_KILLED : GDB_STOP_EXITED,
        .signal = signal ? gdb_signal_from_linux(signal) : (unsigned)status & 0xff,
    };
    debugger->has_exit = true;
    wake_server(debugger);
    int result = 0;
    while (!debugger->exit_is_told && result == 0)
        result = pthread_cond_timedwait(&debugger->changed, &debugger->lock, &until);
    pthread_mutex_unlock(&debugger->lock);
}

void debugger_after_fork(struct task *task)
{
    struct process *process = task->process;
    struct debugger *debugger = process->debugger;
    struct hart_debug *points = &task->hart->debug;

    process->debugger = NULL;
    signals_debug(process, false);
    while (points->breakpoint_count && hart_remove_breakpoint(task->hart, points->breakpoints[0]))
        ;
    while (points->watchpoint_count) {
        struct hart_watchpoint watch = points->watchpoints[0];
        if (!hart_remove_watchpoint(task->hart, &watch))
            break;
    }
    points->skip_breakpoint = false;
    own_fds_remove(process, debugger->wake_fd);
    own_fds_remove(process, debugger->connection.listen_fd);
    if (debugger->connection.client_fd >= 0)
        own_fds_remove(process, debugger->connection.client_fd);
    if (debugger->connection.place.name[0])
        own_fds_remove(process, debugger->connection.place.folder);
    free(debugger);
}

/* ---- gdb's target: the server's thread; the tasks are halted ---- */

static struct debugged *thread_of(void *owner, unsigned index)
{
    struct debugger *debugger = owner;

    return &debugger->threads[index];
}

static bool has_hart(void *owner, unsigned index)
{
    struct debugger *debugger = owner;

    pthread_mutex_lock(&debugger->lock);
    bool exists = thread_of(owner, index)->state != DEBUGGED_FREE;
    pthread_mutex_unlock(&debugger->lock);
    return exists;
}

static int read_register(void *owner, unsigned index, unsigned number, uint64_t *value)
{
    if (!has_hart(owner, index))
        return -ENOENT;
    return debug_read_register(thread_of(owner, index)->task->hart, number, value);
}

static int write_register(void *owner, unsigned index, unsigned number, uint64_t value)
{
    struct debugger *debugger = owner;
    struct debugged *thread = thread_of(owner, index);

    /* A system call under way will write its result. */
    pthread_mutex_lock(&debugger->lock);
    bool is_parked = thread->state == DEBUGGED_PARKED;
    pthread_mutex_unlock(&debugger->lock);
    return is_parked ? debug_write_register(thread->task->hart, number, value) : -EBUSY;
}

/* By a file, which has the rights of a debugger: it ignores the protection of pages. The
 * program is halted and does not see the descriptor. */
static size_t access_memory(gva_t at, void *bytes, size_t size, bool write)
{
    size_t done = 0;

    if (at >= USER_MEMORY_END)
        return 0;
    size = MIN(size, USER_MEMORY_END - at);
    int fd = open("/proc/self/mem", (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    while (fd >= 0 && done < size) {
        uint8_t *piece = (uint8_t *)bytes + done;
        off_t offset = (off_t)(at + done);
        ssize_t count =
            write ? pwrite(fd, piece, size - done, offset) : pread(fd, piece, size - done, offset);
        if (count <= 0)
            break;
        done += (size_t)count;
    }
    if (fd >= 0)
        close(fd);
    return done;
}

static size_t read_memory(void *owner, unsigned index, gva_t at, void *to, size_t size)
{
    (void)owner;
    (void)index;
    return access_memory(at, to, size, false);
}

static size_t write_memory(void *owner, unsigned index, gva_t at, const void *from, size_t size)
{
    struct debugger *debugger = owner;
    size_t done = access_memory(at, (void *)(uintptr_t)from, size, true);

    (void)index;
    if (done)
        process_code_changed(debugger->process, at, at + done - 1, false);
    return done;
}

/* On all threads; those that come later copy them. Returns with a running program running
 * again. */
static int change_points(struct debugger *debugger, const struct gdb_breakpoint *point, bool insert)
{
    int result = 0;

    pthread_mutex_lock(&debugger->lock);
    bool was_stopping = debugger->is_stopping;
    if (!was_stopping)
        begin_stop(debugger);
    wait_until_halted(debugger);
    for (unsigned i = 0; i < GDB_HARTS_MAX; i++) {
        const struct debugged *thread = &debugger->threads[i];
        if (thread->state != DEBUGGED_FREE &&
            !debug_change_point(thread->task->hart, point->kind, point->at, point->size, insert))
            result = insert ? -ENOSPC : -ENOENT;
    }
    if (!was_stopping)
        end_stop(debugger);
    pthread_mutex_unlock(&debugger->lock);
    return result;
}

static int insert_point(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size)
{
    return change_points(owner, &(struct gdb_breakpoint){kind, at, size}, true);
}

static int remove_point(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size)
{
    return change_points(owner, &(struct gdb_breakpoint){kind, at, size}, false);
}

static void set_signal(void *owner, unsigned index, unsigned signal)
{
    thread_of(owner, index)->next_signal = gdb_signal_to_linux(signal);
}

static void resume_thread(struct debugger *debugger, struct debugged *thread,
                          enum gdb_action action)
{
    thread->action = action;
    if (thread->state == DEBUGGED_PARKED && !debugger->is_releasing)
        thread->signal = thread->next_signal;
    if (debugger->is_releasing)
        thread->is_told = true;
    thread->next_signal = 0;
}

static void resume(void *owner, const enum gdb_action *actions)
{
    struct debugger *debugger = owner;

    pthread_mutex_lock(&debugger->lock);
    for (unsigned i = 0; i < GDB_HARTS_MAX; i++)
        if (debugger->threads[i].state != DEBUGGED_FREE)
            resume_thread(debugger, &debugger->threads[i], actions[i]);
    /* The point that gdb has seen the task at shall not stop it again; others that have come
     * to one at the same time have still to report it. */
    const struct debugged *told = &debugger->threads[debugger->told_hart];
    if (told->state != DEBUGGED_FREE && told->task->hart->pc == debugger->told_pc)
        told->task->hart->debug.skip_breakpoint = true;
    debugger->has_stop = false;
    end_stop(debugger);
    pthread_mutex_unlock(&debugger->lock);
}

/* Passes on why the program has stopped. The lock is held, and released. */
static void tell_stop(struct debugger *debugger, struct gdb_stop stop)
{
    wait_until_halted(debugger);
    if (debugger->has_stop)
        stop = debugger->stop;
    debugger->has_stop = false;
    struct debugged *thread = &debugger->threads[stop.hart];
    thread->is_told = true;
    debugger->told_hart = stop.hart;
    debugger->told_pc = thread->state != DEBUGGED_FREE ? thread->task->hart->pc : 0;
    pthread_mutex_unlock(&debugger->lock);
    gdb_server_stopped(&debugger->server, &stop);
}

static void interrupt(void *owner)
{
    struct debugger *debugger = owner;
    struct gdb_stop stop = {.reason = GDB_STOP_SIGNAL, .signal = GDB_SIGNAL_INT};

    pthread_mutex_lock(&debugger->lock);
    while (stop.hart < GDB_HARTS_MAX - 1 && debugger->threads[stop.hart].state == DEBUGGED_FREE)
        stop.hart++;
    if (!debugger->is_stopping)
        begin_stop(debugger);
    tell_stop(debugger, stop);
}

static void detach(void *owner)
{
    (void)owner;
}

static void kill_process(void *owner)
{
    struct debugger *debugger = owner;

    debugger->is_killed = true;
}

static void monitor(void *owner, const char *command, char *text, size_t size)
{
    (void)owner;
    (void)command;
    snprintf(text, size, "there are no monitor commands for programs\n");
}

static void describe_hart(void *owner, unsigned index, char *text, size_t size)
{
    pid_t tid = thread_of(owner, index)->task->tid;
    char path[48];
    char name[32] = "";

    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, name, sizeof(name) - 1);
        name[length > 0 ? length : 0] = 0;
        name[strcspn(name, "\n")] = 0;
        close(fd);
    }
    snprintf(text, size, "%s, tid %d", name, (int)tid);
}

static size_t read_object(void *owner, enum gdb_object object, size_t offset, void *to, size_t size)
{
    const struct process *process = ((struct debugger *)owner)->process;
    size_t all = object == GDB_OBJECT_AUXV ? process->auxv_end - process->auxv_start
                                           : strlen(process->executable);

    if (offset >= all)
        return 0;
    size = MIN(size, all - offset);
    if (object == GDB_OBJECT_AUXV)
        return access_memory(process->auxv_start + offset, to, size, false);
    memcpy(to, process->executable + offset, size);
    return size;
}

static int64_t read_file(void *owner, const char *path, uint64_t offset, void *to, size_t size)
{
    const struct process *process = ((struct debugger *)owner)->process;
    NOT_CLEARED char host[PATH_MAX];
    struct stat status;

    path_resolve(process, path, host);
    int fd = open(host, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    int64_t result = -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && offset <= INT64_MAX)
        result = size ? pread(fd, to, size, (off_t)offset) : 0;
    close(fd);
    return result;
}

static void send_bytes(void *owner, const void *bytes, size_t size)
{
    struct debugger *debugger = owner;

    connection_send(&debugger->connection, bytes, size);
}

static void init_server(struct debugger *debugger)
{
    debugger->target = (struct gdb_target){
        .hart_count = GDB_HARTS_MAX,
        .osabi = "GNU/Linux",
        .is_spawned = true,
        .has_fpu = extension_set_has(&debugger->process->config.extensions, EXT_F),
        .owner = debugger,
        .read_register = read_register,
        .write_register = write_register,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .insert = insert_point,
        .remove = remove_point,
        .resume = resume,
        .interrupt = interrupt,
        .detach = detach,
        .kill = kill_process,
        .monitor = monitor,
        .describe_hart = describe_hart,
        .has_hart = has_hart,
        .set_signal = set_signal,
        .read_object = read_object,
        .read_file = read_file,
    };
    gdb_server_init(&debugger->server, &debugger->target, false, send_bytes, debugger);
}

/* ---- the server's thread ---- */

static void set_client(struct debugger *debugger, bool has_client)
{
    pthread_mutex_lock(&debugger->lock);
    debugger->has_client = has_client;
    pthread_mutex_unlock(&debugger->lock);
}

static void set_releasing(struct debugger *debugger, bool is_releasing)
{
    pthread_mutex_lock(&debugger->lock);
    debugger->is_releasing = is_releasing;
    pthread_mutex_unlock(&debugger->lock);
}

/* The client has left: the program goes on as if there had been none. */
static void forget_client(void *owner)
{
    struct debugger *debugger = owner;

    set_client(debugger, false);
    own_fds_remove(debugger->process, debugger->connection.client_fd);
    debugger->connection.client_fd = -1;
    set_releasing(debugger, true);
    gdb_server_reset(&debugger->server);
    set_releasing(debugger, false);
}

static void on_client(struct debugger *debugger)
{
    uint8_t bytes[4096];
    ssize_t count = connection_receive(&debugger->connection, bytes, sizeof(bytes));

    if (count < 0)
        forget_client(debugger);
    else
        gdb_server_receive(&debugger->server, bytes, (size_t)count);
}

static void on_connect(struct debugger *debugger)
{
    struct connection *connection = &debugger->connection;

    if (!connection_accept(connection, forget_client, debugger))
        return;
    connection->client_fd = own_fds_add(debugger->process, connection->client_fd);
    set_client(debugger, true);
}

static void on_wake(struct debugger *debugger)
{
    uint64_t count;

    if (read(debugger->wake_fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&debugger->lock);
    if (debugger->has_exit) {
        struct gdb_stop stop = debugger->stop;
        pthread_mutex_unlock(&debugger->lock);
        gdb_server_stopped(&debugger->server, &stop);
        connection_close(&debugger->connection);
        pthread_mutex_lock(&debugger->lock);
        debugger->exit_is_told = true;
        pthread_cond_broadcast(&debugger->changed);
    } else if (debugger->has_stop && debugger->server.running) {
        tell_stop(debugger, debugger->stop);
        return;
    }
    pthread_mutex_unlock(&debugger->lock);
}

/* All signals are the program's; 32 and 33, too, which the C library lets through. */
static void block_signals(void)
{
    const uint64_t all = UINT64_MAX;

    host_syscall_quick(__NR_rt_sigprocmask,
                       (const uint64_t[6]){SIG_SETMASK, host_argument(&all), 0, sizeof(all)});
}

static void *serve(void *argument)
{
    struct debugger *debugger = argument;

    block_signals();
    while (!debugger->exit_is_told) {
        struct connection *connection = &debugger->connection;
        struct pollfd fds[] = {
            {.fd = debugger->wake_fd, .events = POLLIN},
            {.fd = connection->listen_fd, .events = POLLIN},
            {.fd = connection->client_fd, .events = POLLIN},
        };
        if (poll(fds, ARRAY_LEN(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            on_wake(debugger);
        else if (fds[2].revents)
            on_client(debugger);
        else if (fds[1].revents)
            on_connect(debugger);
        if (debugger->is_killed)
            kill(getpid(), SIGKILL);
    }
    return NULL;
}

int debugger_start(struct process *process, struct error *err)
{
    struct debugger *debugger = calloc(1, sizeof(*debugger));
    pthread_t thread;

    if (!debugger)
        return error_set(err, -ENOMEM, "out of memory");
    debugger->process = process;
    int result = connection_open(&debugger->connection, process->config.gdb, err);
    if (result < 0) {
        free(debugger);
        return result;
    }
    debugger->connection.listen_fd = own_fds_add(process, debugger->connection.listen_fd);
    if (debugger->connection.place.name[0])
        debugger->connection.place.folder = own_fds_add(process, debugger->connection.place.folder);
    debugger->wake_fd = own_fds_add(process, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    pthread_mutex_init(&debugger->lock, NULL);
    pthread_cond_init(&debugger->changed, NULL);
    debugger->is_stopping = true;
    init_server(debugger);
    process->debugger = debugger;
    signals_debug(process, true);
    for (struct task *task = process->tasks; task; task = task->next)
        if (!debugger_add_task(task))
            return error_set(err, -EAGAIN, "there are too many threads for gdb");
    /* From here on the process ends with this thread, which is never joined. */
    return thread_start(&thread, "gdb", serve, debugger, err);
}
