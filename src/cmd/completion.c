/* SPDX-License-Identifier: Apache-2.0
 * `doppel completion bash`: what bash has to know to complete our commands. The script asks doppel itself, so that it knows
 * what this doppel knows: `doppel help` for commands, `--help` for options, `ls` and `image ls` for names. */
#include "cmd/completion.h"

#include "cmd/machine.h"

#include <stdio.h>
#include <string.h>

static const char script[] =
    "# Completion of doppel for bash: source <(doppel completion bash)\n"
    "_doppel() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
    "    COMPREPLY=()\n"
    "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
    "        words=$(doppel help 2>/dev/null | sed -n 's/^  \\([a-z]*\\) .*/\\1/p')\n"
    "    elif [[ $word == -* ]]; then\n"
    "        [ \"$command\" != image ] || command=\"image ${COMP_WORDS[2]}\"\n"
    "        words=$(doppel $command --help 2>/dev/null |\n"
    "            sed -n 's/^  \\(-., \\)\\{0,1\\}\\(--[a-z0-9-]*\\).*/\\2/p')\n"
    "    else\n"
    "        case $command in\n"
    "        launch) words=$(doppel image ls 2>/dev/null | sed '1d;s/ .*//') ;;\n"
    "        pull) words='debian debian:13' ;;\n"
    "        image)\n"
    "            if [ \"$COMP_CWORD\" = 2 ]; then\n"
    "                words='ls import export rm create info check convert'\n"
    "            elif [ \"${COMP_WORDS[2]}\" != import ]; then\n"
    "                words=$(doppel image ls 2>/dev/null | sed '1d;s/ .*//')\n"
    "            fi\n"
    "            ;;\n"
    "        boot|run|disasm) ;;\n"
    "        *) words=$(doppel ls 2>/dev/null | sed '1d;s/ .*//') ;;\n"
    "        esac\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
    "    [ ${#COMPREPLY[@]} != 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n"
    "}\n"
    "complete -o filenames -F _doppel doppel\n";

int cmd_completion(int argc, char **argv)
{
    struct cmd_words words = {.command = "completion",
                              .usage = "bash",
                              .help =
                                  "Prints a script that makes bash complete doppel's commands:\n\n"
                                  "    source <(doppel completion bash)",
                              .least = 1,
                              .most = 1};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    if (strcmp(words.plain[0], "bash") != 0) {
        fprintf(stderr, "doppel completion: '%s': there is a script for bash only\n",
                words.plain[0]);
        return CMD_BAD_OPTIONS;
    }
    fputs(script, stdout);
    return CMD_OK;
}
