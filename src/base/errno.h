/* SPDX-License-Identifier: Apache-2.0
 * Error numbers for folders that may not include <errno.h>. The values are
 * Linux's, so that a result passes unchanged through every layer. */
#pragma once

#ifndef EPERM
enum {
    EPERM = 1,
    ENOENT = 2,
    EIO = 5,
    E2BIG = 7,
    ENOEXEC = 8,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    EBUSY = 16,
    EEXIST = 17,
    EINVAL = 22,
    EFBIG = 27,
    ENOSPC = 28,
    EROFS = 30,
    EPIPE = 32,
    ERANGE = 34,
    EPROTO = 71,
    EOVERFLOW = 75,
    ENOTSUP = 95,
};
#endif
