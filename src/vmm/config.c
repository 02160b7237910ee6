/* SPDX-License-Identifier: Apache-2.0
 * The command line of `doppel boot`. */
#include "vmm/config.h"

#include "base/log.h"
#include "base/text.h"
#include "isa/extension.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum vm_option {
#define OPTION(name, id, argument, help) OPTION_##id,
#include "vmm/options.def"
#undef OPTION
    OPTION_COUNT,
};

static const struct option_row {
    const char *name;
    const char *argument; /* NULL: a flag; "[...]": optional, only with = */
    const char *help;
} option_rows[OPTION_COUNT] = {
#define OPTION(name, id, argument, help) {name, argument, help},
#include "vmm/options.def"
#undef OPTION
};

void vm_config_init(struct vm_config *config)
{
    *config = (struct vm_config){
        .cpus = 1,
        .memory_bytes = GIB,
        .extensions = extension_set_all(),
        .widest_satp = SATP_SV39,
        .serial = "stdio",
        .name = "doppel",
        .translator = {.features = cpu_features_detect()},
    };
    config->translate = translator_is_supported(&config->translator.features);
}

void vm_config_fini(struct vm_config *config)
{
    for (unsigned i = 0; i < config->disk_count; i++)
        free(config->disks[i].text);
}

void vm_config_print_options(void)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        bool is_optional = row->argument && row->argument[0] == '[';
        printf("  --%s%s%s\n        %s\n", row->name,
               is_optional     ? "="
               : row->argument ? " "
                               : "",
               row->argument ? row->argument : "", row->help);
    }
}

/* ---- values ---- */

static int bad_value(enum vm_option option, const char *value, const char *wanted,
                     struct error *err)
{
    return error_set(err, -EINVAL, "--%s '%s': %s", option_rows[option].name, value, wanted);
}

static int parse_cpus(struct vm_config *config, const char *value, struct error *err)
{
    uint64_t cpus;

    if (!text_parse_u64(value, MACHINE_MAX_HARTS, &cpus) || cpus == 0)
        return bad_value(OPTION_CPUS, value, "a number from 1 to 64 is wanted", err);
    config->cpus = (unsigned)cpus;
    return 0;
}

static int parse_memory(struct vm_config *config, const char *value, struct error *err)
{
    uint64_t size;

    if (!text_parse_size(value, &size))
        return bad_value(OPTION_MEMORY, value, "a size such as 512M or 2G is wanted", err);
    /* A bare number is MiB, as everywhere else such an option exists. */
    if (value[strlen(value) - 1] >= '0' && value[strlen(value) - 1] <= '9' && size < MIB)
        size <<= 20;
    if (size < MACHINE_MIN_MEMORY || size > MACHINE_MAX_MEMORY)
        return bad_value(OPTION_MEMORY, value, "between 4M and 1024G are possible", err);
    if (size & PAGE_MASK)
        return bad_value(OPTION_MEMORY, value, "a multiple of 4K is wanted", err);
    config->memory_bytes = size;
    return 0;
}

/* What every machine has, though later ISA strings name it: the base of old
 * included CSRs and counters, and kernels rely on them. Returns what it added. */
static size_t add_base(char *text, size_t length, size_t room)
{
    static const char base[] = ",+zicsr,+zicntr,+zihpm";

    if (strncmp(text, "rv", 2) != 0 || strchr(text, ',') || length + sizeof(base) > room)
        return 0;
    memcpy(text + length, base, sizeof(base));
    return sizeof(base) - 1;
}

/* "sv39", "sv48" or "sv57" among the words is about address translation, the rest
 * is the ISA's. */
static int parse_cpu(struct vm_config *config, const char *value, struct error *err)
{
    static const struct {
        const char *name;
        enum satp_mode mode;
    } modes[] = {{"sv39", SATP_SV39}, {"sv48", SATP_SV48}, {"sv57", SATP_SV57}};
    char rest[512] = "";
    size_t length = 0;

    for (const char *word = value; *word;) {
        size_t size = strcspn(word, ",");
        bool is_mode = false;
        for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
            if (size == 4 && strncmp(word, modes[i].name, 4) == 0) {
                config->widest_satp = modes[i].mode;
                is_mode = true;
            }
        }
        if (!is_mode) {
            if (length + size + 2 > sizeof(rest))
                return bad_value(OPTION_CPU, value, "it is too long", err);
            if (length)
                rest[length++] = ',';
            memcpy(rest + length, word, size);
            length += size;
            rest[length] = 0;
            length += add_base(rest, length, sizeof(rest));
        }
        word += size;
        word += *word == ',';
    }
    if (length == 0)
        return 0;
    struct error reason = {0};
    if (extension_set_parse(rest, &config->extensions, &reason) < 0)
        return bad_value(OPTION_CPU, value, reason.text, err);
    return 0;
}

static int parse_engine(struct vm_config *config, const char *value, struct error *err)
{
    if (strcmp(value, "auto") == 0) {
        config->translate = translator_is_supported(&config->translator.features);
        return 0;
    }
    config->translate = strcmp(value, "jit") == 0;
    if (config->translate && !translator_is_supported(&config->translator.features))
        return bad_value(OPTION_ENGINE, value, "this host cannot run the translator; use interp",
                         err);
    if (config->translate || strcmp(value, "interp") == 0)
        return 0;
    return bad_value(OPTION_ENGINE, value, "auto, interp or jit is wanted", err);
}

static int parse_jit_word(struct vm_config *config, const char *word, struct error *err)
{
    struct translator_options *options = &config->translator;
    uint64_t number;

    if (strcmp(word, "no-chain") == 0)
        options->no_chaining = true;
    else if (strcmp(word, "no-fast-memory") == 0)
        options->no_fast_memory = true;
    else if (strcmp(word, "no-inline") == 0)
        options->no_inline = true;
    else if (strcmp(word, "perf-map") == 0)
        options->perf_map = true;
    else if (strcmp(word, "gdb") == 0)
        options->gdb = true;
    else if (strncmp(word, "cache=", 6) == 0 && text_parse_size(word + 6, &number) &&
             number >= TRANSLATOR_MIN_CACHE && number <= TRANSLATOR_MAX_CACHE)
        options->cache_bytes = number;
    else if (strncmp(word, "unit=", 5) == 0 &&
             text_parse_u64(word + 5, TRANSLATOR_MAX_UNIT, &number) && number > 0)
        options->unit_limit = (unsigned)number;
    else
        return bad_value(OPTION_JIT, word, "see --help", err);
    return 0;
}

static int parse_jit(struct vm_config *config, const char *value, struct error *err)
{
    char words[256];
    char *save = NULL;

    if (strlen(value) >= sizeof(words))
        return bad_value(OPTION_JIT, value, "the list is too long", err);
    memcpy(words, value, strlen(value) + 1);
    char *features = strstr(words, "cpu=");
    if (features && (features == words || features[-1] == ',')) {
        if (cpu_features_restrict(&config->translator.features, features + 4, err) < 0)
            return -EINVAL;
        *features = 0;
    }
    for (char *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        int result = parse_jit_word(config, word, err);
        if (result < 0)
            return result;
    }
    return 0;
}

static int parse_disk_word(struct vm_disk_config *disk, const char *word, struct error *err)
{
    if (strcmp(word, "readonly") == 0) {
        disk->read_only = true;
    } else if (strcmp(word, "snapshot") == 0) {
        disk->snapshot = true;
    } else if (strcmp(word, "format=raw") == 0) {
        disk->format_given = true;
    } else if (strcmp(word, "bus=pci") == 0 || strcmp(word, "bus=mmio") == 0) {
        disk->bus_given = true;
        disk->on_mmio = word[4] == 'm';
    } else if (text_starts_with(word, "format=")) {
        return error_set(err, -EINVAL,
                         "--disk '%s': this build reads format=raw only; convert the image first",
                         word);
    } else {
        return error_set(err, -EINVAL,
                         "--disk: '%s' is not one of format=raw, readonly, snapshot, bus=pci, "
                         "bus=mmio",
                         word);
    }
    return 0;
}

static int parse_disk(struct vm_config *config, const char *value, struct error *err)
{
    if (config->disk_count == MACHINE_MAX_DISKS)
        return error_set(err, -EINVAL, "--disk: at most %u disks are possible", MACHINE_MAX_DISKS);
    struct vm_disk_config *disk = &config->disks[config->disk_count++];
    disk->text = strdup(value);
    if (!disk->text)
        return error_set(err, -ENOMEM, "out of memory");
    char *rest = disk->text;
    disk->path = strsep(&rest, ",");
    if (!disk->path[0])
        return bad_value(OPTION_DISK, value, "a file is wanted first", err);
    for (char *word; (word = strsep(&rest, ","));) {
        int result = parse_disk_word(disk, word, err);
        if (result < 0)
            return result;
    }
    return 0;
}

static int parse_net(const char *value, struct error *err)
{
    if (strcmp(value, "none") == 0)
        return 0;
    return bad_value(OPTION_NET, value, "this build has no network devices; use none", err);
}

static int parse_seed(struct vm_config *config, const char *value, struct error *err)
{
    if (!text_parse_u64(value, UINT64_MAX, &config->seed))
        return bad_value(OPTION_SEED, value, "a number is wanted", err);
    config->has_seed = true;
    return 0;
}

static int parse_stats(struct vm_config *config, const char *value, struct error *err)
{
    if (value && strcmp(value, "json") != 0)
        return bad_value(OPTION_STATS, value, "json is the only other form", err);
    config->stats = value ? STATS_JSON : STATS_TEXT;
    return 0;
}

static int parse_log(const char *value, struct error *err)
{
    for (const char *word = value; *word;) {
        size_t size = strcspn(word, ",");
        const char *equals = memchr(word, '=', size);
        const char *level_text = equals ? equals + 1 : word;
        enum log_level level;
        char *module = NULL;
        if (!log_parse_level(level_text, (size_t)(word + size - level_text), &level))
            return bad_value(OPTION_LOG, value, "levels are error, warn, info and debug", err);
        /* Kept for the life of the program, as log_set_level asks. */
        if (equals && !(module = strndup(word, (size_t)(equals - word))))
            return error_set(err, -ENOMEM, "out of memory");
        if (!log_set_level(module, level)) {
            free(module);
            return bad_value(OPTION_LOG, value, "too many modules", err);
        }
        word += size; /* NOLINT(clang-analyzer-unix.Malloc): the module's name is kept */
        word += *word == ',';
    }
    return 0;
}

static int set_option(struct vm_config *config, enum vm_option option, const char *value,
                      struct error *err)
{
    const char **const texts[OPTION_COUNT] = {
        [OPTION_KERNEL] = &config->kernel,     [OPTION_INITRD] = &config->initrd,
        [OPTION_APPEND] = &config->append,     [OPTION_DTB] = &config->dtb,
        [OPTION_FIRMWARE] = &config->firmware, [OPTION_SERIAL] = &config->serial,
        [OPTION_CONSOLE] = &config->console,   [OPTION_GDB] = &config->gdb,
        [OPTION_NAME] = &config->name,         [OPTION_SIGNATURE] = &config->signature,
    };
    bool *const flags[OPTION_COUNT] = {
        [OPTION_PAUSED] = &config->start_paused,
        [OPTION_NO_REBOOT] = &config->no_reboot,
        [OPTION_SNAPSHOT] = &config->snapshot,
        [OPTION_ICOUNT] = &config->icount,
    };

    if (texts[option]) {
        *texts[option] = value;
        return 0;
    }
    if (flags[option]) {
        *flags[option] = true;
        return 0;
    }
    switch ((int)option) {
    case OPTION_CPUS:
        return parse_cpus(config, value, err);
    case OPTION_MEMORY:
        return parse_memory(config, value, err);
    case OPTION_CPU:
        return parse_cpu(config, value, err);
    case OPTION_ENGINE:
        return parse_engine(config, value, err);
    case OPTION_JIT:
        return parse_jit(config, value, err);
    case OPTION_DISK:
        return parse_disk(config, value, err);
    case OPTION_NET:
        return parse_net(value, err);
    case OPTION_SEED:
        return parse_seed(config, value, err);
    case OPTION_LOG:
        return parse_log(value, err);
    case OPTION_STATS:
        return parse_stats(config, value, err);
    }
    return -EINVAL;
}

/* ---- words ---- */

struct words {
    int argc;
    char **argv;
    int at;
    bool seen[OPTION_COUNT];
};

static int find_option(const char *name, size_t length)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (strlen(option_rows[i].name) == length &&
            strncmp(option_rows[i].name, name, length) == 0)
            return i;
    return -1;
}

/* "--name value", "--name=value" or "--flag" at words->at. */
static int parse_option(struct vm_config *config, struct words *words, struct error *err)
{
    const char *name = words->argv[words->at] + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    int option = find_option(name, length);

    if (option < 0)
        return error_set(err, -EINVAL, "unknown option '--%.*s'; 'doppel boot --help' lists them",
                         (int)length, name);
    const struct option_row *row = &option_rows[option];
    bool is_optional = row->argument && row->argument[0] == '[';
    if (!row->argument && value)
        return error_set(err, -EINVAL, "--%s takes no value", row->name);
    if (row->argument && !is_optional && !value) {
        if (words->at + 1 >= words->argc)
            return error_set(err, -EINVAL, "--%s wants %s", row->name, row->argument);
        value = words->argv[++words->at];
    }
    if (words->seen[option] && option != OPTION_DISK && option != OPTION_LOG)
        return error_set(err, -EINVAL, "--%s is given twice", row->name);
    if (option == OPTION_KERNEL && config->kernel)
        return error_set(err, -EINVAL, "--kernel '%s': there is a kernel already ('%s')", value,
                         config->kernel);
    words->seen[option] = true;
    return set_option(config, (enum vm_option)option, value, err);
}

static int parse_positional(struct vm_config *config, const char *word, struct error *err)
{
    struct stat st;

    if (config->kernel)
        return error_set(err, -EINVAL, "'%s': there is a kernel already ('%s')", word,
                         config->kernel);
    if (stat(word, &st) == 0 && S_ISDIR(st.st_mode))
        return error_set(err, -EINVAL,
                         "'%s' is a directory; this build boots kernels and ELF files", word);
    config->kernel = word;
    return 0;
}

/* Words behind "--" go to the kernel's command line. */
static int parse_rest(struct vm_config *config, const struct words *words, struct error *err)
{
    size_t length = 0;

    for (int i = words->at + 1; i < words->argc; i++) {
        int added = snprintf(config->rest + length, sizeof(config->rest) - length, "%s%s",
                             length ? " " : "", words->argv[i]);
        length += (size_t)added;
        if (length >= sizeof(config->rest))
            return error_set(err, -EINVAL, "the arguments behind -- are too long");
    }
    if (config->append && length)
        return error_set(err, -EINVAL, "give either --append or arguments behind --");
    if (length)
        config->append = config->rest;
    return 0;
}

static int check_together(const struct vm_config *config, struct error *err)
{
    bool stdio_serial = strcmp(config->serial, "stdio") == 0;
    bool stdio_console = config->console && strcmp(config->console, "stdio") == 0;

    if (!config->kernel && (!config->firmware || strcmp(config->firmware, "none") == 0 ||
                            strcmp(config->firmware, "builtin") == 0))
        return error_set(err, -EINVAL, "nothing to boot: name a kernel, an ELF or --firmware FILE");
    if (config->initrd && !config->kernel)
        return error_set(err, -EINVAL, "--initrd needs a --kernel");
    if (config->icount && config->cpus > 1)
        return error_set(err, -EINVAL, "--icount needs --cpus 1: harts run at the same time");
    if (stdio_serial && stdio_console)
        return error_set(err, -EINVAL,
                         "--serial and --console cannot both be stdio; use --serial none");
    if (config->append && strlen(config->append) > 1900)
        return error_set(err, -EINVAL, "--append is longer than 1900 characters");
    return 0;
}

int vm_config_parse(struct vm_config *config, int argc, char **argv, struct error *err)
{
    struct words words = {.argc = argc, .argv = argv, .at = 1};
    int result = 0;

    for (; result == 0 && words.at < argc; words.at++) {
        const char *word = argv[words.at];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            return 1;
        if (strcmp(word, "--") == 0) {
            result = parse_rest(config, &words, err);
            break;
        }
        if (strcmp(word, "-S") == 0)
            config->start_paused = true;
        else if (text_starts_with(word, "--"))
            result = parse_option(config, &words, err);
        else if (word[0] == '-' && word[1])
            result = error_set(err, -EINVAL, "unknown option '%s'; 'doppel boot --help' lists them",
                               word);
        else
            result = parse_positional(config, word, err);
    }
    return result == 0 ? check_together(config, err) : result;
}
