/* SPDX-License-Identifier: Apache-2.0
 * The sandbox: its processes, and names inside and outside. */
#include "process/sandbox.h"

#include "process/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW_NAMESPACES                                                                         \
    (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
     CLONE_NEWCGROUP)

#define SETUP_FAILED 125
#define HIGH_FD      1000

/* What the processes tell each other. */
struct shared {
    int result; /* of the setup; negative: `err` says why */
    struct error err;
    bool has_status;
    int status; /* of the program, as by wait() */
};

struct signals {
    sigset_t mask;
    struct sigaction child;
};

/* ---- names ---- */

/* What follows `folder` in `path`, beginning with a slash or empty; NULL: it lies elsewhere. */
static const char *below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    while (length > 0 && folder[length - 1] == '/')
        length--;
    if (strncmp(path, folder, length) != 0 || (path[length] && path[length] != '/'))
        return NULL;
    return path + length;
}

static bool join(char to[PATH_MAX], const char *first, const char *second)
{
    return snprintf(to, PATH_MAX, "%s%s", first, second) < PATH_MAX;
}

/* The name inside of the host's `path`, an absolute one without links. False: it has none. */
static bool name_inside(const struct process_config *config, const char *path, char to[PATH_MAX])
{
    char host[PATH_MAX];

    for (unsigned i = 0; i < config->share_count; i++) {
        const char *rest = realpath(config->shares[i].host, host) ? below(path, host) : NULL;
        if (rest)
            return join(to, config->shares[i].guest, rest);
    }
    const char *rest =
        config->sysroot && realpath(config->sysroot, host) ? below(path, host) : NULL;
    return rest && join(to, "", *rest ? rest : "/");
}

static int plan_program(struct sandbox_plan *plan, struct error *err)
{
    const struct process_config *config = plan->config;
    struct process *process = calloc(1, sizeof(*process));
    struct error none = {0};
    char path[PATH_MAX];

    if (!process)
        return error_set(err, -ENOMEM, "out of memory");
    process->config.sysroot = config->sysroot;
    int found = program_find(process, config->program, path, &none);
    free(process);
    plan->has_program = found == 0 && realpath(path, plan->program);
    bool has_name = plan->has_program ? name_inside(config, plan->program, plan->guest_program) ||
                                            join(plan->guest_program, SANDBOX_PROGRAM,
                                                 strrchr(plan->program, '/'))
                                      : join(plan->guest_program, config->program, "");
    return has_name ? 0
                    : error_set(err, -ENAMETOOLONG, "'%s': the path is too long", config->program);
}

static int make_plan(struct sandbox_plan *plan, const struct process_config *config,
                     struct error *err)
{
    char folder[PATH_MAX];

    plan->config = config;
    plan->uid = getuid();
    plan->gid = getgid();
    if (!getcwd(folder, sizeof(folder)) || !name_inside(config, folder, plan->guest_folder))
        memcpy(plan->guest_folder, "/", 2);
    return plan_program(plan, err);
}

/* Our words without the sysroot, which is the root inside. */
static char *const *inner_words(char *const *words)
{
    size_t count = 0;

    while (words[count])
        count++;
    char **inner = calloc(count + 1, sizeof(*inner));
    for (size_t i = 0, at = 0; inner && i < count; i++) {
        if (strcmp(words[i], "-L") == 0 && i + 1 < count)
            i++;
        else
            inner[at++] = words[i];
    }
    return inner;
}

static int rename_things(struct process_config *config, struct sandbox_plan *plan,
                         struct error *err)
{
    char *program = strdup(plan->guest_program);

    config->own_words = inner_words(config->own_words);
    if (!program || !config->own_words) {
        free(program);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (!config->argv0)
        config->argv0 = config->program;
    config->program = program;
    config->sysroot = NULL;
    int fd = open(SANDBOX_SELF, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno, "--sandbox: %s: %s", SANDBOX_SELF, strerror(errno));
    /* Programs expect the lowest numbers. */
    config->self_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (config->self_fd < 0)
        config->self_fd = fd;
    else
        close(fd);
    return 0;
}

/* ---- namespaces ---- */

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int result = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return result;
}

/* The user is nobody else inside, and nobody else exists. */
static int map_user(const struct sandbox_plan *plan)
{
    char text[64];
    int result = write_text("/proc/self/setgroups", "deny");

    snprintf(text, sizeof(text), "%u %u 1", (unsigned)plan->uid, (unsigned)plan->uid);
    if (result == 0)
        result = write_text("/proc/self/uid_map", text);
    snprintf(text, sizeof(text), "%u %u 1", (unsigned)plan->gid, (unsigned)plan->gid);
    return result == 0 ? write_text("/proc/self/gid_map", text) : result;
}

/* So that a program's parts can talk to each other by 127.0.0.1. */
static void raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}

/* From an open folder paths lead everywhere. */
static int check_standard_descriptors(struct error *err)
{
    struct stat status;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
            return error_set(err, -EINVAL,
                             "--sandbox: descriptor %d is a folder, by which the program would get "
                             "out",
                             fd);
    return 0;
}

static int set_up(struct sandbox_plan *plan, struct error *err)
{
    int result = check_standard_descriptors(err);

    if (result < 0)
        return result;
    result = map_user(plan);

    if (result < 0)
        return error_set(err, result, "--sandbox: cannot map the user: %s", strerror(-result));
    raise_loopback();
    result = sandbox_gather(plan, err);
    if (result == 0)
        result = sandbox_assemble(plan, err);
    if (result == 0 && chdir(plan->guest_folder) < 0 && chdir("/") < 0)
        result = error_set(err, -errno, "--sandbox: %s: %s", plan->guest_folder, strerror(errno));
    /* Nothing else of the outside comes in by an open descriptor. */
    if (result == 0 && close_range(STDERR_FILENO + 1, ~0u, 0) < 0)
        result = error_set(err, -errno, "--sandbox: cannot close descriptors: %s", strerror(errno));
    return result == 0 ? sandbox_restrict(plan, err) : result;
}

/* ---- processes ---- */

static void wait_for_signal(siginfo_t *info)
{
    sigset_t all;

    sigfillset(&all);
    while (sigwaitinfo(&all, info) < 0)
        ;
}

/* Sent by a process; those of a terminal reach the whole group without us. */
static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

/* Reaps until the program has ended. All processes in here end with this one. */
static NORETURN void run_init(pid_t program, struct shared *shared)
{
    for (;;) {
        siginfo_t info;
        int status;
        wait_for_signal(&info);
        if (info.si_signo != SIGCHLD) {
            if (is_sent(&info))
                kill(program, info.si_signo);
            continue;
        }
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid != program)
                continue;
            shared->status = status;
            shared->has_status = true;
            _exit(0);
        }
    }
}

static void restore_signals(const struct signals *saved)
{
    sigaction(SIGCHLD, &saved->child, NULL);
    sigprocmask(SIG_SETMASK, &saved->mask, NULL);
}

/* Ends as the program did. */
static NORETURN void end_as(int status)
{
    const struct rlimit none = {0};
    sigset_t set;

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    setrlimit(RLIMIT_CORE, &none);
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

static bool is_job_control(int signal)
{
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* Waits for init and passes on what is sent to us. Returns how init ended. */
static int wait_outside(pid_t init)
{
    int status;

    for (;;) {
        siginfo_t info;
        wait_for_signal(&info);
        if (info.si_signo == SIGCHLD) {
            if (waitpid(init, &status, WNOHANG) == init)
                return status;
        } else if (is_sent(&info) || info.si_signo == SIGCONT) {
            kill(init, info.si_signo);
        } else if (is_job_control(info.si_signo)) {
            kill(getpid(), SIGSTOP); /* with the program, whose group is ours */
        }
    }
}

static void save_signals(struct signals *saved)
{
    const struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &saved->mask);
    sigaction(SIGCHLD, &plain, &saved->child);
}

/* In init. Returns in the program's process. */
static void become_inner(struct sandbox_plan *plan, struct process_config *config,
                         struct shared *shared, const struct signals *saved)
{
    /* As if we were one process. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    shared->result = set_up(plan, &shared->err);
    if (shared->result == 0)
        shared->result = rename_things(config, plan, &shared->err);
    if (shared->result < 0)
        _exit(SETUP_FAILED);
    /* What is inside shall not meddle with init, whose word counts outside. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    pid_t program = fork();
    if (program < 0) {
        shared->result =
            error_set(&shared->err, -errno, "--sandbox: cannot fork: %s", strerror(errno));
        _exit(SETUP_FAILED);
    }
    if (program > 0)
        run_init(program, shared);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, 0);
    restore_signals(saved);
}

static int explain_clone(int error, struct error *err)
{
    return error_set(err, error,
                     "--sandbox: this system lets you make no namespaces (%s); see the sysctls "
                     "user.max_user_namespaces and kernel.unprivileged_userns_clone",
                     strerror(-error));
}

/* In the process outside: ends as the program, or returns why there is none. */
static int await(pid_t init, struct shared *shared, const struct signals *saved, struct error *err)
{
    int status = wait_outside(init);

    if (shared->result == 0)
        end_as(shared->has_status ? shared->status : status);
    restore_signals(saved);
    return error_set(err, shared->result, "%s", shared->err.text);
}

static int enter(struct sandbox_plan *plan, struct process_config *config, struct error *err)
{
    struct signals saved;
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        return error_set(err, -errno, "out of memory");
    save_signals(&saved);
    pid_t init = (pid_t)syscall(SYS_clone, NEW_NAMESPACES | SIGCHLD, 0, 0, 0, 0);
    int result = 0;
    if (init == 0)
        become_inner(plan, config, shared, &saved);
    else if (init > 0)
        result = await(init, shared, &saved, err);
    else
        result = explain_clone(-errno, err);
    if (init < 0)
        restore_signals(&saved);
    munmap(shared, sizeof(*shared));
    return result;
}

int process_sandbox_enter(struct process_config *config, struct error *err)
{
    struct sandbox_plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        return error_set(err, -ENOMEM, "out of memory");
    int result = make_plan(plan, config, err);
    if (result == 0)
        result = enter(plan, config, err);
    for (unsigned i = 0; i < plan->mount_count; i++) {
        free(plan->mounts[i].guest);
        free(plan->mounts[i].target);
    }
    free(plan);
    return result < 0 ? -ECANCELED : 0;
}
