/* SPDX-License-Identifier: Apache-2.0
 * doppel-net: the user-mode network of one machine, started by it.
 *
 *     doppel-net PARENT      descriptors 3 and 4: backend/net/user_protocol.h
 *
 * One thread, one loop: wait; take what the host's sockets have, take the guest's
 * frames, send what libslirp made of both. */
#include "backend/net/user_protocol.h"
#include "base/text.h"
#include "net_helper/confine.h"
#include "net_helper/nat.h"
#include "net_helper/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FRAMES,
    CONTROL,
    OWN_FDS,
    MAX_FDS = 1024,
    QUESTIONS = 16, /* in one go */
};

/* ---- control ---- */

/* Whatever waits for the answer has its own limit of time. */
static void tell(struct user_message *message)
{
    message->size = sizeof(*message);
    (void)!send(USER_CONTROL_FD, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void log_line(const char *text)
{
    struct user_message message = {.kind = USER_LOG};

    snprintf(message.text, sizeof(message.text), "%s", text);
    tell(&message);
}

/* The last message: why the process ends. */
static void say_why(const char *text)
{
    struct user_message message = {.kind = USER_ENDS};

    snprintf(message.text, sizeof(message.text), "%s", text);
    tell(&message);
}

/* 1: a message; 0: none now; -1: the machine is gone, or speaks another language. */
static int hear(struct user_message *message, int flags)
{
    ssize_t size = recv(USER_CONTROL_FD, message, sizeof(*message), flags);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size != (ssize_t)sizeof(*message) || message->size != sizeof(*message))
        return -1;
    message->text[sizeof(message->text) - 1] = 0;
    return 1;
}

static void answer(struct nat *nat, struct user_message *message)
{
    if (message->kind == USER_ADD)
        message->result = nat_add(nat, &message->forward);
    else if (message->kind == USER_REMOVE)
        message->result = nat_remove(nat, &message->forward);
    else
        return;
    message->kind = USER_ANSWER;
    tell(message);
}

static bool answer_all(struct nat *nat)
{
    struct user_message message;

    for (unsigned i = 0; i < QUESTIONS; i++) {
        int result = hear(&message, MSG_DONTWAIT);
        if (result <= 0)
            return result == 0;
        answer(nat, &message);
    }
    return true;
}

static struct nat *configure(struct wire *wire)
{
    struct user_message message;
    struct pollfd p = {.fd = USER_CONTROL_FD, .events = POLLIN};

    poll(&p, 1, -1);
    if (hear(&message, 0) != 1 || message.kind != USER_CONFIGURE)
        return NULL;
    struct nat *nat = nat_create(&(struct nat_config){
        .host_name = message.text,
        .guest_address = message.address,
        .mtu = message.mtu,
        .is_restricted = (message.flags & USER_RESTRICTED) != 0,
        .wire = wire,
        .log = log_line,
    });
    message.kind = USER_READY;
    if (nat)
        tell(&message);
    return nat;
}

/* ---- the loop ---- */

/* False: the machine is gone. */
static bool turn(struct nat *nat, struct wire *wire)
{
    static struct pollfd fds[MAX_FDS];
    uint32_t timeout_ms = UINT32_MAX;
    bool is_busy = wire_is_busy(wire);

    fds[FRAMES] = (struct pollfd){
        .fd = USER_FRAMES_FD,
        .events = (short)(POLLIN | (wire_has_output(wire) ? POLLOUT : 0)),
    };
    fds[CONTROL] = (struct pollfd){.fd = USER_CONTROL_FD, .events = POLLIN};
    unsigned count = nat_prepare(nat, fds, OWN_FDS, MAX_FDS, &timeout_ms);
    int ready = poll(fds, is_busy ? OWN_FDS : count, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms);
    if (ready < 0 && errno != EINTR)
        return false;
    nat_work(nat, fds, is_busy || ready < 0);
    if (ready > 0 && fds[CONTROL].revents && !answer_all(nat))
        return false;
    if (ready > 0 && fds[FRAMES].revents && !wire_read(wire, nat_input, nat))
        return false;
    wire_flush(wire);
    return true;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    uint64_t parent;

    if (argc != 2 || !text_parse_u64(argv[1], INT32_MAX, &parent)) {
        fprintf(stderr, "doppel-net: this is a part of doppel, which starts it for --net user\n");
        return 2;
    }
    if (confine((pid_t)parent, &err) < 0) {
        say_why(err.text);
        return EXIT_FAILURE;
    }
    struct wire *wire = wire_create(USER_FRAMES_FD);
    struct nat *nat = configure(wire);
    if (!nat)
        return EXIT_FAILURE;
    while (turn(nat, wire)) {
        if (!confine_is_outdated())
            continue;
        say_why("the host's resolv.conf was replaced");
        break;
    }
    return EXIT_SUCCESS;
}
