#!/usr/bin/env python3
# shell.py - an interactive guest on a real terminal: line editing, ^C, ^Z and jobs, ^D, window size, raw programs.
# Drives `quire shell` over a pseudo-terminal. Prints a line for each failure, then "N passed, N failed".
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

passed = failed = 0


def check(what, good, seen=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("FAILED:", what, repr(seen[-300:]))


class Shell:
    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["PS1"] = "@@ "
            os.environ["ENV"] = "/dev/null"
            os.execv("./quire", ["quire"] + list(words))
        self.size(30, 100)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, pattern, seconds=20):
        """What is read until the pattern matches, or all that came."""
        seen, end = b"", time.time() + seconds
        while not re.search(pattern, seen) and time.time() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 4096)
                except OSError:
                    break
                if not data:
                    break
                seen += data
        return seen.decode(errors="replace")

    def say(self, text):
        os.write(self.fd, text.encode())

    def ask(self, text, pattern, seconds=20, prompt=True):
        """Type, wait for the pattern and for the prompt behind it."""
        self.say(text)
        return self.until((pattern + (r"[\s\S]*@@ " if prompt and "@@" not in pattern else "")).encode(), seconds)

    def wait(self, seconds=10):
        end = time.time() + seconds
        while time.time() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            self.until(rb"never", 0.05)  # a terminal that nobody reads holds its writer up
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return "still running"


def main():
    s = Shell("run", "--", "/bin/sh", "-i")
    seen = s.until(rb"@@ ")
    check("a prompt", "@@ " in seen, seen)
    seen = s.ask("echo answer=$((6 * 7))\r", r"answer=42")
    check("a command", "answer=42" in seen, seen)
    seen = s.ask("tty; stty size\r", r"\d+ \d+\r")
    check("the window's size", "30 100" in seen, seen)
    s.size(50, 120)
    time.sleep(0.3)
    seen = s.ask("stty size\r", r"\n\d+ \d+\r")
    check("a new size", "50 120" in seen, seen)
    seen = s.ask("echo abX\x7fc\r", r"\nabc\r")
    check("erase", "\nabc\r" in seen, seen)
    seen = s.ask("echo never\x15echo killed-line\r", r"\nkilled-line\r")
    check("kill the line", "\nkilled-line\r" in seen and "\nnever\r" not in seen, seen)
    s.say("sleep 100\r")
    time.sleep(0.5)
    seen = s.ask("\x03", r"@@ ", 5)
    check("^C ends the program, not the shell", "@@ " in seen, seen)
    seen = s.ask("echo status=$?\r", r"status=\d+")
    check("130 after ^C", "status=130" in seen, seen)
    s.say("sleep 100\r")
    time.sleep(0.5)
    seen = s.ask("\x1a", r"@@ ", 5)
    check("^Z stops it", re.search(r"(?i)stopped", seen), seen)
    seen = s.ask("jobs; kill -9 %1; wait; echo gone\r", r"\ngone\r")
    check("jobs", "sleep 100" in seen and "\ngone\r" in seen, seen)
    seen = s.ask("cat\rone line\r", r"one line\r\n.*one line", prompt=False)
    check("a line is echoed, then read", seen.count("one line") >= 2, seen)
    s.ask("\x04", r"@@ ")
    seen = s.ask("echo after-eof\r", r"\nafter-eof\r")
    check("^D ends input", "\nafter-eof\r" in seen, seen)
    s.say("stty -icanon -echo; dd bs=1 count=1 2>/dev/null | od -c; stty icanon echo\r")
    time.sleep(1)
    seen = s.ask("q", r"0000000\s+q", 5)
    check("a raw byte without return", re.search(r"0000000\s+q", seen), seen)
    s.say("exit 9\r")
    status = s.wait()
    check("the shell's status", status == 9, str(status))
    s = Shell("shell", "--mem", "32M")
    seen = s.until(rb"[#$@] $")
    check("quire shell prompts", bool(re.search(r"[#$@] $", seen)), seen)
    os.kill(s.pid, signal.SIGTERM)
    check("SIGTERM ends it", s.wait() == 128 + signal.SIGTERM)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
main()
