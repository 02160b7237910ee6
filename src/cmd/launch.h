/* SPDX-License-Identifier: Apache-2.0
 * `doppel launch`: a new machine in the background. */
#pragma once

int cmd_launch(int argc, char **argv);
