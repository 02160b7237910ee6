# SPDX-License-Identifier: Apache-2.0
"""Shares work among processes, made in each way that Python knows."""
import multiprocessing as mp
def square(n):
    return n * n
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool:
            print(method, sum(pool.map(square, range(100))))
    with mp.Manager() as manager:
        shared = manager.dict()
        shared["key"] = "value"
        print(dict(shared))
