# SPDX-License-Identifier: Apache-2.0
"""Threads, children, signals, sockets and asyncio; prints what came of them."""
import asyncio, concurrent.futures, os, queue, signal, subprocess, sys, threading, time
counter, lock = 0, threading.Lock()
def count():
    global counter
    for _ in range(2000):
        with lock:
            counter += 1
threads = [threading.Thread(target=count) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print("threads", counter)
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print("pool", sum(pool.map(lambda n: n * n, range(500))))
out = subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1:], input())", "a b"],
                     input="from the parent", capture_output=True, text=True, check=True)
print("subprocess", out.stdout.strip())
print("status", subprocess.run([sys.executable, "-c", "raise SystemExit(7)"]).returncode)
SLEEPER = "import time; print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE)
child.stdout.readline()
child.terminate()
print("terminated", child.wait())
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError as error:
    print("missing", error.errno)
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(w, b"forked")
    os._exit(3)
print(os.read(r, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
hits = []
signal.signal(signal.SIGALRM, lambda number, frame: hits.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(hits) < 5:
    time.sleep(1)
signal.setitimer(signal.ITIMER_REAL, 0)
print("signals", set(hits))
async def serve(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()
async def ask(port, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode() + b"\n")
    answer = await reader.read()
    writer.close()
    return answer
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("sockets", await asyncio.gather(*(ask(port, f"line {i}") for i in range(20))))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('async')",
                                                   stdout=asyncio.subprocess.PIPE)
    print("process", (await process.communicate())[0])
asyncio.run(main())
