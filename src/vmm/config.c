/* SPDX-License-Identifier: Apache-2.0
 * The command line of `doppel boot`. */
#include "vmm/config.h"

#include "base/bits.h"
#include "base/text.h"
#include "options/log.h"
#include "options/words.h"
#include "vmm/cpu_group.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum vm_option {
#define OPTION(letter, name, id, argument, help) OPTION_##id,
#include "vmm/options.def"
#undef OPTION
    OPTION_COUNT,
};

static const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(letter, name, id, argument, help) {letter, name, argument, help},
#include "vmm/options.def"
#undef OPTION
};

const char vm_config_default_name[] = "doppel";

void vm_config_init(struct vm_config *config)
{
    *config = (struct vm_config){
        .cpus = 1,
        .governor.shares = CPU_SHARES_DEFAULT,
        .memory_bytes = GIB,
        .extensions = extension_set_all(),
        .widest_satp = SATP_SV39,
        .serial = "stdio",
        .name = vm_config_default_name,
        .uuid = "00000000-0000-0000-0000-000000000000",
    };
    engine_options_init(&config->engine);
}

void vm_config_fini(struct vm_config *config)
{
    for (unsigned i = 0; i < config->disk_count; i++)
        free(config->disks[i].text);
    for (unsigned i = 0; i < config->share_count; i++)
        free(config->shares[i].text);
    free(config->vsock_text);
}

void vm_config_print_options(void)
{
    option_rows_print(option_rows, OPTION_COUNT, stdout);
}

/* ---- values ---- */

static int bad_value(enum vm_option option, const char *value, const char *wanted,
                     struct error *err)
{
    return option_bad_value(option_rows[option].name, value, wanted, err);
}

static int parse_cpus(struct vm_config *config, const char *value, struct error *err)
{
    uint64_t cpus;

    if (!text_parse_u64(value, MACHINE_MAX_HARTS, &cpus) || cpus == 0)
        return bad_value(OPTION_CPUS, value, "a number from 1 to 64 is wanted", err);
    config->cpus = (unsigned)cpus;
    return 0;
}

bool vm_parse_cpus_limit(double cpus, unsigned *milli)
{
    if (!(cpus >= 0.01 && cpus <= MACHINE_MAX_HARTS))
        return false;
    *milli = (unsigned)(cpus * 1000 + 0.5);
    return true;
}

static int parse_cpus_limit(struct vm_config *config, const char *value, struct error *err)
{
    char *end;
    double cpus = strtod(value, &end);

    if (!*value || *end || !vm_parse_cpus_limit(cpus, &config->governor.limit_milli))
        return bad_value(OPTION_CPUS_LIMIT, value, "a number from 0.01 to 64 is wanted", err);
    return 0;
}

static int parse_cpu_shares(struct vm_config *config, const char *value, struct error *err)
{
    uint64_t shares;

    if (!text_parse_u64(value, CPU_SHARES_MOST, &shares) || shares == 0)
        return bad_value(OPTION_CPU_SHARES, value, "a number from 1 to 262144 is wanted", err);
    config->governor.shares = (unsigned)shares;
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
        }
        word += size;
        word += *word == ',';
    }
    return engine_parse_cpu(rest, &config->extensions, err);
}

/* "report", "stop", and for writes "enospc". */
static bool parse_error_action(const char *word, bool is_write, enum disk_error_action *out)
{
    static const struct {
        const char *word;
        enum disk_error_action action;
    } rows[] = {{"report", DISK_REPORT}, {"stop", DISK_STOP}, {"enospc", DISK_ENOSPC}};

    for (unsigned i = 0; i < ARRAY_LEN(rows) - !is_write; i++) {
        if (strcmp(word, rows[i].word) != 0)
            continue;
        *out = rows[i].action;
        return true;
    }
    return false;
}

static int parse_disk_word(struct vm_disk_config *disk, const char *word, struct error *err)
{
    if (strcmp(word, "readonly") == 0) {
        disk->read_only = true;
    } else if (strcmp(word, "snapshot") == 0) {
        disk->snapshot = true;
    } else if (text_starts_with(word, "format=") && disk_format_parse(word + 7, &disk->format)) {
        disk->format_given = true;
    } else if (text_starts_with(word, "backing=") && word[8]) {
        disk->backing = word + 8;
    } else if (strcmp(word, "bus=pci") == 0 || strcmp(word, "bus=mmio") == 0) {
        disk->bus_given = true;
        disk->on_mmio = word[4] == 'm';
    } else if (text_starts_with(word, "werror=") &&
               parse_error_action(word + 7, true, &disk->write_error)) {
        disk->write_error_given = true;
    } else if (text_starts_with(word, "rerror=") &&
               parse_error_action(word + 7, false, &disk->read_error)) {
        return 0;
    } else if (text_starts_with(word, "werror=") || text_starts_with(word, "rerror=")) {
        return error_set(err, -EINVAL, "--disk '%s': %s is wanted", word,
                         *word == 'w' ? "werror=report, =stop or =enospc"
                                      : "rerror=report or =stop");
    } else if (text_starts_with(word, "format=")) {
        return error_set(err, -EINVAL, "--disk '%s': the formats are raw, qcow2 and overlay", word);
    } else {
        return error_set(
            err, -EINVAL,
            "--disk: '%s' is not one of format=, backing=, readonly, snapshot, bus=pci, "
            "bus=mmio, werror=, rerror=",
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

/* A path that can stand on the kernel's command line and between colons. */
static bool is_mount_point(const char *path)
{
    return path[0] == '/' && path[1] && !strpbrk(path, " \t\n\"\\:,");
}

static int parse_share_word(struct vm_share_config *share, const char *word, struct error *err)
{
    uint64_t uid;

    if (strcmp(word, "ro") == 0) {
        share->read_only = true;
    } else if (strcmp(word, "locks") == 0) {
        share->has_locks = true;
    } else if (text_starts_with(word, "uid=") && text_parse_u64(word + 4, UINT32_MAX - 1, &uid)) {
        share->uid = (uint32_t)uid;
    } else if (strcmp(word, "rw") != 0) {
        return error_set(err, -EINVAL, "--volume: '%s' is not one of ro, rw, locks, uid=N", word);
    }
    return 0;
}

static int parse_share(struct vm_config *config, const char *value, struct error *err)
{
    if (config->share_count + (config->root != NULL) == MACHINE_MAX_SHARES)
        return error_set(err, -EINVAL, "--volume: at most %u folders are possible, with the root",
                         MACHINE_MAX_SHARES);
    struct vm_share_config *share = &config->shares[config->share_count++];
    share->text = strdup(value);
    if (!share->text)
        return error_set(err, -ENOMEM, "out of memory");
    char *rest = share->text;
    share->host = strsep(&rest, ":");
    share->guest = strsep(&rest, ":");
    if (!share->host[0] || !share->guest || !is_mount_point(share->guest))
        return bad_value(OPTION_VOLUME, value,
                         "HOST:GUEST[:ro] is wanted, where GUEST begins with / and has no spaces",
                         err);
    for (char *word; (word = strsep(&rest, ":,"));) {
        int result = parse_share_word(share, word, err);
        if (result < 0)
            return result;
    }
    return 0;
}

static int set_root(struct vm_config *config, const char *value, struct error *err)
{
    if (config->root)
        return error_set(err, -EINVAL, "'%s': there is a root already ('%s')", value, config->root);
    if (config->share_count == MACHINE_MAX_SHARES)
        return error_set(err, -EINVAL, "--root: at most %u folders are possible, with the root",
                         MACHINE_MAX_SHARES);
    config->root = value;
    return 0;
}

static int parse_io_limit(enum vm_option option, const char *value, uint64_t *out,
                          struct error *err)
{
    uint64_t rate;

    if (!text_parse_size(value, &rate) || rate == 0)
        return bad_value(option, value, "so many a second are wanted, such as 20M", err);
    *out = rate;
    return 0;
}

static int parse_net(struct vm_config *config, const char *value, struct error *err)
{
    bool is_none = strcmp(value, "none") == 0;

    if (config->net_given && (is_none || config->net_count == 0))
        return error_set(err, -EINVAL, "--net none and other networks exclude each other");
    config->net_given = true;
    if (is_none)
        return 0;
    if (config->net_count == MACHINE_MAX_NETS)
        return error_set(err, -EINVAL, "--net: at most %u networks are possible", MACHINE_MAX_NETS);
    config->nets[config->net_count++] = value;
    return 0;
}

static int parse_publish(struct vm_config *config, const char *value, struct error *err)
{
    if (config->forward_count == NET_MAX_FORWARDS)
        return error_set(err, -EINVAL, "--publish: at most %u ports are possible",
                         NET_MAX_FORWARDS);
    int result = net_forward_parse(value, &config->forwards[config->forward_count], err);
    config->forward_count += result == 0;
    return result;
}

static int parse_net_rate(struct vm_config *config, const char *value, struct error *err)
{
    if (!text_parse_size(value, &config->net_rate) || config->net_rate == 0)
        return bad_value(OPTION_NET_RATE, value, "bytes a second such as 500K or 10M are wanted",
                         err);
    return 0;
}

static int parse_seed(struct vm_config *config, const char *value, struct error *err)
{
    if (!text_parse_u64(value, UINT64_MAX, &config->seed))
        return bad_value(OPTION_SEED, value, "a number is wanted", err);
    config->has_seed = true;
    return 0;
}

static int parse_sandbox(struct vm_config *config, const char *value, struct error *err)
{
    config->no_sandbox = strcmp(value, "off") == 0;
    if (!config->no_sandbox && strcmp(value, "on") != 0)
        return bad_value(OPTION_SANDBOX, value, "on or off is wanted", err);
    return 0;
}

static int parse_balloon(struct vm_config *config, const char *value, struct error *err)
{
    config->no_balloon = strcmp(value, "off") == 0;
    if (!config->no_balloon && strcmp(value, "on") != 0)
        return bad_value(OPTION_BALLOON, value, "on or off is wanted", err);
    return 0;
}

static int parse_memory_target(struct vm_config *config, const char *value, struct error *err)
{
    if (!text_parse_size(value, &config->memory_target) || config->memory_target < MIB)
        return bad_value(OPTION_MEMORY_TARGET, value, "a size from 1M on is wanted", err);
    return 0;
}

static int parse_vsock(struct vm_config *config, const char *value, struct error *err)
{
    config->vsock_text = strdup(value);
    config->vsock_cid = 3;
    if (!config->vsock_text)
        return error_set(err, -ENOMEM, "out of memory");
    char *words = strchr(config->vsock_text, ',');
    if (words)
        *words++ = 0;
    if (words && (!text_starts_with(words, "cid=") ||
                  !text_parse_u64(words + 4, UINT32_MAX - 1, &config->vsock_cid)))
        config->vsock_cid = 0;
    if (!config->vsock_text[0] || config->vsock_cid < 3)
        return bad_value(OPTION_VSOCK, value, "PATH[,cid=N] with a number from 3 on is wanted",
                         err);
    config->vsock = config->vsock_text;
    return 0;
}

static int parse_uuid(struct vm_config *config, const char *value, struct error *err)
{
    static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t i = 0;

    while (pattern[i] && (pattern[i] == '-' ? value[i] == '-' : isxdigit((unsigned char)value[i])))
        i++;
    if (pattern[i] || value[i])
        return bad_value(OPTION_UUID, value, "32 hexadecimal digits are wanted, as 8-4-4-4-12",
                         err);
    config->uuid = value;
    return 0;
}

static int parse_stats(struct vm_config *config, const char *value, struct error *err)
{
    if (value && strcmp(value, "json") != 0)
        return bad_value(OPTION_STATS, value, "json is the only other form", err);
    config->stats = value ? STATS_JSON : STATS_TEXT;
    return 0;
}

static int set_option(struct vm_config *config, enum vm_option option, const char *value,
                      struct error *err)
{
    const char **const texts[OPTION_COUNT] = {
        [OPTION_KERNEL] = &config->kernel,
        [OPTION_INITRD] = &config->initrd,
        [OPTION_APPEND] = &config->append,
        [OPTION_DTB] = &config->dtb,
        [OPTION_FIRMWARE] = &config->firmware,
        [OPTION_SERIAL] = &config->serial,
        [OPTION_CONSOLE] = &config->console,
        [OPTION_GDB] = &config->gdb,
        [OPTION_NAME] = &config->name,
        [OPTION_SIGNATURE] = &config->signature,
        [OPTION_CPU_GROUP] = &config->governor.group,
        [OPTION_QMP] = &config->qmp,
        [OPTION_LOCK] = &config->lock,
    };
    bool *const flags[OPTION_COUNT] = {
        [OPTION_PAUSED] = &config->start_paused,
        [OPTION_NO_REBOOT] = &config->no_reboot,
        [OPTION_SNAPSHOT] = &config->snapshot,
        [OPTION_ICOUNT] = &config->icount,
    };

    if (option == OPTION_KERNEL && config->kernel)
        return error_set(err, -EINVAL, "--kernel '%s': there is a kernel already ('%s')", value,
                         config->kernel);
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
    case OPTION_CPUS_LIMIT:
        return parse_cpus_limit(config, value, err);
    case OPTION_CPU_SHARES:
        return parse_cpu_shares(config, value, err);
    case OPTION_MEMORY:
        return parse_memory(config, value, err);
    case OPTION_CPU:
        return parse_cpu(config, value, err);
    case OPTION_ENGINE:
        return engine_parse(value, &config->engine, err);
    case OPTION_JIT:
        return engine_parse_jit(value, &config->engine, err);
    case OPTION_DISK:
        return parse_disk(config, value, err);
    case OPTION_ROOT:
        return set_root(config, value, err);
    case OPTION_VOLUME:
        return parse_share(config, value, err);
    case OPTION_IO_BPS:
        return parse_io_limit(OPTION_IO_BPS, value, &config->io_limits.bytes, err);
    case OPTION_IO_IOPS:
        return parse_io_limit(OPTION_IO_IOPS, value, &config->io_limits.operations, err);
    case OPTION_NET:
        return parse_net(config, value, err);
    case OPTION_PUBLISH:
        return parse_publish(config, value, err);
    case OPTION_NET_RATE:
        return parse_net_rate(config, value, err);
    case OPTION_SANDBOX:
        return parse_sandbox(config, value, err);
    case OPTION_VSOCK:
        return parse_vsock(config, value, err);
    case OPTION_BALLOON:
        return parse_balloon(config, value, err);
    case OPTION_MEMORY_TARGET:
        return parse_memory_target(config, value, err);
    case OPTION_UUID:
        return parse_uuid(config, value, err);
    case OPTION_SEED:
        return parse_seed(config, value, err);
    case OPTION_LOG:
        return log_parse_option(value, err);
    case OPTION_STATS:
        return parse_stats(config, value, err);
    }
    return -EINVAL;
}

/* ---- words ---- */

static int parse_positional(struct vm_config *config, const char *word, struct error *err)
{
    struct stat st;

    if (stat(word, &st) == 0 && S_ISDIR(st.st_mode))
        return set_root(config, word, err);
    if (config->kernel)
        return error_set(err, -EINVAL, "'%s': there is a kernel already ('%s')", word,
                         config->kernel);
    config->kernel = word;
    return 0;
}

/* Words behind "--" go to the kernel's command line. */
static int parse_rest(struct vm_config *config, const struct option_words *words, struct error *err)
{
    size_t length = 0;

    for (int i = words->at; i < words->argc; i++) {
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

/* Ports need the user-mode network, and each is published once. */
static int check_ports(const struct vm_config *config, struct error *err)
{
    char text[NET_FORWARD_TEXT];
    bool has_user = !config->net_given;

    for (unsigned i = 0; i < config->net_count; i++)
        has_user = has_user || strcmp(config->nets[i], "user") == 0;
    if (config->forward_count && !has_user)
        return error_set(err, -EINVAL, "--publish needs --net user");
    for (unsigned i = 0; i < config->forward_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (net_forward_is_same(&config->forwards[i], &config->forwards[j]))
                return error_set(err, -EINVAL, "--publish: %s is given twice",
                                 net_forward_text(&config->forwards[i], text));
    return 0;
}

/* A machine that stopped goes on by its control socket; one without has no default that stops it. */
static int check_disks(struct vm_config *config, struct error *err)
{
    for (unsigned i = 0; i < config->disk_count; i++) {
        struct vm_disk_config *disk = &config->disks[i];
        if (!disk->write_error_given && config->qmp)
            disk->write_error = DISK_ENOSPC;
        if (!config->qmp && (disk->write_error || disk->read_error))
            return error_set(err, -EINVAL,
                             "--disk '%s': a machine that stops for an error needs --qmp, by which "
                             "it goes on",
                             disk->path);
    }
    return 0;
}

static int check_together(struct vm_config *config, struct error *err)
{
    bool stdio_serial = strcmp(config->serial, "stdio") == 0;
    bool stdio_console = config->console && strcmp(config->console, "stdio") == 0;

    if (!config->kernel && !config->root &&
        (!config->firmware || strcmp(config->firmware, "none") == 0 ||
         strcmp(config->firmware, "builtin") == 0))
        return error_set(err, -EINVAL,
                         "nothing to boot: name a kernel, an ELF, a folder or --firmware FILE");
    if (config->initrd && !config->kernel && !config->root)
        return error_set(err, -EINVAL, "--initrd needs a --kernel");
    if (config->icount && (config->io_limits.bytes || config->io_limits.operations))
        return error_set(err, -EINVAL,
                         "--io-bps and --io-iops limit real time; leave --icount out");
    if (config->icount && (config->governor.limit_milli || config->governor.group))
        return error_set(err, -EINVAL,
                         "--cpus-limit and --cpu-group limit real time; leave --icount out");
    if (config->no_balloon && config->memory_target)
        return error_set(err, -EINVAL, "--memory-target needs --balloon on");
    if (config->signature || config->engine.translator.perf_map || config->engine.translator.gdb)
        config->no_sandbox = true;
    if (config->icount && config->cpus > 1)
        return error_set(err, -EINVAL, "--icount needs --cpus 1: harts run at the same time");
    if (stdio_serial && stdio_console)
        return error_set(err, -EINVAL,
                         "--serial and --console cannot both be stdio; use --serial none");
    if (config->append && strlen(config->append) > 1900)
        return error_set(err, -EINVAL, "--append is longer than 1900 characters");
    int result = check_disks(config, err);
    return result < 0 ? result : check_ports(config, err);
}

/* Something that is no option. */
static int parse_other(struct vm_config *config, enum option_word kind,
                       const struct option_words *words, struct error *err)
{
    switch (kind) {
    case OPTION_WORD_HELP:
        return 1;
    case OPTION_WORD_DASHES:
        return parse_rest(config, words, err);
    case OPTION_WORD_PLAIN:
        return parse_positional(config, words->value, err);
    case OPTION_WORD_END:
        break;
    }
    return 0;
}

int vm_config_parse(struct vm_config *config, int argc, char **argv, struct error *err)
{
    struct option_words words = {
        .command = "doppel boot",
        .rows = option_rows,
        .row_count = OPTION_COUNT,
        .repeatable = BIT(OPTION_DISK) | BIT(OPTION_VOLUME) | BIT(OPTION_LOG) | BIT(OPTION_NET) |
                      BIT(OPTION_PUBLISH),
        .argc = argc,
        .argv = argv,
        .at = 1,
    };
    int option;

    do {
        option = option_words_next(&words, err);
        if (option < 0)
            return option;
        int result = option < OPTION_ROWS_MAX
                         ? set_option(config, (enum vm_option)option, words.value, err)
                         : parse_other(config, (enum option_word)option, &words, err);
        if (result != 0)
            return result;
    } while (option != OPTION_WORD_END && option != OPTION_WORD_DASHES);
    return check_together(config, err);
}
