/* SPDX-License-Identifier: Apache-2.0
 * keyctl: the operation says which arguments are pointers. */
#include "process/calls.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>

/* Signatures by operation; those that are missing have pointers inside of what their
 * arguments point to, and are handled or refused. */
static const char *const signatures[] = {
    [KEYCTL_GET_KEYRING_ID] = "ddd",
    [KEYCTL_JOIN_SESSION_KEYRING] = "dn",
    [KEYCTL_UPDATE] = "ddpz",
    [KEYCTL_REVOKE] = "dd",
    [KEYCTL_CHOWN] = "dddd",
    [KEYCTL_SETPERM] = "ddx",
    [KEYCTL_DESCRIBE] = "ddpz",
    [KEYCTL_CLEAR] = "dd",
    [KEYCTL_LINK] = "ddd",
    [KEYCTL_UNLINK] = "ddd",
    [KEYCTL_SEARCH] = "ddnnd",
    [KEYCTL_READ] = "ddpz",
    [KEYCTL_INSTANTIATE] = "ddpzd",
    [KEYCTL_NEGATE] = "dddd",
    [KEYCTL_SET_REQKEY_KEYRING] = "dd",
    [KEYCTL_SET_TIMEOUT] = "ddu",
    [KEYCTL_ASSUME_AUTHORITY] = "dd",
    [KEYCTL_GET_SECURITY] = "ddpz",
    [KEYCTL_SESSION_TO_PARENT] = "d",
    [KEYCTL_REJECT] = "ddddd",
    [KEYCTL_INVALIDATE] = "dd",
    [KEYCTL_GET_PERSISTENT] = "ddd",
    [KEYCTL_PKEY_QUERY] = "dddnp",
    [KEYCTL_PKEY_ENCRYPT] = "dpnpp",
    [KEYCTL_PKEY_DECRYPT] = "dpnpp",
    [KEYCTL_PKEY_SIGN] = "dpnpp",
    [KEYCTL_PKEY_VERIFY] = "dpnpp",
    [KEYCTL_RESTRICT_KEYRING] = "ddnn",
    [KEYCTL_MOVE] = "ddddx",
    [KEYCTL_CAPABILITIES] = "dpz",
    [KEYCTL_WATCH_KEY] = "dddd",
};

static int64_t instantiate_vector(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED struct iovec vectors[UIO_MAXIOV];

    const uint64_t vectors_at = args[2] != 0 ? vector_read(vectors, args[2], args[3]) : 0;

    return HOST_SYSCALL(task, __NR_keyctl, args[0], args[1], vectors_at, args[3], args[4]);
}

static int64_t compute(struct task *task, const uint64_t args[6])
{
    struct keyctl_kdf_params derivation;

    uint64_t derivation_at = 0;

    if (args[4] != 0) {
        const int err = guest_read(&derivation, args[4], sizeof(derivation));
        if (err != 0)
            return err;
        derivation.hashname = guest_host(guest_argument(host_argument(derivation.hashname)));
        derivation.otherinfo = guest_host(guest_argument(host_argument(derivation.otherinfo)));
        derivation_at = host_argument(&derivation);
    }
    return HOST_SYSCALL(task, __NR_keyctl, args[0], guest_argument(args[1]),
                        guest_argument(args[2]), args[3], derivation_at);
}

int64_t sys_keyctl(struct task *task, const uint64_t args[6])
{
    const uint32_t operation = (uint32_t)args[0];
    uint64_t checked[6] = {args[0], args[1], args[2], args[3], args[4], args[5]};

    if (operation == KEYCTL_INSTANTIATE_IOV)
        return instantiate_vector(task, args);
    if (operation == KEYCTL_DH_COMPUTE)
        return compute(task, args);
    if (operation >= ARRAY_LEN(signatures) || signatures[operation] == NULL)
        return -EOPNOTSUPP;
    const int err = signature_apply(task->process, signatures[operation], checked);
    return err != 0 ? err : host_syscall(task, __NR_keyctl, checked);
}
