/* SPDX-License-Identifier: Apache-2.0
 * Commands about a machine's console. */
#include "cmd/console.h"

#include "cmd/machine.h"
#include "host/file.h"
#include "host/terminal.h"
#include "host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ESCAPE    0x1d /* Ctrl-] */
#define FOLLOW_MS 200

/* What the user types, without the key that leaves. False: it was typed, or there is no more. */
static bool send_keys(int fd, bool is_raw)
{
    char keys[512];
    ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));

    if (count <= 0)
        return count < 0 && errno == EINTR;
    const char *escape = is_raw ? memchr(keys, ESCAPE, (size_t)count) : NULL;
    return file_put(fd, keys, escape ? (size_t)(escape - keys) : (size_t)count) == 0 && !escape;
}

/* Until the user or the machine leaves; true: the machine. */
static bool attach(int fd, bool is_raw)
{
    struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    char bytes[4096];

    for (;;) {
        if (poll(ends, 2, -1) < 0 && errno != EINTR)
            return true;
        if (ends[1].revents) {
            ssize_t count = read(fd, bytes, sizeof(bytes));
            if (count <= 0 || file_put(STDOUT_FILENO, bytes, (size_t)count) < 0)
                return true;
        }
        if (ends[0].revents && !send_keys(fd, is_raw)) {
            if (is_raw)
                return false;
            ends[0].fd = -1; /* a script has said all it had to say; it may want to read on */
        }
    }
}

int cmd_console(int argc, char **argv)
{
    struct cmd_words words = {.command = "console",
                              .usage = "NAME",
                              .help = "The serial console of a machine. Ctrl-] leaves it; one user "
                                      "at a time.",
                              .least = 1,
                              .most = 1};
    struct cmd_machine machine;
    char path[PATH_MAX];
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    status = cmd_machine_connect(&machine, "console", words.plain[0]);
    int fd = -1;
    if (status == CMD_OK &&
        path_join(path, NULL, machine.record.sockets, "console.sock", NULL) == 0)
        fd = unix_connect(path);
    if (fd >= 0) {
        bool is_raw = terminal_make_raw();
        if (is_raw)
            fprintf(stderr, "[%s: Ctrl-] leaves]\r\n", machine.record.name);
        bool ended = attach(fd, is_raw);
        terminal_restore();
        if (is_raw)
            fprintf(stderr, "\n[%s]\n", ended ? "the machine closed the console" : "left");
        close(fd);
    } else if (status == CMD_OK) {
        fprintf(stderr, "doppel console: cannot reach the console of '%s': %s\n",
                machine.record.name, strerror(-fd));
        status = CMD_FAILED;
    }
    cmd_machine_close(&machine);
    return status;
}

/* Prints what is there from *at on. False: standard output is closed. */
static bool print_from(int fd, off_t *at)
{
    char bytes[4096];
    struct stat status;
    ssize_t count;

    /* Its older half was forgotten: what is left of it was printed. */
    if (fstat(fd, &status) == 0 && status.st_size < *at)
        *at = status.st_size;
    while ((count = pread(fd, bytes, sizeof(bytes), *at)) > 0) {
        if (file_put(STDOUT_FILENO, bytes, (size_t)count) < 0)
            return false;
        *at += count;
    }
    return true;
}

/* The machine's process, for the end of -f. */
static bool is_live(const struct record *record)
{
    pid_t pid;

    return record_state(record, &pid) == MACHINE_LIVE;
}

int cmd_logs(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {'f', "follow", NULL, "and what comes, as long as the machine runs"},
        {0, "doppel", NULL, "what doppel said, not the guest"},
    };
    struct cmd_words words = {.command = "logs",
                              .usage = "[-f] [--doppel] NAME",
                              .help = "What a machine's guest printed on its console.",
                              .rows = rows,
                              .row_count = ARRAY_LEN(rows),
                              .least = 1,
                              .most = 1};
    struct cmd_machine machine;
    char path[PATH_MAX];
    off_t at = 0;
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    status = cmd_machine_open(&machine, "logs", words.plain[0]);
    int fd = -1;
    if (status == CMD_OK && path_join(path, NULL, machine.record.folder,
                                      words.values[1] ? "log" : "console.log", NULL) == 0)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (status == CMD_OK && fd < 0 && errno != ENOENT) {
        fprintf(stderr, "doppel logs: cannot open '%s': %s\n", path, strerror(errno));
        status = CMD_FAILED;
    }
    while (fd >= 0 && print_from(fd, &at) && words.values[0] && is_live(&machine.record))
        poll(NULL, 0, FOLLOW_MS);
    if (fd >= 0) {
        print_from(fd, &at);
        close(fd);
    }
    cmd_machine_close(&machine);
    return status;
}
