#!/usr/bin/env python3
"""terminal.py QUIRE KERNEL - the command on a terminal: raw mode and its end, keys, window size, signals."""
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios, time

QUIRE, KERNEL = sys.argv[1:3]
passed = failed = 0


def check(good, what, detail=''):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print('FAILED:', what, repr(detail))


class Session:
    """The command on a fresh pseudo-terminal of 40 by 100, as a shell would start it."""

    def __init__(self, *words):
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.output = b''
        command = [QUIRE, 'run', '--kernel', KERNEL]
        for word in words:
            command += ['--set', word]
        self.process = subprocess.Popen(command + ['--', 'x'], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))

    def read_until(self, text, seconds=10):
        end = time.time() + seconds
        while text not in self.output and time.time() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError:
                    break
        return text in self.output

    def send(self, data):
        os.write(self.master, data)

    def mode(self):
        return termios.tcgetattr(self.slave)

    def raw(self):
        return not self.mode()[3] & termios.ICANON

    def wait_raw(self):
        end = time.time() + 10
        while not self.raw() and time.time() < end:
            time.sleep(0.01)
        return self.raw()

    def end(self):
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None


def running(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children') as f:
        return [int(word) for word in f.read().split()]


s = Session('test.do=words', 'test.out=1')
check(s.read_until(b'stdio=ttt'), 'three letters t', s.output)
check(s.read_until(b'winsize=40x100'), 'the size of the window', s.output)
check(s.end() == 0 and s.mode() == s.before, 'the terminal is given back')

s = Session('test.do=echo', 'test.out=1')
check(s.wait_raw(), 'raw while it runs')
s.send(b'a\x03\x1a\r\n\x04\xff')
check(s.read_until(b'a\x03\x1a\r\n\x04\xff'), 'every key goes to the guest, back as it is', s.output)
s.send(b'\x1d\x1d')
time.sleep(1.2)
s.send(b'\x1d')
check(s.read_until(b'\x1d\x1d\x1d') and s.process.poll() is None, 'slow ^] are keys')
s.send(b'\x1d\x1d\x1d')
check(s.end() == 128 + 9 and s.mode() == s.before, '^]^]^] ends the guest')

s = Session('test.do=control', 'test.out=1')
check(s.read_until(b'ready'), 'ready', s.output)
fcntl.ioctl(s.master, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 132, 0, 0))
check(s.read_until(b'winsize 50 132\n'), 'a new size of the window', s.output)
check(s.end() == 0, 'ended')

for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    s = Session('test.do=control', 'test.out=1')
    check(s.read_until(b'ready'), 'ready', s.output)
    s.process.send_signal(number)
    check(s.read_until(b'signal %d\n' % number), f'signal {number} goes to the guest', s.output)
    check(s.end() == 0 and s.mode() == s.before, f'the terminal is given back after signal {number}')

s = Session('test.end=hang')
check(s.wait_raw(), 'raw')
s.process.send_signal(signal.SIGTERM)
check(s.end() == 128 + 15 and s.mode() == s.before, 'a guest that hangs is ended by SIGTERM')

s = Session('test.end=panic')
check(s.end() == 125 and s.read_until(b'the sky is falling\r\n') and s.mode() == s.before, 'a panic', s.output)

s = Session('test.do=echo', 'test.out=1')
check(s.wait_raw(), 'raw')
os.kill(s.process.pid, signal.SIGTSTP)
pid, status = os.waitpid(s.process.pid, os.WUNTRACED)
check(os.WIFSTOPPED(status) and s.mode() == s.before, 'stopped: the terminal is the shell\'s')
os.kill(s.process.pid, signal.SIGCONT)
check(s.wait_raw(), 'raw again')
s.send(b'still here')
check(s.read_until(b'still here'), 'and the guest goes on', s.output)
s.process.send_signal(signal.SIGINT)
s.process.send_signal(signal.SIGINT)
time.sleep(0.2)
s.process.send_signal(signal.SIGINT)
check(s.end() == 128 + 2, 'two SIGINT end it')

s = Session('test.end=hang')
check(s.wait_raw(), 'raw')
qemu = children(s.process.pid)
s.process.kill()
s.end()
time.sleep(0.2)
check(len(qemu) == 1 and not running(qemu[0]), 'QEMU dies with the command')

print(f'{passed} passed, {failed} failed')
sys.exit(failed != 0)
