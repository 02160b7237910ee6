/* SPDX-License-Identifier: Apache-2.0
 * What a guest that has taken over one of a machine's threads can do: this program enters the sandbox in the role of
 * each and then acts for itself, as whoever can overwrite doppel's memory would.
 *
 * Every act runs in a process of its own, which ends with what the act got: 0 when it succeeded, else the error
 * number; the filter ends it by SIGSYS. All layers together must refuse every act; each layer alone those that
 * it claims, so that no layer is only believed to hold. */
#include "harness/harness.h"

#include "acts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* ---- what acts are tried on ---- */

char outside[] = "/tmp/doppel-takeover-XXXXXX";
char secret[64], share[64], readonly[64], path_socket[64], names[64];
pid_t victim;
uint16_t tcp_port;
int memory_id;

/* ---- the sandbox ---- */

static struct sandbox_config config_of(enum sandbox_role role)
{
    struct sandbox_config config = {0};

    if (role == SANDBOX_NET) {
        config.keeps_network = true;
        config.readable[config.readable_count++] = NAMES_FD;
    }
    if (role != SANDBOX_SERVER)
        return config;
    config.shared[0] = SHARE_FD;
    config.shared[1] = READ_ONLY_FD;
    config.shared_read_only[1] = true;
    config.shared_count = 2;
    config.serves_files = true;
    return config;
}

/* Returns 0, or the exit status that says why not. */
static int enter_layers(const struct sandbox_config *config, unsigned layers, struct error *err)
{
    int version;

    if (layers & NAMESPACES) {
        int result = sandbox_unshare(config, err);
        if (result == -ENOSYS)
            return LAYER_MISSING;
        if (result < 0 || sandbox_empty_root(config, err) < 0 ||
            sandbox_drop_capabilities(config, err) < 0)
            return FAILED_TO_ENTER;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return FAILED_TO_ENTER;
    if (layers & LANDLOCK) {
        if (sandbox_restrict_files(config, &version, err) < 0)
            return FAILED_TO_ENTER;
        /* Older ones do not keep signals and abstract sockets inside. */
        return version < 6 ? LAYER_MISSING : 0;
    }
    return 0;
}

static void enter_and(enum sandbox_role role, unsigned layers, int (*act)(void))
{
    struct sandbox_config config = config_of(role);
    struct sandbox *sandbox = NULL;
    struct sandbox_layers entered;
    struct error err = {0};

    if (role == SANDBOX_SERVER && chdir("/proc/self/fd") < 0)
        _exit(FAILED_TO_ENTER);
    unsigned filters = layers & FILTER ? 1u << role : 0;
    int result = sandbox_prepare(&config, filters, &sandbox, &err) < 0 ? FAILED_TO_ENTER : 0;
    if (result == 0 && layers == ALL)
        result = sandbox_enter(sandbox, &entered, &err) < 0 ? FAILED_TO_ENTER : 0;
    else if (result == 0)
        result = enter_layers(&config, layers, &err);
    if (result == 0 && layers & FILTER && sandbox_seal(sandbox, role, &err) < 0)
        result = FAILED_TO_ENTER;
    if (result == FAILED_TO_ENTER)
        fprintf(stderr, "# %s\n", err.text);
    _exit(result ? result : act());
}

/* The computer that tests run on is not harmed by an act that nothing refuses, though its user be root: mounts and
 * names stay here. */
static bool protect_host(void)
{
    return geteuid() != 0 || (unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0 &&
                              mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

static int status_of(enum sandbox_role role, unsigned layers, int (*act)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (layers == 0)
            _exit(act());
        enter_and(role, layers, act);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED_TO_ENTER)
        fail_msg("the sandbox cannot be entered");
    return status;
}

static bool is_refused(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGSYS
                               : WEXITSTATUS(status) != 0 && WEXITSTATUS(status) < FAILED_TO_ENTER;
}

static const char *const role_names[] = {"HART", "IO", "LOOP", "FILES", "SERVER", "NET"};

static void check_refused(const struct act *act, enum sandbox_role role, unsigned layers)
{
    int status = status_of(role, layers, act->run);

    if (WIFEXITED(status) && WEXITSTATUS(status) == LAYER_MISSING)
        return;
    if (!is_refused(status))
        fail_msg("%s in role %s with layers %u: status 0x%x", act->name, role_names[role], layers,
                 status);
}

static void remove_made(void)
{
    static const char *const made[] = {"made", "share/stolen", "share/setuid", "share/setuid2"};
    char path[96];

    for (unsigned i = 0; i < ARRAY_LEN(made); i++) {
        snprintf(path, sizeof(path), "%s/%s", outside, made[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/share/setgid", outside);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/spare", outside);
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

TEST(takeover, acts_are_in_order)
{
    for (unsigned i = 0; i < act_count; i++) {
        if (!acts[i].is_anybodys)
            continue;
        remove_made();
        int status = status_of(SANDBOX_HART, 0, acts[i].run);
        if (status != 0)
            fail_msg("%s fails without a sandbox: status 0x%x", acts[i].name, status);
    }
    remove_made();
}

static void check_all(enum sandbox_role role)
{
    for (unsigned i = 0; i < act_count; i++)
        if (!(acts[i].works >> role & 1))
            check_refused(&acts[i], role, ALL);
}

TEST(takeover, a_hart_can_do_nothing)
{
    check_all(SANDBOX_HART);
}

TEST(takeover, a_thread_of_disks_can_do_nothing)
{
    check_all(SANDBOX_IO);
}

TEST(takeover, the_loop_can_do_nothing)
{
    check_all(SANDBOX_LOOP);
}

TEST(takeover, a_thread_of_shares_can_do_nothing)
{
    check_all(SANDBOX_FILES);
}

TEST(takeover, the_server_can_do_nothing_outside_of_shares)
{
    check_all(SANDBOX_SERVER);
    CHECK_EQ(access(secret, F_OK), 0);
}

TEST(takeover, the_network_can_do_nothing_but_reach_the_network)
{
    check_all(SANDBOX_NET);
}

TEST(takeover, namespaces_hold_alone)
{
    for (unsigned i = 0; i < act_count; i++)
        if (acts[i].layers & NAMESPACES)
            check_refused(&acts[i], SANDBOX_HART, NAMESPACES);
}

TEST(takeover, landlock_holds_alone)
{
    for (unsigned i = 0; i < act_count; i++) {
        if (!(acts[i].layers & LANDLOCK))
            continue;
        check_refused(&acts[i], SANDBOX_HART, LANDLOCK);
        check_refused(&acts[i], SANDBOX_SERVER, LANDLOCK);
        if (!(acts[i].works & NET))
            check_refused(&acts[i], SANDBOX_NET, LANDLOCK);
    }
}

TEST(takeover, the_filters_hold_alone)
{
    for (unsigned i = 0; i < act_count; i++)
        for (unsigned role = 0; role < SANDBOX_ROLE_COUNT; role++)
            if (acts[i].layers & FILTER && acts[i].filtered >> role & 1)
                check_refused(&acts[i], (enum sandbox_role)role, FILTER);
}

/* ---- what must go on working ---- */

static int look_at_root(void)
{
    DIR *root = opendir("/");
    unsigned count = 0;

    if (!root)
        return EIO;
    while (readdir(root))
        count++;
    return count == 2 ? 0 : EEXIST; /* itself and above */
}

static int write_to_root(void)
{
    return got(open("/new", O_CREAT | O_WRONLY, 0600));
}

TEST(sandbox, the_root_is_empty_and_stays_so)
{
    int status = status_of(SANDBOX_SERVER, NAMESPACES, look_at_root);

    if (WIFEXITED(status) && WEXITSTATUS(status) == LAYER_MISSING)
        skip();
    CHECK_EQ(status, 0);
    CHECK(is_refused(status_of(SANDBOX_SERVER, NAMESPACES, write_to_root)));
}

static void *do_nothing(void *argument)
{
    return argument;
}

/* As backend/files does: names of descriptors are paths below the working folder. */
static int serve(void)
{
    char path[16];
    char bytes[64];
    struct stat status;
    struct statvfs space;
    struct statx stx;
    struct rlimit limit;
    pthread_t thread;
    int fd = openat(SHARE_FD, "served", O_CREAT | O_EXCL | O_RDWR, 0644);

    if (fd < 0)
        return 1;
    snprintf(path, sizeof(path), "%d", fd);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    const struct timespec times[2] = {{1, 0}, {2, 0}};
    bool good = copy >= 0 && write(copy, "text", 4) == 4 && close(copy) == 0 &&
                pread(fd, bytes, 4, 0) == 4 && lseek(fd, 0, SEEK_SET) == 0 && fsync(fd) == 0 &&
                fdatasync(fd) == 0 && chmod(path, 0600) == 0 && truncate(path, 2) == 0 &&
                ftruncate(fd, 3) == 0 && utimensat(AT_FDCWD, path, times, 0) == 0 &&
                fstat(fd, &status) == 0 && status.st_size == 3 && syncfs(fd) == 0 &&
                statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx) == 0 &&
                fstatvfs(SHARE_FD, &space) == 0 && fallocate(fd, 0, 0, 8) == 0;
    good = good && (setxattr(path, "user.x", "y", 1, 0) == 0 || errno == EOPNOTSUPP) &&
           (getxattr(path, "user.x", bytes, 1) == 1 || errno == EOPNOTSUPP || errno == ENODATA) &&
           (listxattr(path, bytes, sizeof(bytes)) >= 0 || errno == EOPNOTSUPP) &&
           (removexattr(path, "user.x") == 0 || errno == EOPNOTSUPP || errno == ENODATA);
    good = good && mkdirat(SHARE_FD, "folder", 0755) == 0 &&
           symlinkat("x", SHARE_FD, "symlink") == 0 &&
           readlinkat(SHARE_FD, "symlink", bytes, sizeof(bytes)) == 1 &&
           linkat(SHARE_FD, "served", SHARE_FD, "again", 0) == 0 &&
           renameat2(SHARE_FD, "again", SHARE_FD, "moved", 0) == 0 &&
           unlinkat(SHARE_FD, "moved", 0) == 0 && unlinkat(SHARE_FD, "symlink", 0) == 0 &&
           unlinkat(SHARE_FD, "folder", AT_REMOVEDIR) == 0 &&
           unlinkat(SHARE_FD, "served", 0) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0;
    good = good && pthread_create(&thread, NULL, do_nothing, NULL) == 0 &&
           pthread_join(thread, NULL) == 0;
    return good ? 0 : errno ? errno : 1;
}

TEST(sandbox, the_server_can_serve)
{
    CHECK_EQ(status_of(SANDBOX_SERVER, ALL, serve), 0);
}

/* Connects by `family` to a socket of its own, as libslirp does both. */
static bool reach(int family, const void *address, socklen_t size)
{
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof(bound);
    const int on = 1;
    int error = 0;
    socklen_t error_size = sizeof(error);
    int count = 0;
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(family, SOCK_STREAM, 0);
    bool good = setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                setsockopt(listener, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
                bind(listener, address, size) == 0 && listen(listener, 1) == 0 &&
                getsockname(listener, (struct sockaddr *)&bound, &bound_size) == 0 &&
                fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK) == 0 &&
                connect(fd, (struct sockaddr *)&bound, bound_size) == 0;
    int peer = good ? accept(listener, NULL, NULL) : -1;

    return peer >= 0 && send(fd, "text", 4, 0) == 4 && ioctl(peer, FIONREAD, &count) == 0 &&
           count == 4 && recv(peer, &count, sizeof(count), 0) == 4 && shutdown(fd, SHUT_WR) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) == 0 && close(fd) == 0;
}

static int be_network(void)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char bytes[8];
    const int on = 1;
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    int udp6 = socket(AF_INET6, SOCK_DGRAM, 0);
    int file = open(names, O_RDONLY);
    bool good =
        file >= 0 && read(file, bytes, 4) == 4 &&
        setsockopt(udp, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) == 0 &&
        setsockopt(udp6, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)) == 0 &&
        bind(udp, (struct sockaddr *)&ipv4, sizeof(ipv4)) == 0 &&
        reach(AF_INET, &ipv4, sizeof(ipv4)) &&
        (reach(AF_INET6, &ipv6, sizeof(ipv6)) || errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);

    /* Refused, but not the end: libslirp goes on without echoes. */
    good = good && socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == EPERM;
    return good ? 0 : errno ? errno : 1;
}

TEST(sandbox, the_network_can_be_reached)
{
    CHECK_EQ(status_of(SANDBOX_NET, ALL, be_network), 0);
}

static int crash(void)
{
    abort();
}

static int work(void)
{
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *q = malloc(1 << 22);
    struct timespec moment = {0, 1000};

    if (p == MAP_FAILED || !q || madvise(p, 4096, MADV_DONTNEED) < 0 || munmap(p, 1 << 20) < 0)
        return errno;
    free(q);
    nanosleep(&moment, NULL);
    return got(write(STDERR_FILENO, "", 0));
}

TEST(sandbox, every_role_can_work_and_crash)
{
    for (unsigned role = 0; role < SANDBOX_ROLE_COUNT; role++) {
        CHECK_EQ(status_of((enum sandbox_role)role, ALL, work), 0);
        int status = status_of((enum sandbox_role)role, ALL, crash);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

TEST(sandbox, a_role_without_a_filter_is_refused)
{
    struct sandbox_config config = {0};
    struct sandbox *sandbox = NULL;
    struct error err = {0};

    CHECK_EQ(sandbox_prepare(&config, 1u << SANDBOX_HART, &sandbox, &err), 0);
    CHECK_EQ(sandbox_seal(sandbox, SANDBOX_LOOP, &err), -EINVAL);
    sandbox_destroy(sandbox);
    sandbox_destroy(NULL);
}

/* ---- the outside ---- */

static void make_file(const char *folder, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || write(fd, "text", 4) != 4 || close(fd) < 0)
        abort();
}

static void open_as(const char *path, int flags, int number)
{
    int fd = open(path, flags);

    if (fd < 0 || dup2(fd, number) != number || (fd != number && close(fd) < 0))
        abort();
}

static int listen_at(int family, const void *address, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, address, size) < 0 || listen(fd, 100) < 0)
        abort();
    return fd;
}

static void make_listeners(void)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_un abstract = abstract_name();
    socklen_t size = sizeof(tcp);

    strcpy(path.sun_path, path_socket); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    listen_at(AF_UNIX, &path, sizeof(path));
    listen_at(AF_UNIX, &abstract, sizeof(abstract));
    int fd = listen_at(AF_INET, &tcp, sizeof(tcp));
    getsockname(fd, (struct sockaddr *)&tcp, &size);
    tcp_port = ntohs(tcp.sin_port);
}

static void make_outside(void)
{
    char path[128];
    int pair[2];

    if (!mkdtemp(outside))
        abort();
    snprintf(secret, sizeof(secret), "%s/secret", outside);
    snprintf(share, sizeof(share), "%s/share", outside);
    snprintf(readonly, sizeof(readonly), "%s/readonly", outside);
    snprintf(names, sizeof(names), "%s/names", outside);
    snprintf(path_socket, sizeof(path_socket), "%s/socket", outside);
    if (mkdir(share, 0755) < 0 || mkdir(readonly, 0755) < 0)
        abort();
    make_file(outside, "secret");
    make_file(outside, "names");
    open_as(names, O_PATH, NAMES_FD);
    make_file(share, "file");
    make_file(readonly, "file");
    snprintf(path, sizeof(path), "%s/link", share);
    if (symlink(secret, path) < 0)
        abort();
    snprintf(path, sizeof(path), "%s/up", share);
    if (symlink("../secret", path) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        abort();
    open_as(share, O_PATH | O_DIRECTORY, SHARE_FD);
    open_as(readonly, O_PATH | O_DIRECTORY, READ_ONLY_FD);
    dup2(pair[0], SOCKET_FD);
    snprintf(path, sizeof(path), "%s/file", share);
    open_as(path, O_RDWR, FILE_FD);
    make_listeners();
    memory_id = (int)syscall(SYS_shmget, 0x646f7071, 4096, 01600);
    victim = fork();
    if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(takeover, acts_are_in_order),
        TESTS(takeover, a_hart_can_do_nothing),
        TESTS(takeover, a_thread_of_disks_can_do_nothing),
        TESTS(takeover, the_loop_can_do_nothing),
        TESTS(takeover, a_thread_of_shares_can_do_nothing),
        TESTS(takeover, the_server_can_do_nothing_outside_of_shares),
        TESTS(takeover, the_network_can_do_nothing_but_reach_the_network),
        TESTS(takeover, namespaces_hold_alone),
        TESTS(takeover, landlock_holds_alone),
        TESTS(takeover, the_filters_hold_alone),
        TESTS(sandbox, the_root_is_empty_and_stays_so),
        TESTS(sandbox, the_server_can_serve),
        TESTS(sandbox, the_network_can_be_reached),
        TESTS(sandbox, every_role_can_work_and_crash),
        TESTS(sandbox, a_role_without_a_filter_is_refused),
    };

    if (!protect_host()) {
        printf("1..0 # SKIP root without mount namespaces: an act could harm this computer\n");
        return 0;
    }
    make_outside();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    syscall(SYS_shmctl, memory_id, 0 /* IPC_RMID */, NULL);
    nftw(outside, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return result;
}
