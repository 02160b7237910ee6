/* SPDX-License-Identifier: Apache-2.0
 * doppel image create | info | check | convert: disk images. */
#include "cmd/image.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/image_tool.h"
#include "base/bits.h"
#include "base/text.h"
#include "cmd/store.h"
#include "options/words.h"

enum {
    EXIT_REFUSED = 2,
    EXIT_FAILED = 1,
};

enum {
    OPTION_BASE,
    OPTION_FORMAT,
    OPTION_FROM_FORMAT,
    OPTION_BACKING,
    OPTION_OUTPUT,
    OPTION_COUNT,
};

static const struct option_row option_rows[OPTION_COUNT] = {
    [OPTION_BASE] = {0, "base", "FILE", "create an overlay of what is in FILE"},
    [OPTION_FORMAT] = {0, "format", "raw|qcow2|overlay", "format of the new image"},
    [OPTION_FROM_FORMAT] = {0, "from-format", "raw|qcow2|overlay",
                            "format of the existing image or base (found out)"},
    [OPTION_BACKING] = {0, "backing", "FILE", "backing file of a qcow2 image"},
    [OPTION_OUTPUT] = {'o', "output", "json", "as JSON"},
};

/* A command line behind the subcommand. */
struct words {
    const char *plain[2];
    unsigned plain_count;
    const char *values[OPTION_COUNT];
    enum disk_format format;
    struct disk_image_options from;
};

struct subcommand {
    const char *name;
    const char *usage;
    unsigned least;
    unsigned most;
    uint64_t options; /* BIT(OPTION_...) that it has */
    int (*run)(const struct words *words, struct error *err);
};

/* ---- create, info, check ---- */

static int run_create(const struct words *words, struct error *err)
{
    struct image_create wanted = {
        .path = words->plain[0],
        .base = words->values[OPTION_BASE],
        .format = words->values[OPTION_FORMAT] ? words->format
                  : words->values[OPTION_BASE] ? FORMAT_OVERLAY
                                               : FORMAT_RAW,
        .base_format_given = words->from.format_given,
        .base_format = words->from.format,
    };
    const char *size = words->plain[1];

    if (!size && !wanted.base)
        return error_set(err, -EINVAL, "a size is wanted behind '%s', such as 10G", wanted.path);
    if (size && (!text_parse_size(size, &wanted.size_bytes) || wanted.size_bytes == 0 ||
                 wanted.size_bytes > INT64_MAX))
        return error_set(err, -EINVAL, "'%s': a size such as 512M or 10G is wanted", size);
    return image_create(&wanted, err);
}

/* A string of JSON; bytes that are no ASCII stay as they are. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void print_json(const char *path, const struct image_info *info)
{
    printf("{\"file\": ");
    print_string(path);
    printf(", \"format\": \"%s\", \"size\": %llu, \"file-size\": %llu, \"used\": %llu",
           disk_format_name(info->format), (unsigned long long)info->size_bytes,
           (unsigned long long)info->file_bytes, (unsigned long long)info->used_bytes);
    if (info->version)
        printf(", \"version\": %u", info->version);
    if (info->format == FORMAT_OVERLAY)
        printf(", \"clean\": %s", info->is_clean ? "true" : "false");
    if (info->base[0]) {
        printf(", \"base\": ");
        print_string(info->base);
    }
    if (info->base[0] && info->format == FORMAT_OVERLAY)
        printf(", \"base-format\": \"%s\"", disk_format_name(info->base_format));
    printf("}\n");
}

/* What a file says is not the terminal's business. */
static void print_plain(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void print_size(const char *name, uint64_t bytes)
{
    static const char *const units[] = {"", " KiB", " MiB", " GiB", " TiB"};
    double value = (double)bytes;
    unsigned unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    if (unit)
        printf("%-10s %llu (%.1f%s)\n", name, (unsigned long long)bytes, value, units[unit]);
    else
        printf("%-10s %llu\n", name, (unsigned long long)bytes);
}

static void print_text(const char *path, const struct image_info *info)
{
    printf("%-10s %s\n", "file", path);
    printf("%-10s %s", "format", disk_format_name(info->format));
    if (info->version)
        printf(", version %u", info->version);
    putchar('\n');
    print_size("size", info->size_bytes);
    print_size("used", info->used_bytes);
    if (info->base[0]) {
        printf("%-10s ", info->format == FORMAT_OVERLAY ? "base" : "backing");
        print_plain(info->base);
        if (info->format == FORMAT_OVERLAY)
            printf(" (%s)", disk_format_name(info->base_format));
        putchar('\n');
    }
    if (!info->is_clean)
        printf("%-10s in use, or its machine was killed: nothing that was flushed is lost\n",
               "state");
}

static int run_info(const struct words *words, struct error *err)
{
    struct image_info info;
    const char *output = words->values[OPTION_OUTPUT];

    if (output && strcmp(output, "json") != 0)
        return option_bad_value("output", output, "json is the only other form", err);
    int result = image_info(words->plain[0], &info, err);
    if (result < 0)
        return result;
    if (output)
        print_json(words->plain[0], &info);
    else
        print_text(words->plain[0], &info);
    return 0;
}

static int run_check(const struct words *words, struct error *err)
{
    int result = image_check(words->plain[0], &words->from, err);

    if (result == 0)
        printf("%s: no faults\n", words->plain[0]);
    return result;
}

/* ---- convert ---- */

/* The only thing a handler of signals may touch. */
static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool show_progress(void *owner, uint64_t done, uint64_t size)
{
    const bool *is_terminal = owner;

    if (*is_terminal)
        fprintf(stderr, "\r%3u %%", (unsigned)(done * 100 / size));
    return !is_interrupted;
}

static int run_convert(const struct words *words, struct error *err)
{
    bool is_terminal = isatty(STDERR_FILENO);
    struct image_convert wanted = {
        .from = words->plain[0],
        .from_options = words->from,
        .to = words->plain[1],
        .format = words->values[OPTION_FORMAT] ? words->format : FORMAT_RAW,
        .progress = show_progress,
        .owner = &is_terminal,
    };

    watch_signals();
    int result = image_convert(&wanted, err);
    if (is_terminal)
        fprintf(stderr, "\r     \r");
    return result;
}

/* ---- the command line ---- */

static const struct subcommand subcommands[] = {
    {"create", "FILE [SIZE] [--base FILE [--from-format FORMAT]] [--format raw|overlay]", 1, 2,
     BIT(OPTION_BASE) | BIT(OPTION_FORMAT) | BIT(OPTION_FROM_FORMAT), run_create},
    {"info", "FILE [-o json]", 1, 1, BIT(OPTION_OUTPUT), run_info},
    {"check", "FILE [--from-format FORMAT] [--backing FILE]", 1, 1,
     BIT(OPTION_FROM_FORMAT) | BIT(OPTION_BACKING), run_check},
    {"convert", "FILE NEW [--format raw|qcow2|overlay] [--from-format FORMAT] [--backing FILE]", 2,
     2, BIT(OPTION_FORMAT) | BIT(OPTION_FROM_FORMAT) | BIT(OPTION_BACKING), run_convert},
};

static int print_usage(FILE *to)
{
    for (unsigned i = 0; i < ARRAY_LEN(subcommands); i++)
        fprintf(to, "%s doppel image %s %s\n", i ? "      " : "usage:", subcommands[i].name,
                subcommands[i].usage);
    fprintf(
        to,
        "       doppel image ls | export IMAGE FILE | rm IMAGE...\n"
        "       doppel image import FILE [--name NAME] [--kernel FILE [--initrd FILE] [--append "
        "TEXT]] [--firmware FILE] [--cloud-init] [--user NAME]\n");
    return to == stdout ? 0 : EXIT_REFUSED;
}

static int parse_format(unsigned option, const char *value, enum disk_format *out,
                        struct error *err)
{
    if (disk_format_parse(value, out))
        return 0;
    return option_bad_value(option_rows[option].name, value,
                            "the formats are raw, qcow2 and overlay", err);
}

static int take_value(const struct subcommand *command, unsigned option, const char *value,
                      struct words *words, struct error *err)
{
    if (!(command->options & BIT(option)))
        return error_set(err, -EINVAL, "%s has no option --%s", command->name,
                         option_rows[option].name);
    words->values[option] = value;
    if (option == OPTION_FORMAT)
        return parse_format(option, value, &words->format, err);
    if (option == OPTION_FROM_FORMAT) {
        words->from.format_given = true;
        return parse_format(option, value, &words->from.format, err);
    }
    if (option == OPTION_BACKING)
        words->from.backing = value;
    return 0;
}

/* 1: help is wanted. */
static int parse_words(const struct subcommand *command, struct option_words *from,
                       struct words *words, struct error *err)
{
    for (;;) {
        int option = option_words_next(from, err);
        int result = 0;
        if (option < 0)
            return option;
        if (option < OPTION_COUNT)
            result = take_value(command, (unsigned)option, from->value, words, err);
        else if (option == OPTION_WORD_HELP)
            return 1;
        else if (option == OPTION_WORD_PLAIN && words->plain_count < command->most)
            words->plain[words->plain_count++] = from->value;
        else if (option == OPTION_WORD_PLAIN)
            result = error_set(err, -EINVAL, "'%s' is one word too many", from->value);
        else if (option == OPTION_WORD_END)
            break;
        if (result < 0)
            return result;
    }
    if (words->plain_count < command->least)
        return error_set(err, -EINVAL, "usage: doppel image %s %s", command->name, command->usage);
    return 0;
}

static int run_subcommand(const struct subcommand *command, int argc, char **argv)
{
    struct option_words from = {
        .command = "doppel image",
        .rows = option_rows,
        .row_count = OPTION_COUNT,
        .argc = argc,
        .argv = argv,
        .at = 1,
    };
    struct words words = {.plain = {NULL}};
    struct error err = {0};
    int result = parse_words(command, &from, &words, &err);
    int status = EXIT_REFUSED;

    if (result > 0)
        return print_usage(stdout);
    if (result == 0) {
        result = command->run(&words, &err);
        status = EXIT_FAILED;
    }
    if (result == 0 && fflush(stdout) != 0)
        result = error_set(&err, -errno, "cannot write: %s", strerror(errno));
    if (result < 0)
        fprintf(stderr, "doppel image: %s\n", err.text);
    if (is_interrupted)
        return 128 + SIGINT;
    return result < 0 ? result == -EINVAL && status == EXIT_FAILED ? EXIT_REFUSED : status : 0;
}

int cmd_image(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return print_usage(stdout);
    if (argc < 2)
        return print_usage(stderr);
    for (unsigned i = 0; i < ARRAY_LEN(subcommands); i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return run_subcommand(&subcommands[i], argc - 1, argv + 1);
    if (store_is_command(argv[1]))
        return cmd_store(argc - 1, argv + 1);
    fprintf(stderr, "doppel image: there is no command '%s'; 'doppel image --help' lists them\n",
            argv[1]);
    return EXIT_REFUSED;
}
