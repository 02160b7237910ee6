/* SPDX-License-Identifier: Apache-2.0
 * Giving up rights, in order. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

struct sandbox {
    struct sandbox_config config;
    struct sock_filter *filters[SANDBOX_ROLE_COUNT];
    size_t counts[SANDBOX_ROLE_COUNT];
};

int sandbox_prepare(const struct sandbox_config *config, unsigned roles, struct sandbox **out,
                    struct error *err)
{
    struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
    int result = 0;

    if (!sandbox)
        return error_set(err, -ENOMEM, "the sandbox: out of memory");
    sandbox->config = *config;
    for (unsigned i = 0; i < SANDBOX_ROLE_COUNT && result == 0; i++)
        if (roles & 1u << i)
            result = sandbox_make_filter(config, (enum sandbox_role)i, &sandbox->filters[i],
                                         &sandbox->counts[i], err);
    if (result < 0) {
        sandbox_destroy(sandbox);
        return result;
    }
    *out = sandbox;
    return 0;
}

void sandbox_destroy(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    for (unsigned i = 0; i < SANDBOX_ROLE_COUNT; i++)
        free(sandbox->filters[i]);
    free(sandbox);
}

/* What a process of ours needs no more of, whatever its user may have. */
static int limit_resources(struct error *err)
{
    const struct rlimit none = {0, 0};

    /* Guest memory is nobody's business but the guest's. */
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set(err, -errno, "the sandbox: cannot forbid core dumps: %s", strerror(errno));
    return 0;
}

int sandbox_enter(struct sandbox *sandbox, struct sandbox_layers *layers, struct error *err)
{
    const struct sandbox_config *config = &sandbox->config;

    *layers = (struct sandbox_layers){.filter = true};
    int result = config->keeps_network ? -ENOSYS : sandbox_unshare(config, err);
    if (result < 0 && result != -ENOSYS)
        return result;
    layers->namespaces = result == 0;
    result = layers->namespaces ? sandbox_empty_root(config, err) : 0;
    if (result == 0)
        result = limit_resources(err);
    if (result == 0)
        result = sandbox_drop_capabilities(config, err);
    if (result == 0)
        result = sandbox_restrict_files(config, &layers->landlock, err);
    layers->write_or_exec = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
    return result;
}

int sandbox_seal(const struct sandbox *sandbox, enum sandbox_role role, struct error *err)
{
    const struct sock_fprog program = {
        .len = (unsigned short)sandbox->counts[role],
        .filter = sandbox->filters[role],
    };

    if (!program.filter)
        return error_set(err, -EINVAL, "the sandbox: no filter was made for this role");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return error_set(err, -errno, "the sandbox: cannot filter system calls: %s",
                         strerror(errno));
    return 0;
}
