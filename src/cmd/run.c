/* SPDX-License-Identifier: Apache-2.0
 * `doppel run`: one riscv64 Linux program as this process.
 *
 * Options end at the first word that is none, or at "--". A program that the program
 * executes is run by us again: the system call puts the inherited words of this command
 * line before `-0 ARGV0 -- PATH ARGS...`. Inherited are the options about how programs
 * are run; those that were done once (-E, -U, -0, --gdb, --stats, -v, --sandbox) are in
 * force already, or concern this program only. */
#include "cmd/run.h"

#include "base/bits.h"
#include "base/log.h"
#include "base/text.h"
#include "options/log.h"
#include "options/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum run_option {
#define OPTION(letter, name, id, argument, help) OPTION_##id,
#include "cmd/run_options.def"
#undef OPTION
    OPTION_COUNT,
};

static const struct option_row rows[OPTION_COUNT] = {
#define OPTION(letter, name, id, argument, help) {letter, name, argument, help},
#include "cmd/run_options.def"
#undef OPTION
};

#define REPEATABLE \
    (BIT(OPTION_SET_ENV) | BIT(OPTION_UNSET_ENV) | BIT(OPTION_LOG) | BIT(OPTION_VOLUME))
#define INHERITED \
    (BIT(OPTION_STRACE) | BIT(OPTION_ENGINE) | BIT(OPTION_JIT) | BIT(OPTION_CPU) | BIT(OPTION_LOG))

/* ---- what run and the drop-in share ---- */

void run_init(struct run *run, const char *const *first, unsigned count)
{
    *run = (struct run){
        .config = {.program_fd = -1, .self_fd = -1, .extensions = extension_set_all()}};
    engine_options_init(&run->engine);
    for (unsigned i = 0; i < count; i++)
        run->own_words[run->own_word_count++] = (char *)(uintptr_t)first[i];
}

void run_fini(struct run *run)
{
    for (unsigned i = 0; i < run->config.share_count; i++)
        free((char *)(uintptr_t)run->config.shares[i].host);
    free(run->sysroot);
    free(run->program_path);
}

int run_inherit(struct run *run, const char *word, const char *value, struct error *err)
{
    if (run->own_word_count + 2 > RUN_MAX_OWN_WORDS)
        return error_set(err, -E2BIG, "there are too many options");
    run->own_words[run->own_word_count++] = (char *)(uintptr_t)word;
    if (value)
        run->own_words[run->own_word_count++] = (char *)(uintptr_t)value;
    return 0;
}

int run_set_environment(const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    char *name = equals && equals != text ? strndup(text, (size_t)(equals - text)) : NULL;

    if (!equals || equals == text)
        return option_bad_value("set-env", text, "NAME=VALUE is wanted", err);
    int result = name ? setenv(name, equals + 1, 1) : -1;
    free(name);
    return result < 0 ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int run_unset_environment(const char *name, struct error *err)
{
    return unsetenv(name) < 0 ? option_bad_value("unset-env", name, "a name is wanted", err) : 0;
}

int run_set_self_fd(struct run *run, const char *value, struct error *err)
{
    uint64_t fd;

    if (!text_parse_u64(value, INT32_MAX, &fd) || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return option_bad_value("self-fd", value, "an open descriptor is wanted", err);
    run->config.self_fd = (int)fd;
    return 0;
}

int run_set_sysroot(struct run *run, const char *path, struct error *err)
{
    char *absolute = realpath(path, NULL);

    if (!absolute)
        return error_set(err, -errno, "sysroot '%s': %s", path, strerror(errno));
    free(run->sysroot);
    run->config.sysroot = run->sysroot = absolute;
    return 0;
}

int run_set_gdb(struct run *run, const char *value, struct error *err)
{
    uint64_t port;
    bool is_port = text_parse_u64(value, 65535, &port);
    int length =
        snprintf(run->gdb, sizeof(run->gdb), "%s%s", is_port ? "tcp:127.0.0.1:" : "", value);

    if (length < 0 || (size_t)length >= sizeof(run->gdb))
        return option_bad_value("gdb", value, "it is too long", err);
    run->config.gdb = run->gdb;
    return 0;
}

static int exit_status(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
        return RUN_EXIT_NOT_FOUND;
    case -EACCES:
    case -EINVAL:
    case -EISDIR:
    case -ELIBBAD:
    case -ELOOP:
    case -ENAMETOOLONG:
    case -ENOEXEC:
    case -EPERM:
    case -ETXTBSY:
        return RUN_EXIT_NO_EXEC;
    default:
        return RUN_EXIT_FAILED;
    }
}

int run_program(struct run *run, char *const *words, const char *name)
{
    struct error err = {0};

    /* stderr is the program's: calls that we do not know are told of on request only. */
    if (!run->logs && !log_set_level(NULL, LOG_ERROR))
        return RUN_EXIT_FAILED;
    if (run->sysroot && run_inherit(run, "-L", run->sysroot, &err) < 0) {
        fprintf(stderr, "%s: %s\n", name, err.text);
        return RUN_EXIT_BAD_OPTIONS;
    }
    run->config.program = words[0];
    run->config.arguments = words + 1;
    run->config.environment = environ;
    run->config.own_words = run->own_words;
    run->config.translate = run->engine.translate;
    run->config.translator = run->engine.translator;
    int result = process_run(&run->config, &err);
    fprintf(stderr, "%s: %s\n", name, err.text);
    return exit_status(result);
}

/* ---- values ---- */

static int parse_stats(struct process_config *config, const char *value, struct error *err)
{
    if (value && strcmp(value, "json") != 0)
        return option_bad_value("stats", value, "json is the only other form", err);
    config->stats = true;
    config->stats_json = value;
    return 0;
}

/* HOST:GUEST[:ro] */
static int parse_share(struct process_config *config, const char *value, struct error *err)
{
    if (config->share_count == PROCESS_MAX_SHARES)
        return option_bad_value("volume", value, "there are too many", err);
    char *rest = strdup(value);
    if (!rest)
        return error_set(err, -ENOMEM, "out of memory");

    /* The list owns the text, also when it is refused. */
    struct process_share *share = &config->shares[config->share_count++];
    share->host = strsep(&rest, ":");
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): which is kept */
    share->guest = strsep(&rest, ":");
    share->read_only = rest && strcmp(rest, "ro") == 0;
    if (!share->host[0] || !share->guest || share->guest[0] != '/' || !share->guest[1] ||
        (rest && !share->read_only))
        return option_bad_value("volume", value,
                                "HOST:GUEST or HOST:GUEST:ro is wanted, GUEST a path below /", err);
    return 0;
}

static int set_option(struct run *run, enum run_option option, const char *value, struct error *err)
{
    struct process_config *config = &run->config;

    switch ((int)option) {
    case OPTION_SYSROOT:
        return run_set_sysroot(run, value, err);
    case OPTION_SET_ENV:
        return run_set_environment(value, err);
    case OPTION_UNSET_ENV:
        return run_unset_environment(value, err);
    case OPTION_ARGV0:
        config->argv0 = value;
        return 0;
    case OPTION_STRACE:
        config->strace = true;
        return 0;
    case OPTION_GDB:
        return run_set_gdb(run, value, err);
    case OPTION_ENGINE:
        return engine_parse(value, &run->engine, err);
    case OPTION_JIT:
        return engine_parse_jit(value, &run->engine, err);
    case OPTION_CPU:
        return engine_parse_cpu(value, &config->extensions, err);
    case OPTION_STATS:
        return parse_stats(config, value, err);
    case OPTION_LOG:
        run->logs = true;
        return log_parse_option(value, err);
    case OPTION_SELF_FD:
        return run_set_self_fd(run, value, err);
    case OPTION_SANDBOX:
        config->sandbox = true;
        return 0;
    case OPTION_VOLUME:
        return parse_share(config, value, err);
    }
    return -EINVAL;
}

/* ---- words ---- */

static const char *const names_with_dashes[OPTION_COUNT] = {
#define OPTION(letter, name, id, argument, help) "--" name,
#include "cmd/run_options.def"
#undef OPTION
};

static int check_together(const struct run *run, const struct option_words *words,
                          struct error *err)
{
    if (words->at >= words->argc)
        return error_set(err, -EINVAL, "which program? 'doppel run --help' lists the options");
    if (run->config.share_count && !run->config.sandbox)
        return error_set(err, -EINVAL,
                         "-v needs --sandbox: without it the program sees all of your files");
    if (run->config.sandbox && run->config.gdb)
        return error_set(err, -EINVAL,
                         "--sandbox and --gdb exclude each other: gdb could not get in");
    return 0;
}

/* 0, with words->at at the program; 1 for --help; or -errno. */
static int parse_words(struct run *run, struct option_words *words, struct error *err)
{
    for (;;) {
        int option = option_words_next(words, err);
        if (option < 0)
            return option;
        if (option == OPTION_WORD_HELP)
            return 1;
        if (option == OPTION_WORD_PLAIN)
            words->at--;
        if (option >= OPTION_ROWS_MAX)
            return check_together(run, words, err);

        const char *value = words->value;
        int result = set_option(run, (enum run_option)option, value, err);
        if (result == 0 && (INHERITED & BIT(option)))
            result = run_inherit(run, names_with_dashes[option], value, err);
        if (result < 0)
            return result;
    }
}

static void print_help(void)
{
    printf("usage: doppel run [options] PROGRAM [ARGUMENT...]\n\n"
           "Runs a riscv64 Linux program. Its exit status is ours.\n\n");
    option_rows_print(rows, OPTION_COUNT, stdout);
}

int cmd_run(int argc, char **argv)
{
    static const char *const first[] = {"doppel", "run"};
    struct option_words words = {
        .command = "doppel run",
        .rows = rows,
        .row_count = OPTION_COUNT,
        .repeatable = REPEATABLE,
        .argc = argc,
        .argv = argv,
        .at = 1,
    };
    struct error err = {0};
    struct run run;
    int status = 0;

    run_init(&run, first, ARRAY_LEN(first));
    /* Before -E and -U, which are about the program. */
    const char *sysroot = secure_getenv("DOPPEL_SYSROOT");
    int result = parse_words(&run, &words, &err);
    if (result == 0 && !run.sysroot && sysroot && *sysroot)
        result = run_set_sysroot(&run, sysroot, &err);
    if (result > 0) {
        print_help();
    } else if (result < 0) {
        fprintf(stderr, "doppel run: %s\n", err.text);
        status = RUN_EXIT_BAD_OPTIONS;
    } else {
        status = run_program(&run, argv + words.at, "doppel run");
    }
    run_fini(&run);
    return status;
}
