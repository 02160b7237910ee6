/* SPDX-License-Identifier: Apache-2.0
 * `doppel completion bash`. Returns the exit status. */
#pragma once

int cmd_completion(int argc, char **argv);
