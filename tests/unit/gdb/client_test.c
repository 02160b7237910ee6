/* SPDX-License-Identifier: Apache-2.0
 * A real gdb debugs the toy machine: what only gdb can judge is whether it
 * understands the target description and the stop replies.
 *
 *     client_test            runs the first gdb that knows RISC-V
 *     client_test --serve    serves the machine on standard input and output
 *
 * Without such a gdb the test is skipped (status 77). */
#include "fake_target.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each line is a gdb command and something its output has to contain. */
static const struct {
    const char *command;
    const char *expected; /* NULL: nothing */
} steps[] = {
    {"info threads", "Thread 2 (hart 1, M-mode)"},
    {"p/x $pc", "$1 = 0x80000000"},
    {"p/x $a0", "$2 = 0x10a"},
    {"p/x $mhartid", "$3 = 0x0"},
    {"set $mstatus = 0x1888", NULL},
    {"p/x $mstatus", "$4 = 0x1888"},
    {"info registers priv", "prv:3 [Machine]"},
    {"info registers mtvec", "<unavailable>"},
    {"set $fcsr = 0x61", NULL},
    {"p/x (int)$fcsr", "$5 = 0x61"},
    {"set $ft0.double = 1.5", NULL},
    {"p $ft0", "double = 1.5"},
    {"x/2xw 0x80000000", "0x00000013\t0x00000013"},
    {"set {int}0x80000100 = 0x23242a7d", NULL},
    {"x/xw 0x80000100", "0x23242a7d"},
    {"stepi", "0x0000000080000004"},
    {"thread 2", "Switching to thread 2"},
    {"p/x $a0", "$7 = 0x20a"},
    {"p/x $mhartid", "$8 = 0x1"},
    {"thread 1", "Switching to thread 1"},
    {"break *0x80000010", "Breakpoint 1 at 0x80000010"},
    {"continue", "hit Breakpoint 1, 0x0000000080000010"},
    {"delete", NULL},
    {"hbreak *0x80000020", "Hardware assisted breakpoint 2"},
    {"continue", "hit Breakpoint 2, 0x0000000080000020"},
    {"delete", NULL},
    {"watch *(long *)0x80000800", "Hardware watchpoint 3"},
    {"continue", "New value = 1\n0x0000000080000044"},
    {"p/x $pc", "$9 = 0x80000044"},
    {"monitor hello", "you said 'hello'"},
    {"detach", "detached]"},
};

static void send_to_client(void *owner, const void *bytes, size_t size)
{
    const char *from = bytes;

    (void)owner;
    for (ssize_t done; size > 0; from += done, size -= (size_t)done) {
        done = write(STDOUT_FILENO, from, size);
        if (done <= 0)
            exit(1);
    }
}

/* Until the client closes the connection. */
static int serve(void)
{
    static struct fake fake;
    static struct gdb_server server;
    char bytes[4096];

    fake_init(&fake, &server, send_to_client, NULL);
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, fake.running ? 1 : -1) > 0) {
            ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
            if (size <= 0)
                return 0;
            gdb_server_receive(&server, bytes, (size_t)size);
        }
        fake_run(&fake, 100);
    }
}

/* Checks that the expected pieces occur in `output`, in order. */
static int judge(const char *output)
{
    const char *at = output;
    int failures = 0;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const char *found = steps[i].expected ? strstr(at, steps[i].expected) : at;
        if (!found)
            failures++;
        else
            at = found;
        printf("%sok %zu - gdb: %s\n", found ? "" : "not ", i + 1, steps[i].command);
    }
    printf("1..%zu\n", ARRAY_LEN(steps));
    if (failures)
        fprintf(stderr, "%s", output);
    return failures != 0;
}

int main(int argc, char **argv)
{
    static char command[8192], output[65536];

    if (argc > 1 && strcmp(argv[1], "--serve") == 0)
        return serve();
    if (system("gdb-multiarch -nx -batch -ex 'set architecture riscv:rv64' >/dev/null 2>&1") != 0)
        return 77;

    int length = snprintf(command, sizeof(command),
                          "gdb-multiarch -nx -batch -ex 'set confirm off' "
                          "-ex 'set architecture riscv:rv64' -ex 'set osabi none' "
                          "-ex 'target remote | \"%s\" --serve'",
                          argv[0]);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        /* No command contains a single quote. */
        length += snprintf(command + length, sizeof(command) - (size_t)length, " -ex '%s'",
                           steps[i].command);
    }
    snprintf(command + length, sizeof(command) - (size_t)length, " 2>&1 </dev/null");

    FILE *gdb = popen(command, "r");
    if (!gdb)
        return 1;
    size_t size = fread(output, 1, sizeof(output) - 1, gdb);
    output[size] = 0;
    int status = pclose(gdb);
    return judge(output) || status != 0;
}
