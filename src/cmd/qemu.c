/* SPDX-License-Identifier: Apache-2.0
 * doppel in place of qemu-riscv64.
 *
 * The command line, and the variables that stand for its options, are qemu's
 * (qemu-user, "Command line options"). A third way in is binfmt_misc with the flag P
 * (Documentation/admin-guide/binfmt-misc.rst): the words are then our path, the
 * program's path, and the program's argv from argv[0] on; none is an option. The kernel
 * tells by bit 0 of AT_FLAGS, since Linux 5.12.
 *
 * The program may be setuid then (flag C), and its caller hostile: variables are not
 * looked at when the kernel says so by AT_SECURE. */
#include "cmd/qemu.h"

#include "base/bits.h"
#include "base/log.h"
#include "base/text.h"
#include "cmd/run.h"
#include "options/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#define PRESERVES_ARGV0 1 /* AT_FLAGS_PRESERVE_ARGV0 */
#define DEFAULT_SYSROOT "/etc/qemu-binfmt/riscv64"

enum qemu_option {
#define OPTION(name, id, variable, argument, help) OPTION_##id,
#include "cmd/qemu_options.def"
#undef OPTION
    OPTION_COUNT,
};

static const struct option_row rows[OPTION_COUNT] = {
#define OPTION(name, id, variable, argument, help) {0, name, argument, help},
#include "cmd/qemu_options.def"
#undef OPTION
};

static const struct {
    const char *variable;
    const char *word; /* the name with its dash */
} spellings[OPTION_COUNT] = {
#define OPTION(name, id, variable, argument, help) {variable, "-" name},
#include "cmd/qemu_options.def"
#undef OPTION
};

/* Options that a program inherits which this one executes. */
#define INHERITED (BIT(OPTION_CPU) | BIT(OPTION_UNAME) | BIT(OPTION_STRACE) | BIT(OPTION_LOG_ITEMS))

static bool is_from_binfmt(void)
{
    return getauxval(AT_FLAGS) & PRESERVES_ARGV0;
}

bool qemu_is_wanted(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *name = slash ? slash + 1 : argv0;

    return is_from_binfmt() || (name && (strcmp(name, "qemu-riscv64") == 0 ||
                                         strcmp(name, "qemu-riscv64-static") == 0));
}

/* ---- values ---- */

/* Calls `set` for each part of a list with commas, as qemu has them in -E and -U. */
static int for_each_part(const char *list, int (*set)(const char *part, struct error *err),
                         struct error *err)
{
    char *copy = strdup(list);
    char *rest = copy;
    int result = copy ? 0 : error_set(err, -ENOMEM, "out of memory");

    while (result == 0 && rest) {
        const char *part = strsep(&rest, ",");
        if (*part)
            result = set(part, err);
    }
    free(copy);
    return result;
}

static bool is_off(const char *value)
{
    return strcmp(value, "off") == 0 || strcmp(value, "false") == 0 || strcmp(value, "no") == 0 ||
           strcmp(value, "n") == 0;
}

/* "rv64,zba=true,v=off": extensions that we know are switched, the rest is about qemu's
 * models. */
static int parse_cpu(struct run *run, const char *value, struct error *err)
{
    char *copy = strdup(value);
    char *rest = copy;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    strsep(&rest, ",");
    for (const char *word; (word = strsep(&rest, ","));) {
        size_t length = strcspn(word, "=");
        enum extension extension = extension_find(word, length);
        if (extension == EXT_COUNT)
            log_warn("qemu", "-cpu %s: '%s' is ignored", value, word);
        else if (word[length] && is_off(word + length + 1))
            extension_set_remove(&run->config.extensions, extension);
        else
            extension_set_add(&run->config.extensions, extension);
    }
    free(copy);
    return 0;
}

/* As qemu, we take a sysroot that is not there for none. */
static void set_sysroot(struct run *run, const char *value)
{
    struct error reason = {0};

    if (run_set_sysroot(run, value, &reason) < 0)
        log_warn("qemu", "%s", reason.text);
}

static int set_stack(const char *value, struct error *err)
{
    struct rlimit limit;
    uint64_t size;

    if (!text_parse_size(value, &size))
        return error_set(err, -EINVAL, "-s '%s': a size in bytes is wanted", value);
    if (getrlimit(RLIMIT_STACK, &limit) < 0 || size > limit.rlim_max)
        return error_set(err, -EINVAL, "-s '%s': it is above the hard limit", value);
    limit.rlim_cur = MAX(size, MIB);
    if (setrlimit(RLIMIT_STACK, &limit) < 0)
        return error_set(err, -errno, "-s '%s': %s", value, strerror(errno));
    return 0;
}

static int set_option(struct run *run, enum qemu_option option, const char *value,
                      struct error *err)
{
    switch ((int)option) {
    case OPTION_GDB:
        return run_set_gdb(run, value, err);
    case OPTION_SYSROOT:
        set_sysroot(run, value);
        return 0;
    case OPTION_STACK:
        return set_stack(value, err);
    case OPTION_CPU:
        return parse_cpu(run, value, err);
    case OPTION_SET_ENV:
        return for_each_part(value, run_set_environment, err);
    case OPTION_UNSET_ENV:
        return for_each_part(value, run_unset_environment, err);
    case OPTION_ARGV0:
        run->config.argv0 = value;
        return 0;
    case OPTION_UNAME:
        run->config.uname_release = value;
        return 0;
    case OPTION_STRACE:
        run->config.strace = true;
        return 0;
    case OPTION_SELF_FD:
        return run_set_self_fd(run, value, err);
    case OPTION_LOG_ITEMS:
        if (strstr(value, "strace"))
            run->config.strace = true;
        else
            log_warn("qemu", "-d %s is ignored", value);
        return 0;
    default:
        if (option >= OPTION_LOUD_SEED)
            log_warn("qemu", "%s is ignored", spellings[option].word);
        return 0;
    }
}

/* ---- words ---- */

static int set_from_environment(struct run *run, struct error *err)
{
    if (getauxval(AT_SECURE))
        return 0;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const char *value = spellings[i].variable[0] ? getenv(spellings[i].variable) : NULL;
        int result = value ? set_option(run, i, value, err) : 0;
        if (result < 0)
            return result;
    }
    return 0;
}

/* What binfmt_misc gives with its flag O: the program, which we may not be able to open
 * ourselves. It has to leave the standard descriptors alone. */
static void take_program_descriptor(struct run *run)
{
    errno = 0;
    int fd = (int)getauxval(AT_EXECFD);
    if (errno == ENOENT)
        return;
    run->config.program_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd > STDERR_FILENO || dup2(open("/dev/null", O_RDWR | O_CLOEXEC), fd) < 0)
        close(fd);
}

static int take_binfmt_words(struct run *run, struct option_words *words, struct error *err)
{
    if (words->argc < 3)
        return error_set(err, -EINVAL, "binfmt_misc gave too few words");
    run->config.argv0 = words->argv[2];
    words->argv[2] = words->argv[1];
    words->at = 2;
    return 0;
}

/* 0, with words->at at the program; 1 when there is nothing to run; or -errno. */
static int parse_words(struct run *run, struct option_words *words, struct error *err)
{
    for (;;) {
        int option = option_words_next(words, err);
        if (option < 0)
            return option;
        if (option == OPTION_WORD_HELP) {
            printf("usage: qemu-riscv64 [options] PROGRAM [ARGUMENT...]\n\n"
                   "This is doppel, with the options of qemu-riscv64. 'doppel run' has more.\n\n");
            option_rows_print(rows, OPTION_COUNT, stdout);
            return 1;
        }
        if (option == OPTION_VERSION) {
            printf("qemu-riscv64: doppel " DOPPEL_VERSION "\n");
            return 1;
        }
        if (option == OPTION_WORD_PLAIN)
            words->at--;
        if (option >= OPTION_ROWS_MAX)
            return words->at < words->argc ? 0 : error_set(err, -EINVAL, "which program?");

        const char *value = words->value;
        int result = set_option(run, (enum qemu_option)option, value, err);
        if (result == 0 && (INHERITED & BIT(option)))
            result = run_inherit(run, spellings[option].word, value, err);
        if (result < 0)
            return result;
    }
}

/* The default sysroot; and a path, also when it looks like a name: qemu and the kernel do
 * not search $PATH. */
static int complete(struct run *run, char **program, struct error *err)
{
    if (!run->sysroot && access(DEFAULT_SYSROOT, X_OK) == 0)
        set_sysroot(run, DEFAULT_SYSROOT);
    if (strchr(*program, '/'))
        return 0;
    if (!run->config.argv0)
        run->config.argv0 = *program;
    run->program_path = malloc(strlen(*program) + 3);
    if (!run->program_path)
        return error_set(err, -ENOMEM, "out of memory");
    stpcpy(stpcpy(run->program_path, "./"), *program);
    *program = run->program_path;
    return 0;
}

int cmd_qemu(int argc, char **argv)
{
    static const char *const first[] = {"qemu-riscv64"};
    struct option_words words = {
        .command = "qemu-riscv64",
        .rows = rows,
        .row_count = OPTION_COUNT,
        .repeatable = UINT64_MAX,
        .long_names_only = true,
        .argc = argc,
        .argv = argv,
        .at = 1,
    };
    struct error err = {0};
    struct run run;

    run_init(&run, first, ARRAY_LEN(first));
    take_program_descriptor(&run);
    int result = set_from_environment(&run, &err);
    if (result == 0)
        result = is_from_binfmt() ? take_binfmt_words(&run, &words, &err)
                                  : parse_words(&run, &words, &err);
    if (result == 0)
        result = complete(&run, &argv[words.at], &err);
    int status = 0;
    if (result == 0) {
        status = run_program(&run, argv + words.at, "qemu-riscv64");
    } else if (result < 0) {
        fprintf(stderr, "qemu-riscv64: %s\n", err.text);
        status = RUN_EXIT_BAD_OPTIONS;
    }
    run_fini(&run);
    return status;
}
