/*
 * cpu.c - what a CPU of the hosted machine is: one thread at a time, and interrupts.
 *
 * A thread that runs as a CPU possesses it, by a mutex. It lets go while it waits (port_block, host_join) and between
 * two steps of a long loop (port_cond_resched), so that other threads of this CPU come to their turn there and nowhere
 * else: what mm/ may count on.
 *
 * port_call_cpus() sets a bit for each CPU. A CPU that runs finds its own when interrupts go on, in a spinning loop, or
 * when it accesses a program's memory; one that nobody possesses is idle, and the caller takes it and is
 * its interrupt. One call at a time: who waits for his turn answers meanwhile.
 */
#include "host/internal.h"
#include "host/schedule.h"

#include <sched.h>

#define TIMER_EVERY 64u /* points from interrupt to interrupt, on threads */

static _Thread_local struct host_cpu *mine;

void host_cpu_init(struct host_machine *h)
{
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		pthread_mutex_init(&h->cpu[i].possession, NULL);
}

void host_cpu_take(struct host_machine *h, unsigned cpu)
{
	pthread_mutex_lock(&h->cpu[cpu].possession);
	mine = &h->cpu[cpu];
}

void host_cpu_release(void)
{
	if (mine)
		pthread_mutex_unlock(&mine->possession);
	mine = NULL;
}

bool host_cpu_idle(void)
{
	if (mine)
		pthread_mutex_unlock(&mine->possession);
	return mine != NULL;
}

void host_cpu_busy(bool had)
{
	if (!had)
		return;
	pthread_mutex_lock(&mine->possession);
	host_point();
}

void host_run_interrupt(void (*fn)(void *), void *arg)
{
	bool interrupt = host.interrupt;
	size_t line = host.cpu_line;

	host.interrupt = host.irqs_off = true;
	host.cpu_line = CPU_LINE_INTERRUPT;
	fn(arg);
	host.cpu_line = line;
	host.interrupt = interrupt;
	host.irqs_off = false;
}

static void run_call(struct host_machine *h, bool as_interrupt)
{
	if (as_interrupt) {
		host_run_interrupt(h->call.fn, h->call.arg);
	} else {
		host.irqs_off = true;
		h->call.fn(h->call.arg);
		host.irqs_off = false;
	}
	atomic_fetch_and(&h->call.wanted, ~(1ull << host.cpu));
}

void host_serve(struct host_machine *h)
{
	if (!host.irqs_off && atomic_load(&h->call.wanted) >> host.cpu & 1)
		run_call(h, true);
}

static void call_handler(void *arg)
{
	((struct host_machine *)arg)->interrupt();
}

void host_call_interrupt(struct host_machine *h)
{
	if (!host.irqs_off && h->interrupt)
		host_run_interrupt(call_handler, h);
}

void host_point_slow(void)
{
	static _Thread_local unsigned points;
	struct host_machine *h = this_host();

	if (h->schedule) {
		schedule_point(h->schedule);
		return;
	}
	host_serve(h);
	if (h->interrupt && ++points % TIMER_EVERY == 0)
		host_call_interrupt(h);
}

void host_relax_slow(void)
{
	if (this_host()->schedule)
		schedule_relax(this_host()->schedule);
	else
		host_point_slow();
}

/* Nobody is that CPU: its interrupt runs here, under its name. */
void host_call_absent(struct host_machine *h, unsigned cpu)
{
	struct host_thread_state saved = host;

	host_be(h, cpu, saved.self);
	host_serve(h);
	host = saved;
}

static void answer_for_idle(struct host_machine *h, uint64_t wanted)
{
	for (unsigned i = 0; i < h->machine.nr_cpus; i++) {
		if (!(wanted >> i & 1) || i == host.cpu ||
		    pthread_mutex_trylock(&h->cpu[i].possession) != 0)
			continue;
		host_call_absent(h, i);
		pthread_mutex_unlock(&h->cpu[i].possession);
	}
}

static void wait_for_answers(struct host_machine *h)
{
	uint64_t wanted;

	while ((wanted = atomic_load(&h->call.wanted))) {
		if (h->schedule) {
			schedule_call(h->schedule);
		} else {
			answer_for_idle(h, wanted);
			sched_yield();
		}
	}
}

void port_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg)
{
	struct host_machine *h = this_host();

	host_may_sleep("port_call_cpus");
	while (atomic_exchange(&h->call.busy, true))
		cpu_relax();
	h->call.fn = fn;
	h->call.arg = arg;
	atomic_store(&h->call.wanted, mask & ((1ull << h->machine.nr_cpus) - 1));
	if (mask >> host.cpu & 1)
		run_call(h, false);
	wait_for_answers(h);
	atomic_store(&h->call.busy, false);
}
