/* SPDX-License-Identifier: Apache-2.0 */
#include "host/rights.h"

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

/* ---- capabilities ---- */

#define FOR_GOOD                                                                             \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                         \
     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)
#define CAPABILITIES_MOST 64

/* Root is root by name only, also after execve. Whoever lacks the right to say so gets no new ones by execve anyhow, see
 * PR_SET_NO_NEW_PRIVS. */
static int take_root(bool may, struct error *err)
{
    if (prctl(PR_SET_SECUREBITS, FOR_GOOD, 0, 0, 0) < 0 && may)
        return failed(err, "take root its rights");
    for (unsigned long i = 0; i < CAPABILITIES_MOST; i++)
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL && may)
            return failed(err, "bound capabilities");
    return 0;
}

int rights_drop_capabilities(uint32_t kept, struct error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2] = {0};

    if (syscall(SYS_capget, &header, now) < 0)
        return failed(err, "look at capabilities");
    kept &= now[0].permitted;
    const struct __user_cap_data_struct left[2] = {{.effective = kept, .permitted = kept}};
    int result = take_root(now[0].effective & BIT(CAP_SETPCAP), err);
    if (result < 0)
        return result;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &header, left) < 0)
        return failed(err, "drop capabilities");
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? failed(err, "give up new rights") : 0;
}

/* ---- Landlock ---- */

#define SCOPES            3 /* abstract sockets and signals stay inside */
#define NET_RIGHTS        3 /* TCP: bind, connect */
#define RULESET_VERSION   1
#define RULE_PATH_BENEATH 1

/* linux/landlock.h, of which systems have older ones. */
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

int file_rules_begin(struct file_rules *rules, bool no_tcp, struct error *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);

    *rules = (struct file_rules){.ruleset = -1};
    if (abi < 1)
        return 0;
    const struct ruleset_attr attr = {
        .files = known_rights(abi),
        .net = abi >= 4 && no_tcp ? NET_RIGHTS : 0,
        .scopes = abi >= 6 ? SCOPES : 0,
    };
    rules->version = (int)abi;
    rules->known = attr.files;
    rules->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    return rules->ruleset < 0 ? failed(err, "create rules for files") : 0;
}

int file_rules_allow(const struct file_rules *rules, int fd, uint64_t rights, struct error *err)
{
    const struct path_beneath_attr rule = {.allowed = rights & rules->known, .fd = fd};

    if (rules->ruleset < 0)
        return 0;
    if (syscall(SYS_landlock_add_rule, rules->ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
        return failed(err, "allow the use of files");
    return 0;
}

int file_rules_enforce(struct file_rules *rules, struct error *err)
{
    int result = 0;

    if (rules->ruleset >= 0 && syscall(SYS_landlock_restrict_self, rules->ruleset, 0) < 0)
        result = failed(err, "restrict the use of files");
    file_rules_drop(rules);
    return result;
}

void file_rules_drop(struct file_rules *rules)
{
    if (rules->ruleset >= 0)
        close(rules->ruleset);
    rules->ruleset = -1;
}
