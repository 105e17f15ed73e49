/*
 * relay.c - streams, signals and the end of the run, in one poll loop.
 *
 * End of file towards the guest is a half-closed socket, not a closed one: QEMU treats a hang-up as the end
 * even when unread bytes are left. Closing our end of an output socket is the guest's EPIPE.
 *
 * Signals are passed on to the guest, which decides. What still ends a guest that does not react: a second
 * SIGINT or SIGQUIT within a second, SIGTERM or SIGHUP with nothing happening for GRACE_NS, and ^] three
 * times within a second on a terminal.
 */
#define _GNU_SOURCE
#include "cmd/quire/relay.h"
#include "cmd/quire/pump.h"
#include "cmd/quire/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS    1000000000ull
#define GRACE_NS     (5 * SECOND_NS)
#define ESCAPE       0x1d /* ^] */
#define FILE_TICK_MS 2    /* how often growing memory files are looked at */
#define BACKLOG_MAX  (64ull << 20)

enum { PUMP_IN, PUMP_TTY, PUMP_OUT, PUMP_ERR, PUMP_SERIAL, NR_PUMPS };

struct relay {
	struct vm *vm;
	struct pump pumps[NR_PUMPS];
	struct relay_result *result;
	bool ended; /* QEMU was waited for */
	bool held;  /* QEMU is stopped until a backlog is written */
	bool tty;
	uint64_t last_key[2]; /* when ^] came, the last two times */
	uint64_t last_signal; /* when the last SIGINT or SIGQUIT came */
	uint64_t deadline;    /* when to end the guest; 0: never */
	int deadline_signal;
	char control[256]; /* lines for the control port not yet sent */
	size_t control_len;
};

static const int taken[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void taken_set(sigset_t *set)
{
	struct sigaction act;

	sigemptyset(set);
	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++) {
		/* nohup and the like: what was ignored stays ignored */
		if (taken[i] == SIGCHLD ||
		    (!sigaction(taken[i], NULL, &act) && act.sa_handler != SIG_IGN))
			sigaddset(set, taken[i]);
	}
}

void relay_prepare(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	taken_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void end_guest(struct relay *r, int sig)
{
	if (r->ended || r->result->killed_by)
		return;
	r->result->killed_by = sig;
	kill(r->vm->pid, SIGKILL);
}

static void control_flush(struct relay *r)
{
	ssize_t n;

	if (!r->control_len || r->ended)
		return;
	n = send(r->vm->stream[STREAM_CONTROL], r->control, r->control_len,
	         MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		memmove(r->control, r->control + n, r->control_len - (size_t)n);
		r->control_len -= (size_t)n;
	}
}

/* A line that finds no room is dropped: the guest has left hundreds unread. */
static void control_line(struct relay *r, const char *line)
{
	size_t len = strlen(line);

	if (len > sizeof(r->control) - r->control_len)
		return;
	memcpy(r->control + r->control_len, line, len);
	r->control_len += len;
	control_flush(r);
}

static void tell_size(struct relay *r)
{
	unsigned rows, columns;
	char line[48];

	if (!r->tty || !terminal_size(&rows, &columns))
		return;
	snprintf(line, sizeof(line), "winsize %u %u\n", rows, columns);
	control_line(r, line);
}

static void on_request(struct relay *r, int sig)
{
	uint64_t now = now_ns();
	bool keyboard = sig == SIGINT || sig == SIGQUIT;
	char line[24];

	if (r->ended) { /* only a reader who does not read keeps us */
		terminal_restore();
		_exit(EXIT_SIGNALLED + sig);
	}
	if (keyboard && r->last_signal && now - r->last_signal < SECOND_NS) {
		end_guest(r, sig);
		return;
	}
	if (keyboard) {
		r->last_signal = now;
	} else if (!r->deadline) {
		r->deadline = now + GRACE_NS;
		r->deadline_signal = sig;
	}
	snprintf(line, sizeof(line), "signal %d\n", sig);
	control_line(r, line);
}

/* Stop as the shell expects it, the machine with us, and go on as we were. */
static void on_suspend(struct relay *r)
{
	bool raw = terminal_is_raw();

	terminal_restore();
	kill(r->vm->pid, SIGSTOP);
	raise(SIGSTOP);
	if (!r->held)
		kill(r->vm->pid, SIGCONT);
	if (raw)
		terminal_raw();
	tell_size(r);
}

static void on_signal(struct relay *r, int sig)
{
	switch (sig) {
	case SIGCHLD:
		if (!r->ended && waitpid(r->vm->pid, &r->result->status, WNOHANG) == r->vm->pid)
			r->ended = true;
		break;
	case SIGWINCH:
		tell_size(r);
		break;
	case SIGTSTP:
		if (!r->ended)
			on_suspend(r);
		break;
	default:
		on_request(r, sig);
	}
}

static void read_signals(struct relay *r, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		on_signal(r, (int)info.ssi_signo);
}

static void watch_escape(struct relay *r, const struct pump *p)
{
	for (size_t i = p->start; i < p->end; i++) {
		uint64_t now;

		if (p->data[i] != ESCAPE) {
			r->last_key[0] = r->last_key[1] = 0;
			continue;
		}
		now = now_ns();
		if (r->last_key[0] && now - r->last_key[0] < SECOND_NS)
			end_guest(r, SIGKILL);
		r->last_key[0] = r->last_key[1];
		r->last_key[1] = now;
	}
}

/* Standard input is looked at before it goes on: keys that end the guest are for the command. */
static bool move_input(struct relay *r, struct pump *p, const struct pollfd *f)
{
	bool was_done = p->done, moved;
	size_t old_end = p->end, old_start = p->start;

	moved = pump_move(p, f);
	if (r->tty && moved && old_start == old_end) {
		struct pump seen = *p;

		seen.start = 0;
		watch_escape(r, &seen);
	}
	if (p->done && !was_done)
		shutdown(r->vm->stream[STREAM_IN], SHUT_WR);
	return moved;
}

/* The sink takes no more: the guest learns it as EPIPE, a deterministic run (which may not) ends. */
static void sink_gone(struct relay *r, const struct pump *p)
{
	if (p->error != EPIPE)
		say("cannot write the guest's output: %s", strerror(p->error));
	if (!p->from_file) {
		shutdown(p->from, SHUT_RDWR);
		close(p->from);
	} else if (!r->ended) {
		r->result->closed_output = true;
		kill(r->vm->pid, SIGKILL);
	}
}

static bool move_output(struct relay *r, struct pump *p, const struct pollfd *f)
{
	bool was_done = p->done, moved;

	p->newline_fix = p == &r->pumps[PUMP_SERIAL] && terminal_is_raw() && isatty(p->to);
	moved = pump_move(p, f);
	if (p->done && !was_done && p->error)
		sink_gone(r, p);
	return moved;
}

static bool move_all(struct relay *r, const struct pollfd *f)
{
	bool moved = move_input(r, &r->pumps[PUMP_IN], &f[PUMP_IN]);

	for (unsigned i = PUMP_TTY; i < NR_PUMPS; i++)
		moved |= move_output(r, &r->pumps[i], &f[i]);
	return moved;
}

/* A deterministic guest cannot be blocked by its reader, whose speed it would see; it is stopped as a whole. */
static void hold_back(struct relay *r)
{
	uint64_t backlog = pump_backlog(&r->pumps[PUMP_OUT]) + pump_backlog(&r->pumps[PUMP_ERR]);
	bool hold = backlog > (r->held ? BACKLOG_MAX / 2 : BACKLOG_MAX);

	if (hold != r->held && !r->ended)
		kill(r->vm->pid, hold ? SIGSTOP : SIGCONT);
	r->held = hold;
}

/* All that the guest wrote has been written. Called after QEMU has ended. */
static bool drained(const struct relay *r)
{
	for (unsigned i = PUMP_TTY; i < NR_PUMPS; i++) {
		const struct pump *p = &r->pumps[i];

		if (!p->done && (!p->from_file || p->start != p->end || pump_backlog(p)))
			return false;
	}
	return true;
}

static bool any_file(const struct relay *r)
{
	return r->pumps[PUMP_OUT].from_file || r->pumps[PUMP_ERR].from_file;
}

static int timeout_ms(const struct relay *r, bool moved)
{
	if (any_file(r))
		return moved ? 0 : FILE_TICK_MS;
	if (r->deadline)
		return 100;
	return r->control_len ? 50 : -1;
}

static void loop(struct relay *r, int signals)
{
	struct pollfd f[NR_PUMPS + 1] = {0};
	bool moved = false;

	while (!r->ended || !drained(r)) {
		for (unsigned i = 0; i < NR_PUMPS; i++)
			pump_poll(&r->pumps[i], &f[i]);
		if (r->ended)
			f[PUMP_IN].fd = -1;
		f[NR_PUMPS] = (struct pollfd){.fd = signals, .events = POLLIN};
		if (poll(f, ARRAY_SIZE(f), timeout_ms(r, moved)) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (f[NR_PUMPS].revents)
			read_signals(r, signals);
		moved = move_all(r, f);
		control_flush(r);
		if (any_file(r))
			hold_back(r);
		if (r->deadline && now_ns() > r->deadline)
			end_guest(r, r->deadline_signal);
	}
}

static int terminal_out(void)
{
	int fd = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? STDIN_FILENO : fd;
}

static void connect_pumps(struct relay *r, const char *stdio, int serial_out)
{
	int *stream = r->vm->stream;

	pump_init(&r->pumps[PUMP_IN], stdio[0] == 't' || stdio[0] == 'p' ? STDIN_FILENO : -1,
	          stream[STREAM_IN]);
	if (stdio[0] == 'n' || stdio[0] == 'f')
		shutdown(stream[STREAM_IN], SHUT_WR);
	pump_init(&r->pumps[PUMP_TTY], r->tty ? stream[STREAM_IN] : -1,
	          r->tty ? terminal_out() : -1);
	pump_init(&r->pumps[PUMP_OUT], stream[STREAM_OUT], stdio[1] == 'p' ? STDOUT_FILENO : -1);
	pump_init(&r->pumps[PUMP_ERR], stream[STREAM_ERR], stdio[2] == 'p' ? STDERR_FILENO : -1);
	pump_init(&r->pumps[PUMP_SERIAL], serial_out >= 0 ? stream[STREAM_SERIAL] : -1, serial_out);
	r->pumps[PUMP_OUT].from_file = r->vm->is_file[STREAM_OUT];
	r->pumps[PUMP_ERR].from_file = r->vm->is_file[STREAM_ERR];
	r->pumps[PUMP_SERIAL].from_file = r->vm->is_file[STREAM_SERIAL];
}

void relay_run(struct vm *vm, const char *stdio, int serial_out, struct relay_result *result)
{
	struct relay r = {.vm = vm, .result = result, .tty = strchr(stdio, 't') != NULL};
	sigset_t set;
	int signals;

	*result = (struct relay_result){0};
	connect_pumps(&r, stdio, serial_out);
	taken_set(&set);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals < 0)
		die("signalfd: %s", strerror(errno));
	if (r.tty)
		terminal_raw();
	loop(&r, signals);
	terminal_restore();
	close(signals);
}
