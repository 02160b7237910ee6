#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs save_load on Debian's kernel: a machine saved in mid-boot and its copy go
on alike.

    save_load_test.py SAVE_LOAD [MILLIONS...]    instructions before each save
"""
import subprocess
import sys

import guests
import tap

LIMIT_S = 600
MOMENTS = ["300"]


def main(program, moments):
    try:
        kernel = guests.kernel()
        initrd = guests.initramfs(command="cat /proc/interrupts; head -c 16 /dev/urandom | xxd")
    except tap.Skip as reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    status = 0
    for millions in moments or MOMENTS:
        status |= subprocess.run([program, str(kernel), str(initrd), millions], check=False,
                                 timeout=LIMIT_S).returncode
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
