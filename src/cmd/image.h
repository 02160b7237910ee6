/* SPDX-License-Identifier: Apache-2.0
 * `doppel image`: disk images. */
#pragma once

int cmd_image(int argc, char **argv);
