/* SPDX-License-Identifier: Apache-2.0
 * `doppel doctor`: what this host can and cannot do. Returns the exit status: 0 unless machines cannot run. */
#pragma once

int cmd_doctor(int argc, char **argv);
