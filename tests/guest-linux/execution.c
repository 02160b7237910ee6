/* SPDX-License-Identifier: Apache-2.0
 * Executing programs: this one again, scripts, others, what is none; what a new program
 * finds, and what it does not. The first argument says which part a run plays. */
#include "check.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

extern char **environ;
static char self[PATH_MAX];

#define RUN(...) run(self, (char *[]){__VA_ARGS__, NULL}, environ)

/* Executes in a child: its exit code; -errno when that failed, -1000 - n for a signal. */
static int run(const char *path, char *const *arguments, char *const *environment)
{
    int *error = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = check_fork();
    if (child == 0) {
        execve(path, arguments, environment);
        *error = errno;
        _exit(127);
    }
    int status = check_wait(child), failed = *error;
    munmap(error, PAGE);
    if (failed)
        return -failed;
    return WIFSIGNALED(status) ? -1000 - WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- arguments and environment ---- */

static int part_arguments(int count, char **arguments)
{
    check_equal(count, 5, "all arguments arrive");
    check_string(arguments[0], "any name", "the first is what was given");
    check_string(arguments[2], "", "an argument may be empty");
    check_string(arguments[3], "with space 'and \"quotes\" \\ \t\n", "or have any bytes");
    check_equal((long)strlen(arguments[4]), 100000, "or be long");
    check_string(environ[0], "FIRST=1", "the environment is what was given");
    check_string(environ[1], "no equals sign", "to the byte");
    CHECK(environ[2] == NULL, "and nothing else");
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[size < 0 ? 0 : size] = 0;
    check_string((const char *)getauxval(AT_EXECFN), path,
                 "AT_EXECFN is the path that was executed");
    return check_status();
}

static int part_count(int count, char **arguments)
{
    long sum = 0;
    for (int i = 2; i < count; i++)
        sum += atoi(arguments[i]);
    return count == 3002 && sum == 3000l * 2999 / 2 ? 0 : 1;
}

static int part_none(int count, char **arguments)
{
    (void)count, (void)arguments;
    return environ[0] == NULL ? 0 : 1;
}

static void test_arguments(void)
{
    char *large = malloc(131073);
    memset(large, 'l', 131072);
    large[100000] = 0;
    char *environment[] = {"FIRST=1", "no equals sign", NULL};
    char *arguments[] = {"any name", "arguments", "", "with space 'and \"quotes\" \\ \t\n",
                         large,      NULL};
    check_equal(run(self, arguments, environment), 0, "the program with arguments is content");
    large[100000] = 'l';
    large[131072] = 0;
    check_equal(run(self, arguments, environment), -E2BIG, "an argument of 128 KiB is too long");
    free(large);
    char **many = calloc(3003, sizeof(*many)), numbers[3000][8];
    many[0] = self;
    many[1] = "count";
    for (int i = 0; i < 3000; i++) {
        snprintf(numbers[i], 8, "%d", i);
        many[i + 2] = numbers[i];
    }
    check_equal(run(self, many, environ), 0, "3000 arguments arrive");
    free(many);
    check_equal(run(self, (char *[]){self, "none", NULL}, NULL), 0, "no environment is empty");
    check_fails(syscall(SYS_execve, self, ADDRESSES_END, NULL), EFAULT,
                "arguments come from memory");
    check_fails(syscall(SYS_execve, NULL, NULL, NULL), EFAULT, "a path, too");
    char *bad[] = {self, (char *)ADDRESSES_END, NULL};
    check_fails(syscall(SYS_execve, self, bad, NULL), EFAULT, "each of them");
    for (int code = 0; code < 256; code += 85) {
        char text[8];
        snprintf(text, sizeof(text), "%d", code);
        check_equal(RUN(self, "code", text), code, check_name("its exit code is %d", code));
    }
    check_equal(RUN(self, "die"), -1000 - SIGTERM, "its death by a signal is seen");
}

/* ---- what is kept ---- */

static int part_descriptors(int count, char **arguments)
{
    (void)count, (void)arguments;
    char byte = 0;
    check_equal(read(50, &byte, 1), 1, "an open file is kept");
    check_equal(byte, 'b', "with its offset");
    check_fails(fcntl(51, F_GETFD), EBADF, "one with FD_CLOEXEC is closed");
    check_equal(MUST(dup(0)), 3, "the lowest free descriptor is 3");
    return check_status();
}

static int part_signals(int count, char **arguments)
{
    (void)count, (void)arguments;
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    CHECK(action.sa_handler == SIG_IGN, "an ignored signal stays ignored");
    sigaction(SIGUSR2, NULL, &action);
    CHECK(action.sa_handler == SIG_DFL, "one with a handler gets its default");
    check_equal(action.sa_flags & ~SA_RESTART, 0, "without flags");
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    check_equal(sigismember(&set, SIGHUP) * 10 + sigismember(&set, SIGUSR2), 10,
                "a blocked signal stays blocked");
    sigpending(&set);
    check_equal(sigismember(&set, SIGHUP), 1, "and pending");
    stack_t stack;
    sigaltstack(NULL, &stack);
    check_equal(stack.ss_flags, SS_DISABLE, "the stack for signals is gone");
    struct itimerval timer;
    getitimer(ITIMER_REAL, &timer);
    check_between(timer.it_value.tv_sec, 1, 100, "the alarm goes on");
    return check_status();
}

static int part_identity(int count, char **arguments)
{
    if (!CHECK(count == 4, "two numbers arrive"))
        return 1;
    check_equal(getpid(), atol(arguments[2]), "the pid is kept");
    check_equal(gettid(), getpid(), "the thread's id is the pid");
    check_equal(getppid(), atol(arguments[3]), "the parent is kept");
    char name[32] = "";
    prctl(PR_GET_NAME, name);
    char *slash = strrchr(self, '/');
    char wanted[16] = "";
    snprintf(wanted, sizeof(wanted), "%.15s", slash ? slash + 1 : self);
    check_string(name, wanted, "the name is the file's");
    check_equal((long)umask(0), 031, "umask is kept");
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    check_equal((long)limit.rlim_cur, 300, "limits are kept");
    CHECK(access("here", F_OK) == 0, "the folder is kept");
    check_equal(getpriority(PRIO_PROCESS, 0) >= 2, 1, "priority is kept");
    return check_status();
}

static void ignore(int number)
{
    (void)number;
}

static void test_keeping(void)
{
    int fd = must_make_file("kept", "ab");
    MUST(lseek(fd, 1, SEEK_SET));
    MUST(dup2(fd, 50));
    MUST(dup3(fd, 51, O_CLOEXEC));
    check_equal(RUN(self, "descriptors"), 0, "the program with descriptors is content");
    close(50);
    close(51);
    close(fd);
    pid_t child = check_fork();
    if (child == 0) {
        static char stack_memory[16384];
        stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof(stack_memory)};
        sigaltstack(&stack, NULL);
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, ignore);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGHUP);
        alarm(100);
        execl(self, self, "signals", NULL);
        _exit(127);
    }
    check_equal(check_wait(child), 0, "the program with signals is content");
    close(must_make_file("here", ""));
    child = check_fork();
    if (child == 0) {
        char pid[16], parent[16];
        snprintf(pid, sizeof(pid), "%d", getpid());
        snprintf(parent, sizeof(parent), "%d", getppid());
        struct rlimit limit = {300, 300};
        setrlimit(RLIMIT_NOFILE, &limit);
        umask(031);
        if (nice(2) == -1)
            _exit(126);
        execl(self, self, "identity", pid, parent, NULL);
        _exit(127);
    }
    check_equal(check_wait(child), 0, "the program with an identity is content");
}

/* ---- threads and memory ---- */

static void *execute_from_thread(void *pid)
{
    char parent[16];
    snprintf(parent, sizeof(parent), "%d", getppid());
    execl(self, self, "thread", pid, parent, NULL);
    _exit(127);
}

static int part_thread(int count, char **arguments)
{
    (void)count;
    sleep_ms(20);
    return getpid() == atoi(arguments[2]) && gettid() == getpid() ? 0 : 1;
}

static void *spin(void *unused)
{
    for (volatile long i = 0;; i++)
        ;
    return unused;
}

static void test_threads(void)
{
    pid_t child = check_fork();
    if (child == 0) {
        static char pid[16];
        snprintf(pid, sizeof(pid), "%d", getpid());
        pthread_t thread;
        pthread_create(&thread, NULL, spin, NULL);
        pthread_create(&thread, NULL, execute_from_thread, pid);
        for (;;)
            pause();
    }
    check_equal(check_wait(child), 0, "a thread that executes becomes the main thread");
    volatile int error = 0;
    child = vfork();
    if (child == 0) {
        execl("./nothing", "nothing", NULL);
        error = errno;
        _exit(1);
    }
    check_wait(child);
    check_equal(error, ENOENT, "vfork's child can tell that executing failed");
    child = vfork();
    if (child == 0) {
        execl(self, self, "code", "9", NULL);
        _exit(1);
    }
    check_equal(check_wait(child), 9 << 8, "and execute");
}

/* ---- kinds of files ---- */

static int part_script(int count, char **arguments)
{
    check_equal(count, 4, "a script's interpreter gets its option, the script and arguments");
    check_string(arguments[0], self, "its own name first");
    check_string(arguments[2], "./script", "then the script as it was named");
    check_string(arguments[3], "more", "then what was given to it");
    char name[32] = "";
    prctl(PR_GET_NAME, name);
    check_string(name, "script", "the process is named like the script");
    return check_status();
}

static void make_program(const char *name, const char *contents, mode_t mode)
{
    int fd = must_make_file(name, contents);
    MUST(fchmod(fd, mode));
    close(fd);
}

static void test_scripts(void)
{
    char text[PATH_MAX + 100], *more[] = {"zero", "more", NULL};
    snprintf(text, sizeof(text), "#!%s script\nanything", self);
    make_program("script", text, 0755);
    check_equal(run("./script", more, environ), 0, "a script runs");
    snprintf(text, sizeof(text), "#! \t%s \t two words \nanything", self);
    make_program("spaces", text, 0755);
    check_equal(run("./spaces", more, environ), 0, "its option may have spaces");
    snprintf(text, sizeof(text), "#!./spaces");
    make_program("nested", text, 0755);
    check_equal(run("./nested", more, environ), 0, "a script may be another's interpreter");
    make_program("missing", "#!/nowhere/at/all\n", 0755);
    check_equal(run("./missing", more, environ), -ENOENT, "an interpreter must be there");
    make_program("loop", "#!./loop\n", 0755);
    check_equal(run("./loop", more, environ), -ELOOP, "a script is not its own interpreter");
    make_program("nothing-behind", "#!\n", 0755);
    check_equal(run("./nothing-behind", more, environ), -ENOEXEC, "an interpreter has a name");
}

static void test_what_is_no_program(void)
{
    char *none[] = {"x", NULL};
    check_equal(run("./absent", none, environ), -ENOENT, "what is not there is not executed");
    check_equal(run(".", none, environ), -EACCES, "a folder is not executed");
    check_equal(run("", none, environ), -ENOENT, "the empty path, neither");
    check_equal(run("here/x", none, environ), -ENOTDIR, "nor a path through a file");
    make_program("text", "just text\n", 0644);
    check_equal(run("./text", none, environ), -EACCES, "nor what has no x-bit");
    MUST(chmod("text", 0755));
    check_equal(run("./text", none, environ), -ENOEXEC, "text is no program");
    make_program("empty", "", 0755);
    check_equal(run("./empty", none, environ), -ENOEXEC, "nothing is no program");
    MUST(mkfifo("fifo", 0755));
    check_equal(run("./fifo", none, environ), -EACCES, "a FIFO is no program");
    char head[64];
    int fd = (int)MUST(open(self, O_RDONLY));
    MUST(read(fd, head, sizeof(head)));
    close(fd);
    fd = must_make_file("half", "");
    MUST(write(fd, head, sizeof(head)));
    MUST(fchmod(fd, 0755));
    close(fd);
    int got = run("./half", none, environ);
    CHECK(got == -ENOEXEC || got == -EIO, "a program's first 64 bytes are none");
    MUST(symlink("dangling", "dangling"));
    check_equal(run("./dangling", none, environ), -ELOOP, "a link to itself is none");
    MUST(symlink(self, "link"));
    char *code[] = {"link", "code", "5", NULL};
    check_equal(run("./link", code, environ), 5, "a link to a program is one");
    check_equal(RUN(self, "path-of-exe"), 0, "/proc/self/exe is a program");
}

static int part_path_of_exe(int count, char **arguments)
{
    (void)count, (void)arguments;
    execl("/proc/self/exe", "again", "code", "0", NULL);
    return 1;
}

static void test_others(void)
{
    char *code[] = {"sh", "-c", "exit 7", NULL};
    if (access("/bin/sh", X_OK) != 0) {
        check_skip("the shell of the system runs", "there is no /bin/sh");
        return;
    }
    check_equal(run("/bin/sh", code, environ), 7, "the shell of the system runs");
    int fds[2];
    MUST(pipe(fds));
    pid_t child = check_fork();
    if (child == 0) {
        MUST(dup2(fds[1], STDOUT_FILENO));
        execl("/bin/sh", "sh", "-c", "echo \"$1 $VARIABLE\"", "name", "said", NULL);
        _exit(127);
    }
    close(fds[1]);
    char text[64] = "";
    MUST(read(fds[0], text, sizeof(text) - 1));
    close(fds[0]);
    check_wait(child);
    check_string(text, "said value\n", "with arguments, variables and descriptors");
    check_equal(system("exit 3"), 3 << 8, "system runs a command");
    FILE *stream = popen("echo popen", "r");
    CHECK(stream && fgets(text, sizeof(text), stream) && strcmp(text, "popen\n") == 0,
          "popen reads from one");
    if (stream)
        check_equal(pclose(stream), 0, "pclose tells its status");
}

/* ---- other ways ---- */

static void test_spawn(void)
{
    pid_t child = 0;
    char *arguments[] = {self, "code", "17", NULL};
    check_equal(posix_spawn(&child, self, NULL, NULL, arguments, environ), 0, "posix_spawn starts");
    check_equal(check_wait(child), 17 << 8, "a program");
    check_equal(posix_spawn(&child, "./absent", NULL, NULL, arguments, environ), ENOENT,
                "posix_spawn tells ENOENT");
    check_equal(posix_spawn(&child, ".", NULL, NULL, arguments, environ), EACCES,
                "posix_spawn tells EACCES");
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 50, "kept", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 50, 0);
    sigset_t set;
    sigemptyset(&set);
    posix_spawnattr_setsigmask(&attributes, &set);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    char *check_input[] = {self, "input", NULL};
    check_equal(posix_spawn(&child, self, &actions, &attributes, check_input, environ), 0,
                "posix_spawn does things before");
    check_equal(check_wait(child), 0, "as was wanted");
    posix_spawn_file_actions_addopen(&actions, 60, "absent/file", O_RDONLY, 0);
    check_equal(posix_spawn(&child, self, &actions, NULL, check_input, environ), ENOENT,
                "and tells when it cannot");
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
}

static int part_input(int count, char **arguments)
{
    (void)count, (void)arguments;
    char bytes[2];
    return read(0, bytes, 2) == 2 && bytes[0] == 'a' && getpgrp() == getpid() ? 0 : 1;
}

static void test_by_descriptor(void)
{
    int fd = (int)MUST(open(self, O_RDONLY | O_CLOEXEC));
    char *arguments[] = {"by descriptor", "code", "23", NULL};
    pid_t child = check_fork();
    if (child == 0) {
        fexecve(fd, arguments, environ);
        _exit(127);
    }
    check_equal(check_wait(child), 23 << 8, "fexecve executes an open file");
    child = check_fork();
    if (child == 0) {
        int folder = open(".", O_RDONLY | O_DIRECTORY);
        syscall(SYS_execveat, folder, "link", arguments, environ, 0);
        _exit(127);
    }
    check_equal(check_wait(child), 23 << 8, "execveat executes in a folder");
    check_fails(syscall(SYS_execveat, AT_FDCWD, "link", arguments, environ, AT_SYMLINK_NOFOLLOW),
                ELOOP, "and does not follow links if told so");
    check_fails(syscall(SYS_execveat, AT_FDCWD, "link", arguments, environ, 0x40000000), EINVAL,
                "and knows no other flags");
    check_fails(syscall(SYS_execveat, 999, "", arguments, environ, AT_EMPTY_PATH), EBADF,
                "a bad descriptor is no program");
    close(fd);
    setenv("PATH", "/nowhere:.", 1);
    child = check_fork();
    if (child == 0) {
        execlp("link", "link", "code", "31", NULL);
        _exit(127);
    }
    check_equal(check_wait(child), 31 << 8, "execvp searches the path");
}

static int part_code(int count, char **arguments)
{
    return count > 2 ? atoi(arguments[2]) : 99;
}

static int part_die(int count, char **arguments)
{
    (void)count, (void)arguments;
    return raise(SIGTERM);
}

static int part_two_words(int count, char **arguments)
{
    return count >= 4 && strcmp(arguments[1], "two words") == 0 ? 0 : 1;
}

static const struct {
    const char *name;
    int (*run)(int count, char **arguments);
} parts[] = {
    {"arguments", part_arguments},
    {"count", part_count},
    {"none", part_none},
    {"descriptors", part_descriptors},
    {"signals", part_signals},
    {"identity", part_identity},
    {"thread", part_thread},
    {"script", part_script},
    {"two words", part_two_words},
    {"path-of-exe", part_path_of_exe},
    {"input", part_input},
    {"code", part_code},
    {"die", part_die},
};

int main(int count, char **arguments)
{
    ssize_t size = MUST(readlink("/proc/self/exe", self, sizeof(self) - 1));
    self[size] = 0;
    for (size_t i = 0; count > 1 && i < COUNT(parts); i++)
        if (strcmp(arguments[1], parts[i].name) == 0)
            return parts[i].run(count, arguments);
    check_enter_scratch();
    setenv("VARIABLE", "value", 1);
    test_arguments();
    test_keeping();
    test_threads();
    test_scripts();
    test_what_is_no_program();
    test_others();
    test_spawn();
    test_by_descriptor();
    return check_status();
}
