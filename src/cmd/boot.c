/* SPDX-License-Identifier: Apache-2.0
 * `doppel boot`: a machine in the foreground. */
#include "cmd/boot.h"

#include "vmm/config.h"
#include "vmm/vm.h"

#include <stdio.h>

static void print_help(void)
{
    printf("usage: doppel boot [options] [KERNEL | ELF] [-- kernel arguments]\n\n"
           "Boots a RISC-V machine in the foreground. Ctrl-] leaves it.\n\n");
    vm_config_print_options();
}

int cmd_boot(int argc, char **argv)
{
    struct vm_config config;
    struct error err = {0};

    vm_config_init(&config);
    int result = vm_config_parse(&config, argc, argv, &err);
    int status = VM_EXIT_OK;
    if (result > 0) {
        print_help();
    } else if (result < 0) {
        fprintf(stderr, "doppel boot: %s\n", err.text);
        status = VM_EXIT_BAD_OPTIONS;
    } else {
        status = vm_run(&config);
    }
    vm_config_fini(&config);
    return status;
}
