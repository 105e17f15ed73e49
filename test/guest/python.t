# python3: threads, subprocesses, mmap, signals, sockets between its own processes, big integers.
# options: --mem 256M
# needs: /usr/bin/python3
/usr/bin/python3 - <<'P'
import threading, subprocess, queue, mmap, os, signal, hashlib, tempfile, multiprocessing, select, socket, time, zlib, json
q = queue.Queue()
def work(i):
    h = hashlib.sha256()
    for k in range(200): h.update(b"%d" % (i * k))
    q.put((i, h.hexdigest()[:12]))
ts = [threading.Thread(target=work, args=(i,)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(q.get() for _ in ts))
print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 4"], capture_output=True))
print(subprocess.check_output(["tr", "a-z", "A-Z"], input=b"through a pipe"))
m = mmap.mmap(-1, 1 << 20); m[5:10] = b"hello"; print(m[5:10], len(m))
with tempfile.TemporaryFile() as f:
    f.write(b"x" * 100000); f.flush()
    mm = mmap.mmap(f.fileno(), 0); mm[99990:] = b"0123456789"; mm.flush(); f.seek(99985); print(f.read())
r = []
signal.signal(signal.SIGALRM, lambda *a: r.append("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.2); print(r)
print(sum(range(10**6)), len(str(3**8000)))
def f(x): return x * x
with multiprocessing.get_context("fork").Pool(2) as p: print(p.map(f, range(10)))
a, b = socket.socketpair(); a.send(b"ping"); print(b.recv(10)); print(select.select([b], [a], [], 0)[1] == [a])
pid = os.fork()
if pid == 0: os._exit(17)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(zlib.crc32(zlib.decompress(zlib.compress(bytes(range(256)) * 4000))))
print(json.dumps({"k": [1, 2.5, None]}), os.path.realpath("/proc/self/exe") == os.path.realpath("/usr/bin/python3"))
e = select.epoll(); rd, wr = os.pipe(); e.register(rd, select.EPOLLIN); os.write(wr, b"x"); print(e.poll(1)[0][1])
x = [bytearray(1000) for _ in range(20000)]; del x; print("done")
P
