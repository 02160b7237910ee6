/* SPDX-License-Identifier: Apache-2.0
 * `doppel launch`: a new machine in the background.
 *
 * What `doppel boot` understands is kept with the machine as it was given; only what launch decides itself, names and
 * sockets, is not. The whole command line is checked before anything starts. */
#include "cmd/launch.h"

#include "base/bits.h"
#include "base/text.h"
#include "cmd/machine.h"
#include "manager/image.h"
#include "manager/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_PATIENCE_S 300

enum launch_option {
    LAUNCH_WAIT,
    LAUNCH_DISK_SIZE,
#define OPTION(letter, name, id, argument, help) LAUNCH_BOOT_##id,
#include "vmm/options.def"
#undef OPTION
    LAUNCH_OPTION_COUNT,
};

static const struct option_row rows[LAUNCH_OPTION_COUNT] = {
    [LAUNCH_WAIT] = {0, "wait", "SECONDS",
                     "for the guest to be ready (300); 0: only for the machine to run"},
    [LAUNCH_DISK_SIZE] = {0, "disk-size", "SIZE", "of the disk made from the image (20G)"},
#define OPTION(letter, name, id, argument, help) \
    [LAUNCH_BOOT_##id] = {letter, name, argument, help},
#include "vmm/options.def"
#undef OPTION
};
_Static_assert(LAUNCH_OPTION_COUNT <= OPTION_ROWS_MAX, "the rows fit a set of bits");

/* Options of `boot` that a machine in the background gets from us. */
static const uint64_t ours = BIT(LAUNCH_BOOT_QMP) | BIT(LAUNCH_BOOT_SERIAL) |
                             BIT(LAUNCH_BOOT_LOCK) | BIT(LAUNCH_BOOT_UUID) |
                             BIT(LAUNCH_BOOT_STATS) | BIT(LAUNCH_BOOT_SIGNATURE);

struct launch {
    const char *name; /* NULL: to be made of the image's */
    const char *what; /* the word that is no option */
    const char *append;
    const char *disk_size;
    unsigned wait_s;
    bool has_cpus;
    json_t *options; /* of `boot`, in their order */
};

/* ---- the command line ---- */

static int take_option(struct launch *launch, unsigned option, const char *value, struct error *err)
{
    const struct option_row *row = &rows[option];

    if (ours & BIT(option))
        return error_set(err, -EINVAL, "--%s is for 'doppel boot'; launch sets it itself",
                         row->name);
    switch (option) {
    case LAUNCH_WAIT:
        if (!cmd_parse_seconds("launch", "wait", value, &launch->wait_s))
            return -ECANCELED;
        return 0;
    case LAUNCH_DISK_SIZE:
        launch->disk_size = value;
        return 0;
    case LAUNCH_BOOT_NAME:
        launch->name = value;
        return 0;
    case LAUNCH_BOOT_APPEND:
        launch->append = value;
        return 0;
    default:
        launch->has_cpus |= option == LAUNCH_BOOT_CPUS;
        return json_array_append_new(launch->options,
                                     value ? json_sprintf("--%s=%s", row->name, value)
                                           : json_sprintf("--%s", row->name)) < 0
                   ? error_set(err, -EINVAL, "--%s '%.64s': no text in UTF-8", row->name, value)
                   : 0;
    }
}

static void print_help(void)
{
    printf(
        "usage: doppel launch [options] IMAGE | DIR | KERNEL | ELF\n\n"
        "Makes a machine, starts it in the background and waits until its guest is ready. IMAGE\n"
        "is one of the store (doppel pull, doppel image ls); a path is booted as 'doppel boot'\n"
        "does, a folder as a copy that belongs to the machine. The options are kept for later\n"
        "starts.\n\n");
    option_rows_print(rows, LAUNCH_OPTION_COUNT, stdout);
}

/* Returns 0, 1 for --help, or -errno. */
static int parse(struct launch *launch, int argc, char **argv, struct error *err)
{
    struct option_words words = {
        .command = "doppel launch",
        .rows = rows,
        .row_count = LAUNCH_OPTION_COUNT,
        /* What may be given twice is for `boot` to say. */
        .repeatable = ~(BIT(LAUNCH_WAIT) | BIT(LAUNCH_DISK_SIZE) | BIT(LAUNCH_BOOT_NAME) |
                        BIT(LAUNCH_BOOT_APPEND)),
        .argc = argc,
        .argv = argv,
        .at = 1,
    };
    int word;

    while ((word = option_words_next(&words, err)) != OPTION_WORD_END) {
        int result = 0;
        if (word < 0 || word == OPTION_WORD_HELP)
            return word < 0 ? word : 1;
        if (word == OPTION_WORD_DASHES)
            result = error_set(err, -EINVAL, "use --append TEXT for the kernel's command line");
        else if (word == OPTION_WORD_PLAIN && launch->what)
            result =
                error_set(err, -EINVAL, "'%s': there is '%s' already", words.value, launch->what);
        else if (word == OPTION_WORD_PLAIN)
            launch->what = words.value;
        else
            result = take_option(launch, (unsigned)word, words.value, err);
        if (result < 0)
            return result;
    }
    if (launch->what)
        return 0;
    error_set(err, -EINVAL, "name an image, as in: doppel launch debian");
    return -EINVAL;
}

/* ---- the machine ---- */

/* A path, not an image: with a slash, as for programs in a shell. */
static bool is_path(const char *what)
{
    return strchr(what, '/') != NULL;
}

/* "debian", "debian-2" ...: the first that is free. */
static int find_name(const struct paths *paths, const struct launch *launch,
                     char to[RECORD_NAME_MAX + 1], struct error *err)
{
    char folder[PATH_MAX];
    const char *stem = strrchr(launch->what, '/');

    if (launch->name) {
        if (strlen(launch->name) > RECORD_NAME_MAX)
            return error_set(err, -EINVAL, "--name '%.80s' is too long", launch->name);
        snprintf(to, RECORD_NAME_MAX + 1, "%s", launch->name);
        return 0;
    }
    stem = is_path(launch->what) && stem[1] ? "machine" : launch->what;
    for (unsigned i = 1; i < 10000; i++) {
        char number[16] = "";
        if (i > 1)
            snprintf(number, sizeof(number), "-%u", i);
        snprintf(to, RECORD_NAME_MAX + 1, "%.*s%s", (int)MIN(strcspn(stem, ":"), 40), stem, number);
        /* Images may have dots and underscores in their names. */
        for (char *c = to + strcspn(to, "._"); *c; c += strcspn(c, "._"))
            *c = '-';
        int result = path_join(folder, err, paths->data, "machines", to, NULL);
        if (result < 0 || !path_exists(folder))
            return result;
    }
    return error_set(err, -EEXIST, "choose a --name");
}

/* What is worth keeping of the words: for an image, harts that most guests like. */
static int complete(struct launch *launch, const struct image *image, struct record *record,
                    struct error *err)
{
    bool many = sysconf(_SC_NPROCESSORS_ONLN) > 1;

    if (is_path(launch->what) &&
        json_array_append_new(launch->options, json_string(launch->what)) < 0)
        return error_set(err, -EINVAL, "'%.64s': no text in UTF-8", launch->what);
    if (!is_path(launch->what) && !launch->has_cpus && many)
        json_array_append_new(launch->options, json_string("--cpus=2"));
    if (launch->append &&
        json_object_set_new(record->json, "append", json_string(launch->append)) < 0)
        return error_set(err, -EINVAL, "--append '%.64s': no text in UTF-8", launch->append);
    if (launch->append && image->json && !*image_text(image, "kernel"))
        return error_set(err, -EINVAL,
                         "--append: the image '%s' has no kernel; what its firmware boots from the "
                         "disk has a command line there",
                         image->name);
    if (image->json && image_is_foreign(image)) {
        json_object_set_new(record->json, "foreign", json_true());
        json_object_set(record->json, "user", json_object_get(image->json, "user"));
        json_object_set(record->json, "cloud-init", json_object_get(image->json, "cloud-init"));
    }
    return record_save(record, err);
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Ctrl-C ends the program that copies, too; then the machine is removed. */
static void on_interrupt(int number)
{
    (void)number;
}

/* The machine's root is a copy of the folder: nobody writes to that, and machines from one do not see each other
 * (ADR 0046). */
static int copy_folder(struct launch *launch, struct record *record, struct error *err)
{
    const struct sigaction action = {.sa_handler = on_interrupt};
    struct sigaction before;
    char root[PATH_MAX];
    struct words words = {0};
    int result = path_join(root, err, record->folder, "root", NULL);

    if (result < 0)
        return result;
    words_add(&words, "cp");
    words_add(&words, "--archive");
    words_add(&words, "--reflink=auto");
    words_add(&words, "--no-target-directory");
    words_add(&words, "--");
    words_add(&words, "%s", launch->what);
    words_add(&words, "%s", root);
    sigaction(SIGINT, &action, &before);
    result = program_run(&words, "coreutils", err);
    sigaction(SIGINT, &before, NULL);
    words_fini(&words);
    if (result < 0)
        return result;
    json_array_set_new(launch->options, json_array_size(launch->options) - 1, json_string(root));
    return record_save(record, err);
}

static int make(struct launch *launch, struct cmd_machine *machine, struct error *err)
{
    char name[RECORD_NAME_MAX + 1];
    struct image image = {0};
    bool from_image = !is_path(launch->what);
    int result = paths_find(&machine->paths, err);

    if (result == 0 && from_image)
        result = image_open(&machine->paths, launch->what, &image, err);
    if (result == 0)
        result = find_name(&machine->paths, launch, name, err);
    if (result == 0) {
        result = record_create(&machine->paths, name, from_image ? image.name : NULL,
                               launch->options, &machine->record, err);
        bool is_new = result == 0 || (result != -EEXIST && machine->record.json);
        if (result == 0)
            result = complete(launch, &image, &machine->record, err);
        if (result == 0)
            result = cmd_machine_check(&machine->paths, &machine->record, err);
        if (result == 0 && from_image)
            result = image_make_disk(&image, machine->record.folder, launch->disk_size, err);
        else if (result == 0 && is_folder(launch->what))
            result = copy_folder(launch, &machine->record, err);
        if (result < 0 && is_new)
            (void)!record_remove(&machine->record, NULL);
    }
    image_fini(&image);
    return result;
}

/* A machine that never ran is not kept. */
static int start(struct launch *launch, struct cmd_machine *machine)
{
    bool promises = *record_text(&machine->record, "image");
    pid_t pid;
    int status = cmd_machine_start(machine, "launch", promises ? launch->wait_s : 0);

    if (status != CMD_OK && record_state(&machine->record, &pid) != MACHINE_LIVE &&
        !machine->has_run)
        (void)!record_remove(&machine->record, NULL);
    if (status == CMD_OK)
        printf("%s\n", machine->record.name);
    return status;
}

int cmd_launch(int argc, char **argv)
{
    struct launch launch = {.wait_s = START_PATIENCE_S, .options = json_array()};
    struct cmd_machine machine = {0};
    struct error err = {0};
    int result = parse(&launch, argc, argv, &err);
    int status = CMD_OK;

    if (result > 0)
        print_help();
    else if (result == 0)
        result = make(&launch, &machine, &err);
    if (result == -ECANCELED)
        status = CMD_BAD_OPTIONS;
    else if (result < 0)
        status = cmd_report("launch", &err);
    else if (result == 0)
        status = start(&launch, &machine);
    cmd_machine_close(&machine);
    json_decref(launch.options);
    return status;
}
