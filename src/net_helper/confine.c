/* SPDX-License-Identifier: Apache-2.0
 * What the process gives up before it looks at anything.
 *
 * It keeps the host's network, and with it paths, as there can be no namespaces: a right to ports below 1024 ends with
 * them. Landlock leaves the files that libslirp and GLib read. These are files, not names: whoever replaces resolv.conf
 * makes one that is not among them. Then this process ends and is started anew, with the next. */
#include "net_helper/confine.h"

#include "backend/net/user_protocol.h"
#include "base/bits.h"
#include "host/clock.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* libslirp looks at it whenever the guest asks for a name. */
#define RESOLV_CONF "/etc/resolv.conf"
/* GLib's random numbers start there. */
#define RANDOM      "/dev/urandom"

/* Folders with nothing but what everybody may know, where services write resolv.conf anew, and often. */
static const char *const public_folders[] = {"/run/systemd/resolve", "/run/resolvconf"};

/* Which file resolv.conf is; all zero: it is read whatever it is, or nothing is known. */
static struct stat resolv_conf;

/* The folder that the file behind RESOLV_CONF is read in, or the file; -1: there is none. */
static int open_resolv_conf(void)
{
    char path[PATH_MAX];
    struct stat status;

    if (!realpath(RESOLV_CONF, path))
        return -1;
    for (unsigned i = 0; i < ARRAY_LEN(public_folders); i++) {
        size_t size = strlen(public_folders[i]);
        if (strncmp(path, public_folders[i], size) == 0 && path[size] == '/' &&
            !strchr(path + size + 1, '/'))
            return open(public_folders[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0)
        resolv_conf = status;
    return fd;
}

static int enter_sandbox(struct error *err)
{
    const struct rlimit none = {0, 0};
    const int files[] = {open_resolv_conf(), open(RANDOM, O_PATH | O_CLOEXEC)};
    struct sandbox_config config = {.keeps_network = true};
    struct sandbox_layers layers;
    struct sandbox *sandbox = NULL;

    for (unsigned i = 0; i < ARRAY_LEN(files); i++)
        if (files[i] >= 0)
            config.readable[config.readable_count++] = files[i];
    int result = sandbox_prepare(&config, 1u << SANDBOX_NET, &sandbox, err);
    if (result == 0)
        result = sandbox_enter(sandbox, &layers, err);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++)
        if (files[i] >= 0)
            close(files[i]);
    if (result == 0 && layers.landlock == 0)
        memset(&resolv_conf, 0, sizeof(resolv_conf));
    /* Filters are made in files. */
    if (result == 0 && setrlimit(RLIMIT_FSIZE, &none) < 0)
        result = error_set(err, -errno, "cannot limit files: %s", strerror(errno));
    if (result == 0)
        result = sandbox_seal(sandbox, SANDBOX_NET, err);
    sandbox_destroy(sandbox);
    return result;
}

int confine(pid_t parent, struct error *err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return error_set(err, -ESRCH, "the machine is gone");
    close_range(USER_CONTROL_FD + 1, ~0U, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return enter_sandbox(err);
}

bool confine_is_outdated(void)
{
    static uint64_t asked_ns;
    uint64_t now_ns = clock_monotonic_ns();
    struct stat status;

    if (resolv_conf.st_ino == 0 || now_ns - asked_ns < UINT64_C(1000000000))
        return false;
    asked_ns = now_ns;
    return stat(RESOLV_CONF, &status) == 0 &&
           (status.st_ino != resolv_conf.st_ino || status.st_dev != resolv_conf.st_dev);
}
