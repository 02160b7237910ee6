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

    if (!guest_pointer(args[2]))
        return -EFAULT;
    const int err = vector_read(vectors, args[2], args[2] != 0 ? args[3] : 0);
    if (err != 0)
        return err;
    return HOST_SYSCALL(task, __NR_keyctl, args[0], args[1],
                        args[2] != 0 ? host_argument(vectors) : 0, args[3], args[4]);
}

static int64_t compute(struct task *task, const uint64_t args[6])
{
    struct keyctl_kdf_params derivation;

    if (!guest_pointer(args[1]) || !guest_pointer(args[2]) || !guest_pointer(args[4]))
        return -EFAULT;
    if (args[4] == 0)
        return host_syscall(task, __NR_keyctl, args);
    const int err = guest_read(&derivation, args[4], sizeof(derivation));
    if (err != 0)
        return err;
    if (!guest_pointer(host_argument(derivation.hashname)) ||
        !guest_pointer(host_argument(derivation.otherinfo)))
        return -EFAULT;
    return HOST_SYSCALL(task, __NR_keyctl, args[0], args[1], args[2], args[3],
                        host_argument(&derivation));
}

int64_t sys_keyctl(struct task *task, const uint64_t args[6])
{
    const uint32_t operation = (uint32_t)args[0];

    if (operation == KEYCTL_INSTANTIATE_IOV)
        return instantiate_vector(task, args);
    if (operation == KEYCTL_DH_COMPUTE)
        return compute(task, args);
    if (operation >= ARRAY_LEN(signatures) || signatures[operation] == NULL)
        return -EOPNOTSUPP;
    const int err = signature_check(task->process, signatures[operation], args);
    return err != 0 ? err : host_syscall(task, __NR_keyctl, args);
}
