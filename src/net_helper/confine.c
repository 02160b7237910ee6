/* SPDX-License-Identifier: Apache-2.0
 * What the process gives up before it looks at anything.
 *
 * It must keep the host's network and /etc/resolv.conf, which libslirp reads when the
 * name servers change; a filter of system calls belongs at the end of confine(). */
#include <stdbool.h>

#include "net_helper/confine.h"

#include "backend/net/user_protocol.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

bool confine(pid_t parent)
{
    const struct rlimit none = {0, 0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return false;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
    close_range(USER_CONTROL_FD + 1, ~0U, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return true;
}
