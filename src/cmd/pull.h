/* SPDX-License-Identifier: Apache-2.0
 * `doppel pull`: an image for the store. Returns the exit status. */
#pragma once

int cmd_pull(int argc, char **argv);
