/* SPDX-License-Identifier: Apache-2.0
 * Capabilities(7), landlock(7). */
#include "sandbox/sandbox.h"

#include "base/bits.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(struct error *err, const char *what)
{
    return error_set(err, -errno, "the sandbox: cannot %s: %s", what, strerror(errno));
}

/* Files of other users. */
#define FILE_RIGHTS ((uint32_t)(BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER)))

/* Capabilities that the process's work needs, of those that it has. */
static uint32_t kept_rights(const struct sandbox_config *config,
                            struct __user_cap_header_struct *header)
{
    struct __user_cap_data_struct now[2] = {0};
    uint32_t wanted = config->serves_files && geteuid() == 0 ? FILE_RIGHTS : 0;

    if (config->keeps_network)
        wanted |= (uint32_t)BIT(CAP_NET_BIND_SERVICE);
    return syscall(SYS_capget, header, now) < 0 ? 0 : now[0].permitted & wanted;
}

int sandbox_drop_capabilities(const struct sandbox_config *config, struct error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    uint32_t kept = kept_rights(config, &header);
    const struct __user_cap_data_struct left[2] = {{.effective = kept, .permitted = kept}};

    /* Needs a right itself, which a user without a namespace has not; then there is nothing to lose. */
    (void)prctl(PR_SET_SECUREBITS,
                SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED,
                0, 0, 0);
    for (unsigned long i = 0; i < 64; i++)
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM)
            return failed(err, "bound capabilities");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &header, left) < 0)
        return failed(err, "drop capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed(err, "give up new rights");
    return 0;
}

/* linux/landlock.h, of which systems have older ones. */
enum {
    ACCESS_EXECUTE = 1 << 0,
    ACCESS_READ_FILE = 1 << 2,
    ACCESS_READ_DIR = 1 << 3,
    ACCESS_MAKE_CHAR = 1 << 6,
    ACCESS_MAKE_BLOCK = 1 << 11,
};
#define ACCESS_READ  (ACCESS_READ_FILE | ACCESS_READ_DIR)
#define ACCESS_SHARE (0xffffu & ~(unsigned)(ACCESS_EXECUTE | ACCESS_MAKE_CHAR | ACCESS_MAKE_BLOCK))

#define SCOPES            3 /* abstract sockets and signals stay inside */
#define NET_RIGHTS        3 /* TCP: bind, connect */
#define RULESET_VERSION   1
#define RULE_PATH_BENEATH 1

struct ruleset_attr {
    uint64_t files;
    uint64_t net;
    uint64_t scopes;
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* Rights that version `abi` of Landlock knows of. */
static uint64_t known_rights(long abi)
{
    if (abi >= 5)
        return bits_mask(16);
    if (abi >= 3)
        return bits_mask(15);
    return bits_mask(abi == 2 ? 14 : 13);
}

static int allow(int ruleset, int fd, uint64_t rights)
{
    const struct path_beneath_attr rule = {.allowed = rights, .fd = fd};

    return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
}

static int add_rules(int ruleset, const struct sandbox_config *config, uint64_t known)
{
    int result = 0;

    for (unsigned i = 0; i < config->shared_count && result == 0; i++)
        result = allow(ruleset, config->shared[i],
                       (config->shared_read_only[i] ? ACCESS_READ : ACCESS_SHARE) & known);
    for (unsigned i = 0; i < config->readable_count && result == 0; i++)
        result = allow(ruleset, config->readable[i], ACCESS_READ_FILE);
    return result;
}

int sandbox_restrict_files(const struct sandbox_config *config, int *version, struct error *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);

    *version = abi < 1 ? 0 : (int)abi;
    if (abi < 1)
        return 0; /* this kernel has none, or it is switched off */
    const struct ruleset_attr attr = {
        .files = known_rights(abi),
        .net = abi >= 4 && !config->keeps_network ? NET_RIGHTS : 0,
        .scopes = abi >= 6 ? SCOPES : 0,
    };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return failed(err, "create rules for files");
    int result = add_rules(ruleset, config, attr.files);
    if (result == 0)
        result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    if (result < 0)
        result = failed(err, "restrict the use of files");
    close(ruleset);
    return result;
}
