/* SPDX-License-Identifier: Apache-2.0
 * doppel: runs whole computers of another instruction set as ordinary
 * processes. The first word says what to do. */
#include "base/log.h"
#include "base/types.h"
#include "cmd/access.h"
#include "cmd/binfmt.h"
#include "cmd/boot.h"
#include "cmd/completion.h"
#include "cmd/console.h"
#include "cmd/disasm.h"
#include "cmd/doctor.h"
#include "cmd/image.h"
#include "cmd/launch.h"
#include "cmd/lifecycle.h"
#include "cmd/list.h"
#include "cmd/pull.h"
#include "cmd/qemu.h"
#include "cmd/run.h"
#include "cmd/set.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef DOPPEL_VERSION
#define DOPPEL_VERSION "unknown"
#endif

static int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("doppel %s\n", DOPPEL_VERSION);
    return 0;
}

static int cmd_help(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"boot", cmd_boot, "a RISC-V machine in the foreground"},
    {"run", cmd_run, "a riscv64 Linux program"},
    {"pull", cmd_pull, "an image of Debian for the store"},
    {"launch", cmd_launch, "a new machine in the background"},
    {"ls", cmd_ls, "the machines there are"},
    {"info", cmd_info, "all about a machine"},
    {"start", cmd_start, "start a machine that is stopped"},
    {"stop", cmd_stop, "have a machine's guest shut down"},
    {"restart", cmd_restart, "stop and start"},
    {"pause", cmd_pause, "have a machine stand still"},
    {"resume", cmd_resume, "let it go on"},
    {"kill", cmd_kill, "end a machine at once"},
    {"rm", cmd_rm, "forget machines, with their disks"},
    {"shell", cmd_shell, "a shell in a machine's guest"},
    {"exec", cmd_exec, "execute a command there"},
    {"cp", cmd_cp, "copy files to and from there"},
    {"console", cmd_console, "a machine's serial console"},
    {"logs", cmd_logs, "what the guest printed there"},
    {"set", cmd_set, "change a machine's limits"},
    {"stats", cmd_stats, "figures of machines"},
    {"top", cmd_top, "the same, again and again"},
    {"binfmt", cmd_binfmt, "riscv64 programs run by themselves (binfmt_misc)"},
    {"image", cmd_image, "the store of images, and disk images as files"},
    {"disasm", cmd_disasm, "the code of a riscv64 ELF file as text"},
    {"doctor", cmd_doctor, "what this host can and cannot do"},
    {"completion", cmd_completion, "completion of these commands for bash"},
    {"version", cmd_version, "the version of doppel"},
    {"help", cmd_help, "this list"},
    {"proxy", cmd_proxy, NULL}, /* for ssh, not for people */
};

static int cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("usage: doppel COMMAND [arguments]\n\n");
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].help)
            printf("  %-8s %s\n", commands[i].name, commands[i].help);
    printf("\n'doppel COMMAND --help' says more of each.\n");
    return 0;
}

static void print_log(enum log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};

    fprintf(stderr, "doppel: %s: %s\n", names[level], line);
}

static const struct command *find_command(const char *name)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* A disk image that became descriptor 1 would receive what we print: whoever
 * starts us with a standard descriptor closed gets /dev/null there. It may be
 * missing, in a bare root directory, where it is not needed. */
static bool open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    log_set_sink(print_log);
    /* A program finds closed what was closed. */
    if (qemu_is_wanted(argv[0]))
        return cmd_qemu(argc, argv);
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return cmd_run(argc - 1, argv + 1);
    if (!open_standard_descriptors())
        return 125;
    if (argc < 2) {
        fprintf(stderr, "doppel: what shall be done? 'doppel help' lists the commands\n");
        return 2;
    }
    const struct command *command = find_command(argv[1]);
    if (!command) {
        fprintf(stderr, "doppel: there is no command '%s'; 'doppel help' lists them\n", argv[1]);
        return 2;
    }
    return command->run(argc - 1, argv + 1);
}
