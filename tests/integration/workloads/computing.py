# SPDX-License-Identifier: Apache-2.0
"""Computes with much of the library; what it prints depends on no version of Python."""
import base64, collections, decimal, fractions, hashlib, heapq, itertools, json, math, random
import re, statistics, string, struct, textwrap, zlib
random.seed(42, version=2)
words = ["".join(random.choice(string.ascii_lowercase) for _ in range(random.randint(1, 9)))
         for _ in range(20000)]
print(collections.Counter(words).most_common(7), hash(tuple(range(1000))))
print(hashlib.sha256(" ".join(sorted(words)).encode()).hexdigest())
print(hashlib.md5(json.dumps({w: len(w) for w in words}, sort_keys=True).encode()).hexdigest())
print(2 ** 4000 % (10 ** 50 + 151), math.factorial(300) // 3 ** 200)
numbers = [random.gauss(0, 1) * 10 ** random.randint(-300, 300) for _ in range(5000)]
print(hashlib.sha1("".join(map(repr, numbers)).encode()).hexdigest(), repr(math.fsum(numbers)))
print([repr(f(0.7)) for f in (math.sqrt, math.floor, math.ceil, float.hex)])
decimal.getcontext().prec = 60
print(decimal.Decimal(2).sqrt(), fractions.Fraction(355, 113).limit_denominator(50))
print(zlib.crc32(zlib.decompress(zlib.compress(" ".join(words).encode(), 9))))
print(re.sub(r"(\w)(\w*?)(\1)", r"<\2>", " ".join(words[:200])))
print(struct.pack("<dfqIhb", math.pi, 2.5, -2 ** 62, 2 ** 32 - 1, -7, 3).hex())
print(base64.b85encode(bytes(range(256))).decode(), statistics.median(numbers[:99]))
print(sum(1 for p in itertools.permutations(range(7)) if p[0] < p[-1]))
grid = [[(x * y) % 7 for x in range(60)] for y in range(60)]
print(hashlib.sha256(str([[sum(a * b for a, b in zip(r, c)) for c in zip(*grid)]
                          for r in grid]).encode()).hexdigest())
def primes(n):
    sieve = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** 0.5) + 1):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(sieve[i * i::i]))
    return sum(sieve[2:])
print(primes(200000))
