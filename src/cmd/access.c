/* SPDX-License-Identifier: Apache-2.0
 * Commands that get into a guest: ssh over the machine's vsock socket, or another way (manager/reach.h). */
#include "cmd/access.h"

#include "base/text.h"
#include "cmd/machine.h"
#include "host/file.h"
#include "manager/reach.h"
#include "manager/ssh.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COPY_SIZE           65536
/* A loaded guest takes its time to accept. */
#define CONNECT_PATIENCE_MS 30000

/* ---- ssh ---- */

/* Becomes the program, or says why not. */
static int become(const char *command, struct words *words)
{
    execvp(words->list[0], words->list);
    if (errno == ENOENT)
        fprintf(stderr,
                "doppel %s: '%s' is not installed; on Debian: apt-get install openssh-client\n",
                command, words->list[0]);
    else
        fprintf(stderr, "doppel %s: cannot execute '%s': %s\n", command, words->list[0],
                strerror(errno));
    return CMD_INTERNAL;
}

/* A word as a shell reads it back. */
static void add_quoted(struct words *words, const char *text)
{
    size_t length = strlen(text);
    char *quoted = malloc(4 * length + 3);
    char *to = quoted;

    if (!quoted) {
        words->is_broken = true;
        return;
    }
    *to++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') {
            memcpy(to, "'\\''", 4);
            to += 4;
        } else {
            *to++ = *text;
        }
    }
    *to++ = '\'';
    *to = 0;
    words_add(words, "%s", quoted);
    free(quoted);
}

/* Opens a machine that runs, and the words of `program` for it. */
static int prepare(struct cmd_machine *machine, const char *command, const char *name,
                   const char *program, struct words *words)
{
    struct error err = {0};
    int status = cmd_machine_connect(machine, command, name);

    if (status == CMD_OK && ssh_words(&machine->paths, &machine->record, program, words, &err) < 0)
        status = cmd_report(command, &err);
    return status;
}

int cmd_shell(int argc, char **argv)
{
    struct cmd_words words = {
        .command = "shell",
        .usage = "NAME",
        .help = "A shell in a machine's guest, as root, or as the user that the image names.",
        .least = 1,
        .most = 1};
    struct cmd_machine machine;
    struct words ssh = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    status = prepare(&machine, "shell", words.plain[0], "ssh", &ssh);
    if (status == CMD_OK) {
        if (isatty(STDIN_FILENO))
            words_add(&ssh, "-t");
        words_add(&ssh, "%s", machine.record.name);
        status = become("shell", &ssh);
    }
    words_fini(&ssh);
    cmd_machine_close(&machine);
    return status;
}

int cmd_exec(int argc, char **argv)
{
    static const struct option_row rows[] = {{'t', "tty", NULL, "give the command a terminal"}};
    struct cmd_words words = {
        .command = "exec",
        .usage = "[-t] NAME -- COMMAND [ARGUMENT...]",
        .help = "Executes a command in a machine's guest, as root, or as the user that the image\n"
                "names. The exit status is the command's; 255: the guest could not be reached.",
        .rows = rows,
        .row_count = ARRAY_LEN(rows),
        .least = 1,
        .most = 1};
    struct cmd_machine machine;
    struct words ssh = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    if (words.rest_count == 0) {
        fprintf(stderr, "doppel exec: no command; usage: doppel exec %s\n", words.usage);
        return CMD_BAD_OPTIONS;
    }
    status = prepare(&machine, "exec", words.plain[0], "ssh", &ssh);
    if (status == CMD_OK) {
        words_add(&ssh, words.values[0] ? "-tt" : "-T");
        words_add(&ssh, "%s", machine.record.name);
        words_add(&ssh, "--");
        for (int i = 0; i < words.rest_count; i++)
            add_quoted(&ssh, words.rest[i]);
        status = become("exec", &ssh);
    }
    words_fini(&ssh);
    cmd_machine_close(&machine);
    return status;
}

/* ---- cp ---- */

/* The part behind "NAME:", with the name's length; NULL: a path of the host. */
static const char *guest_part(const char *word, size_t *length)
{
    *length = strcspn(word, ":/");
    return word[*length] == ':' && *length > 0 ? word + *length + 1 : NULL;
}

/* The machine that the words name; false, with a line printed: none, or more than one. */
static bool find_machine(const struct cmd_words *words, char name[RECORD_NAME_MAX + 1])
{
    name[0] = 0;
    for (unsigned i = 0; i < words->count; i++) {
        size_t length;
        const char *word = words->plain[i];
        if (!guest_part(word, &length))
            continue;
        if (length > RECORD_NAME_MAX ||
            (name[0] && (strlen(name) != length || strncmp(name, word, length) != 0))) {
            fprintf(stderr, "doppel cp: '%s': files are copied from or to one machine\n", word);
            return false;
        }
        memcpy(name, word, length);
        name[length] = 0;
    }
    if (!name[0])
        fprintf(stderr, "doppel cp: one of the paths must be a machine's, as in web:/etc/motd\n");
    return name[0];
}

int cmd_cp(int argc, char **argv)
{
    struct cmd_words words = {
        .command = "cp",
        .usage = "FROM... TO",
        .help = "Copies files and folders to a machine's guest or from there. NAME:PATH is a path\n"
                "in a guest, everything else one of the host.",
        .least = 2,
        .most = ARRAY_LEN(words.plain)};
    struct cmd_machine machine;
    char name[RECORD_NAME_MAX + 1];
    struct words scp = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    if (!find_machine(&words, name))
        return CMD_BAD_OPTIONS;
    status = prepare(&machine, "cp", name, "scp", &scp);
    if (status == CMD_OK) {
        words_add(&scp, "-rp");
        words_add(&scp, "--");
        for (unsigned i = 0; i < words.count; i++) {
            size_t length;
            bool in_guest = guest_part(words.plain[i], &length);
            /* scp must not take a host's name with a colon for a guest's. */
            bool is_plain = !in_guest && words.plain[i][0] != '/';
            words_add(&scp, "%s%s", is_plain ? "./" : "", words.plain[i]);
        }
        status = become("cp", &scp);
    }
    words_fini(&scp);
    cmd_machine_close(&machine);
    return status;
}

/* ---- proxy ---- */

/* Copies what there is. False: the end, or nobody takes it. */
static bool copy(int from, int to, char *bytes)
{
    ssize_t count = read(from, bytes, COPY_SIZE);

    if (count < 0)
        return errno == EINTR || errno == EAGAIN;
    return count > 0 && file_put(to, bytes, (size_t)count) == 0;
}

/* Both ways, until the guest closes. */
static void relay(int fd, char *bytes)
{
    struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    for (;;) {
        if (poll(ends, 2, -1) < 0 && errno != EINTR)
            return;
        if (ends[1].revents && !copy(fd, STDOUT_FILENO, bytes))
            return;
        if (ends[0].revents && !copy(STDIN_FILENO, fd, bytes)) {
            shutdown(fd, SHUT_WR);
            ends[0].fd = -1;
        }
    }
}

int cmd_proxy(int argc, char **argv)
{
    struct cmd_words words = {
        .command = "proxy",
        .usage = "NAME PORT",
        .help = "Connects standard input and output to a port of a machine's guest (vsock). Port\n"
                "22 of a foreign image may also be that of its network.",
        .least = 2,
        .most = 2};
    struct cmd_machine machine;
    uint64_t port;
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    if (!text_parse_u64(words.plain[1], UINT32_MAX, &port)) {
        fprintf(stderr, "doppel proxy: '%s' is no port\n", words.plain[1]);
        return CMD_BAD_OPTIONS;
    }
    status = cmd_machine_open(&machine, "proxy", words.plain[0]);
    char *bytes = malloc(COPY_SIZE);
    int fd = -1;
    if (status == CMD_OK && bytes)
        fd = port == REACH_SSH_PORT
                 ? reach_ssh(&machine.record, CONNECT_PATIENCE_MS)
                 : reach_vsock(&machine.record, (unsigned)port, CONNECT_PATIENCE_MS);
    if (fd >= 0)
        relay(fd, bytes);
    else if (status == CMD_OK) {
        fprintf(stderr, "doppel proxy: nobody in the guest of '%s' listens at vsock port %u\n",
                machine.record.name, (unsigned)port);
        status = CMD_FAILED;
    }
    if (fd >= 0)
        close(fd);
    free(bytes);
    cmd_machine_close(&machine);
    return status;
}
