/* SPDX-License-Identifier: Apache-2.0
 * The processes that serve a machine's shared folders. */
#include "backend/files/server.h"

#include "backend/files/share.h"
#include "base/log.h"
#include "host/clock.h"
#include "host/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 4,
    FAILED = 125,
    FIRST_FREE_FD = 3,
    RESERVED_FDS = 32,
    DESCRIPTORS_LEAST = 64,
    OPEN_MOST = 1 << 16,
    LOCK_FILES_MOST = 4096,
    FOLDERS_MOST = 2048,
    NODES_MOST = 1 << 20,
    /* A worker that has just served looks for more for so long before it sleeps, when
     * that has lately been worth it: a guest that does one thing after the other comes
     * back sooner, and waking a thread takes longer than serving it. */
    SPIN_NS = 200000,
    CREDIT_MOST = 8,
    CREDIT_WON = 2,
    /* Requests that wait for locks are tried again after so long, which doubles. They must leave
     * slots to those that let go. */
    RETRY_FIRST_NS = 1000000,
    RETRY_MOST_NS = 32000000,
    WAITS_MOST = CHANNEL_SLOTS / 2,
};

_Static_assert(WAITS_MOST <= SHARE_WAITS_MOST, "a share knows all that wait");

struct server {
    const struct server_config *config;
    struct share *shares[SERVER_MAX_SHARES];
    _Atomic int credit;         /* how often spinning may still be in vain */
    _Atomic uint64_t served_ns; /* when the last request was */
    _Atomic int waits_left;     /* lock requests that may still begin to wait */

    pthread_mutex_t wait_lock;
    pthread_cond_t wait_changed;
    uint64_t waiting; /* bit per slot whose request is to be tried again; guarded */
};

_Static_assert(CHANNEL_SLOTS <= 64, "a bit per slot");

/* ---- the server ---- */

static void serve(struct server *server, unsigned number)
{
    struct channel *channel = server->config->channel;
    struct channel_slot *shared = &channel->slots[number];
    struct channel_slot slot = *shared;
    uint8_t *bytes = channel_bytes(channel, number);
    size_t size = 0;

    /* The machine's process may be in the hands of its guest. */
    if (slot.share < server->config->share_count && slot.size <= slot.reply_at &&
        slot.reply_at <= CHANNEL_SLOT_SIZE && slot.room <= CHANNEL_SLOT_SIZE - slot.reply_at)
        size = share_serve(server->shares[slot.share], bytes, slot.size, bytes + slot.reply_at,
                           slot.room);
    if (size == SHARE_LATER) {
        pthread_mutex_lock(&server->wait_lock);
        server->waiting |= UINT64_C(1) << number;
        pthread_cond_signal(&server->wait_changed);
        pthread_mutex_unlock(&server->wait_lock);
        return;
    }
    shared->reply_size = (uint32_t)size;
    channel_finish(channel, number);
}

/* Takes all that wait; sleeps as long as nothing does. */
static uint64_t take_waiting(struct server *server)
{
    pthread_mutex_lock(&server->wait_lock);
    while (!server->waiting)
        pthread_cond_wait(&server->wait_changed, &server->wait_lock);
    uint64_t waiting = server->waiting;
    server->waiting = 0;
    pthread_mutex_unlock(&server->wait_lock);
    return waiting;
}

/* Locks have no queue that one could wait in without a thread for each: they are asked for again
 * and again, the less often the longer it takes. A hostile machine costs this thread's time. */
static void *retry(void *argument)
{
    struct server *server = argument;
    uint64_t delay = RETRY_FIRST_NS;
    uint64_t before = 0;

    for (;;) {
        uint64_t waiting = take_waiting(server);
        /* Somebody new, or somebody has got it: things move. */
        delay = waiting == before ? MIN(delay * 2, RETRY_MOST_NS) : RETRY_FIRST_NS;
        before = waiting;
        nanosleep(&(struct timespec){.tv_nsec = (long)delay}, NULL);
        for (unsigned i = 0; i < CHANNEL_SLOTS; i++)
            if (waiting >> i & 1)
                serve(server, i);
    }
    return NULL;
}

static void add_credit(struct server *server, int change)
{
    int credit = atomic_load_explicit(&server->credit, memory_order_relaxed) + change;

    atomic_store_explicit(&server->credit, MAX(MIN(credit, CREDIT_MOST), 0), memory_order_relaxed);
}

static bool has_work(const struct channel *channel)
{
    return atomic_load_explicit(&channel->submitted, memory_order_relaxed) !=
           atomic_load_explicit(&channel->taken, memory_order_relaxed);
}

/* True: there may be something to do. The first worker only. */
static bool spin(struct server *server)
{
    struct channel *channel = server->config->channel;

    if (!server->config->may_spin ||
        atomic_load_explicit(&server->credit, memory_order_relaxed) == 0)
        return false;
    uint64_t end = clock_monotonic_ns() + SPIN_NS;
    bool found = false;
    atomic_store(&channel->is_first_looking, 1);
    while (!found && clock_monotonic_ns() < end) {
        for (unsigned i = 0; i < 16 && !found; i++) {
            found = has_work(channel);
            __builtin_ia32_pause();
        }
    }
    /* Whatever came before this is seen by channel_take or channel_sleep. */
    atomic_store(&channel->is_first_looking, 0);
    add_credit(server, found ? CREDIT_WON : -1);
    return found;
}

/* After a sleep: spinning would have been worth it when the next came soon. */
static void note_wake(struct server *server)
{
    uint64_t served = atomic_load_explicit(&server->served_ns, memory_order_relaxed);

    if (clock_monotonic_ns() - served < SPIN_NS)
        add_credit(server, 1);
}

static void work(struct server *server, bool is_first)
{
    struct channel *channel = server->config->channel;
    bool has_served = false;

    for (;;) {
        int slot = channel_take(channel);
        if (slot >= 0) {
            if (is_first && !has_served)
                note_wake(server);
            serve(server, (unsigned)slot);
            atomic_store_explicit(&server->served_ns, clock_monotonic_ns(), memory_order_relaxed);
            has_served = true;
        } else if (!is_first || !has_served || !spin(server)) {
            has_served = false;
            channel_sleep(channel, is_first);
        }
    }
}

static void *help(void *argument)
{
    work(argument, false);
    return NULL;
}

/* How many descriptors each share may use. */
static unsigned raise_limit(unsigned shares)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024 / shares;
    limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)2 * OPEN_MOST);
    setrlimit(RLIMIT_NOFILE, &limit);
    uint64_t left = limit.rlim_cur > RESERVED_FDS ? limit.rlim_cur - RESERVED_FDS : 0;
    return (unsigned)MAX(left, DESCRIPTORS_LEAST) / shares;
}

static int create_shares(struct server *server, mode_t mask, uint32_t incarnation,
                         struct error *err)
{
    const struct server_config *config = server->config;
    unsigned descriptors = raise_limit(config->share_count);

    for (unsigned i = 0; i < config->share_count; i++) {
        struct share_config share = {
            .root_fd = config->shares[i].root_fd,
            .read_only = config->shares[i].read_only,
            .uid = config->shares[i].uid,
            .gid = config->shares[i].uid,
            .umask = mask,
            .incarnation = incarnation,
            .nodes_most = NODES_MOST,
            .folders_most = MAX(MIN(descriptors / 4, FOLDERS_MOST), 16),
            .open_most = MIN(descriptors / 2, OPEN_MOST),
            .pages_most = CHANNEL_PAGES,
            .has_locks = config->shares[i].has_locks,
            .lock_files_most = MIN(descriptors / 8, LOCK_FILES_MOST),
            .waits_left = &server->waits_left,
            .self_fds = "",
        };
        int result = share_create(&share, &server->shares[i], err);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Ends with the process that started it. */
static void follow(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(FAILED);
}

static bool has_locks(const struct server_config *config)
{
    for (unsigned i = 0; i < config->share_count; i++)
        if (config->shares[i].has_locks)
            return true;
    return false;
}

_Noreturn static void run_server(const struct server_config *config, uint32_t incarnation)
{
    struct server server = {
        .config = config,
        .waits_left = WAITS_MOST,
        .wait_lock = PTHREAD_MUTEX_INITIALIZER,
        .wait_changed = PTHREAD_COND_INITIALIZER,
    };
    struct error err = {0};
    sigset_t none;
    mode_t mask = umask(0);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int result = chdir("/proc/self/fd");

    if (result < 0)
        result = error_set(&err, -errno, "cannot use /proc/self/fd: %s", strerror(errno));
    if (result == 0 && config->enter_jail)
        result = config->enter_jail(config->owner, config);
    if (result == 0)
        result = create_shares(&server, mask, incarnation, &err);
    for (unsigned i = 1; result == 0 && i < WORKERS; i++) {
        pthread_t thread;
        result = thread_start(&thread, "files-worker", help, &server, &err);
    }
    if (result == 0 && has_locks(config)) {
        pthread_t thread;
        result = thread_start(&thread, "files-retry", retry, &server, &err);
    }
    if (result < 0) {
        log_error("files", "the file server cannot start: %s", err.text);
        _exit(FAILED);
    }
    work(&server, true);
    _exit(0);
}

/* ---- the keeper ---- */

static bool is_share(const struct server_config *config, int fd)
{
    for (unsigned i = 0; i < config->share_count; i++)
        if (config->shares[i].root_fd == fd)
            return true;
    return false;
}

/* Closes what is neither a share's nor `control_fd`, but for standard error. */
static void close_others(const struct server_config *config, int control_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int most = control_fd;

    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
    }
    for (unsigned i = 0; i < config->share_count; i++)
        most = MAX(most, config->shares[i].root_fd);
    for (int fd = FIRST_FREE_FD; fd < most; fd++)
        if (fd != control_fd && !is_share(config, fd))
            close(fd);
    close_range((unsigned)most + 1, ~0u, 0);
}

static void set_signals(sigset_t *awaited)
{
    static const int handled[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD};

    sigemptyset(awaited);
    sigaddset(awaited, SIGCHLD);
    for (unsigned i = 0; i < ARRAY_LEN(handled); i++)
        signal(handled[i], SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    /* A file that grows beyond the user's limit is an error, not the end. */
    signal(SIGXFSZ, SIG_IGN);
    sigprocmask(SIG_SETMASK, awaited, NULL);
}

/* Waits until the server has ended by itself. When the machine ends, so does the server,
 * and the keeper with it. A signal at the death of the machine's process would not do: one
 * that is in a sandbox may send none. */
static void await_end(pid_t server, int child_fd, int control_fd)
{
    struct pollfd fds[] = {{.fd = control_fd, .events = POLLIN},
                           {.fd = child_fd, .events = POLLIN}};
    struct signalfd_siginfo info;

    while (waitpid(server, NULL, WNOHANG) == 0) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0)
            continue;
        if (fds[1].revents && read(child_fd, &info, sizeof(info)) < 0)
            continue;
        if (!fds[0].revents)
            continue;
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        _exit(0);
    }
}

_Noreturn void server_keep(const struct server_config *config, int control_fd)
{
    uint32_t incarnation = 0;
    sigset_t awaited;

    set_signals(&awaited);
    setsid(); /* a terminal's signals are not for us */
    prctl(PR_SET_NAME, "doppel-keeper");
    close_others(config, control_fd);
    int child_fd = signalfd(-1, &awaited, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        char word = SERVER_GONE;
        pid_t keeper = getpid();
        pid_t pid = child_fd < 0 ? -1 : fork();
        if (pid == 0) {
            follow(keeper);
            prctl(PR_SET_NAME, "doppel-files");
            close(control_fd);
            close(child_fd);
            run_server(config, ++incarnation);
        }
        incarnation++;
        if (pid > 0)
            await_end(pid, child_fd, control_fd);
        if (send(control_fd, &word, 1, MSG_NOSIGNAL) != 1 || recv(control_fd, &word, 1, 0) != 1 ||
            word != SERVER_START)
            _exit(0);
    }
}
