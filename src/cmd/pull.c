/* SPDX-License-Identifier: Apache-2.0
 * `doppel pull`: an image for the store. */
#include "cmd/pull.h"

#include "cmd/machine.h"
#include "manager/pull.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 30

struct bar {
    bool on_terminal;
    const char *text; /* last shown; texts are constants */
    unsigned percent;
};

/* A bar on a terminal, a line for each step elsewhere. */
static void show(void *owner, const char *text, unsigned percent)
{
    struct bar *bar = owner;
    char done[BAR_WIDTH + 1];

    if (bar->text == text && bar->percent == percent)
        return;
    if (!bar->on_terminal && bar->text != text)
        fprintf(stderr, "doppel pull: %s\n", text);
    bar->text = text;
    bar->percent = percent;
    if (!bar->on_terminal)
        return;
    memset(done, ' ', BAR_WIDTH);
    memset(done, '#', percent * BAR_WIDTH / 100);
    done[BAR_WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3u %%  %s\033[K", done, percent, text);
    fflush(stderr);
}

int cmd_pull(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {0, "mirror", "ADDRESS", "of Debian's archive (that of this computer's apt)"},
        {0, "again", NULL, "also if the image is there: make it anew"},
    };
    struct cmd_words words = {
        .command = "pull",
        .usage = "debian[:13] [--mirror ADDRESS] [--again]",
        .help =
            "Makes an image of Debian 13 for riscv64 out of its packages, whose signatures are\n"
            "checked. What was downloaded is used again when it is interrupted.",
        .rows = rows,
        .row_count = ARRAY_LEN(rows),
        .least = 1,
        .most = 1};
    struct bar bar = {.on_terminal = isatty(STDERR_FILENO) == 1};
    struct paths paths;
    struct error err = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    struct pull_options options = {words.values[0], words.values[1] != NULL, show, &bar};
    int result = paths_find(&paths, &err);
    if (result == 0)
        result = image_pull(&paths, words.plain[0], &options, &err);
    if (bar.on_terminal && bar.text)
        fprintf(stderr, "\r\033[K");
    if (result < 0)
        return cmd_report("pull", &err);
    printf("%s\n", words.plain[0]);
    return CMD_OK;
}
