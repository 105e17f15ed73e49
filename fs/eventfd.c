/*
 * eventfd.c - files that carry news: eventfd(2), timerfd_create(2), signalfd(2).
 */
#include "fs/internal.h"
#include "kernel/time.h"
#include <quire/slab.h>

/* --- eventfd: a counter ------------------------------------------------------------------------------------------ */

#define EFD_SEMAPHORE 1u

struct eventfd {
	struct mutex lock;
	struct wait_queue wait;
	uint64_t count;
	bool semaphore;
};

static int64_t eventfd_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct eventfd *e = iocb->ki_filp->private_data;
	uint64_t value = 0;
	int64_t n = 0;

	if (iov_iter_count(to) < sizeof(value))
		return -EINVAL;
	mutex_lock(&e->lock);
	if (!e->count)
		n = iocb->ki_flags & IOCB_NOWAIT ? -EAGAIN
		                                 : wait_event_mutex(&e->wait, &e->lock, e->count);
	if (!n) {
		value = e->semaphore ? 1 : e->count;
		e->count -= value;
		wake_up_all(&e->wait);
	}
	mutex_unlock(&e->lock);
	if (n)
		return n;
	return copy_to_iter(&value, sizeof(value), to) == sizeof(value) ? (int64_t)sizeof(value)
	                                                                : -EFAULT;
}

static int64_t eventfd_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct eventfd *e = iocb->ki_filp->private_data;
	uint64_t value;
	int64_t n = 0;

	if (iov_iter_count(from) < sizeof(value))
		return -EINVAL;
	if (copy_from_iter(&value, sizeof(value), from) < sizeof(value))
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	mutex_lock(&e->lock);
	if (UINT64_MAX - e->count <= value)
		n = iocb->ki_flags & IOCB_NOWAIT
		            ? -EAGAIN
		            : wait_event_mutex(&e->wait, &e->lock, UINT64_MAX - e->count > value);
	if (!n) {
		e->count += value;
		wake_up_all(&e->wait);
	}
	mutex_unlock(&e->lock);
	return n ? n : (int64_t)sizeof(value);
}

static unsigned eventfd_poll(struct file *file, struct poll_table *pt)
{
	struct eventfd *e = file->private_data;
	unsigned mask = 0;

	poll_wait(file, &e->wait, pt);
	mutex_lock(&e->lock);
	if (e->count)
		mask |= POLLIN;
	if (e->count < UINT64_MAX - 1)
		mask |= POLLOUT;
	mutex_unlock(&e->lock);
	return mask;
}

static void eventfd_release(struct inode *inode, struct file *file)
{
	(void)inode;
	kfree(file->private_data);
}

static const struct file_operations eventfd_fops = {.read_iter = eventfd_read,
                                                    .write_iter = eventfd_write,
                                                    .poll = eventfd_poll,
                                                    .release = eventfd_release,
                                                    .llseek = noop_llseek};

static int64_t do_eventfd(uint32_t count, uint32_t flags)
{
	struct eventfd *e;
	struct file *file;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	e = kzalloc(sizeof(*e), GFP_KERNEL);
	if (!e)
		return -ENOMEM;
	mutex_init(&e->lock);
	wait_queue_init(&e->wait);
	e->count = count;
	e->semaphore = flags & EFD_SEMAPHORE;
	file = anon_inode_getfile("[eventfd]", &eventfd_fops, e, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(file))
		kfree(e);
	return fd_add(file, flags);
}

SYSCALL1(eventfd, uint32_t, count)
{
	return do_eventfd(count, 0);
}

SYSCALL2(eventfd2, uint32_t, count, uint32_t, flags)
{
	return do_eventfd(count, flags);
}

/* --- timerfd: expirations ------------------------------------------------------------------------------------------ */

#define TFD_TIMER_ABSTIME       1u
#define TFD_TIMER_CANCEL_ON_SET 2u

/*
 * The timer's callback (interrupt) and the calls meet under `lock`. Times inside are monotonic; the real-time clock's are
 * turned into that when set.
 */
struct timerfd {
	struct timer_entry timer;
	struct mutex mutex; /* one setter or reader */
	spinlock_t lock;    /* irqsave */
	struct wait_queue wait;
	uint64_t expires, interval; /* lock: ns; expires 0: off */
	uint64_t ticks;             /* lock: expirations not read yet */
	int clock;
};

/*
 * An interval timer is armed again by whoever reads it, who counts the intervals that have passed: a period of a microsecond
 * does not become a storm of interrupts.
 */
static void timerfd_expired(struct timer_entry *timer)
{
	struct timerfd *t = container_of(timer, struct timerfd, timer);
	irq_state_t irq = spin_lock_irqsave(&t->lock);

	if (t->expires && t->expires <= port_now_ns())
		t->ticks = 1;
	spin_unlock_irqrestore(&t->lock, irq);
	wake_up_all(&t->wait);
}

/* Expirations so far; the next is armed. */
static uint64_t timerfd_take(struct timerfd *t)
{
	irq_state_t irq = spin_lock_irqsave(&t->lock);
	uint64_t ticks = t->ticks;

	if (ticks && t->interval) {
		uint64_t missed = (port_now_ns() - t->expires) / t->interval;

		ticks += missed;
		t->expires += (missed + 1) * t->interval;
		timer_add(&t->timer, t->expires);
	} else if (ticks) {
		t->expires = 0;
	}
	t->ticks = 0;
	spin_unlock_irqrestore(&t->lock, irq);
	return ticks;
}

static int64_t timerfd_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct timerfd *t = iocb->ki_filp->private_data;
	uint64_t ticks;
	int64_t err = 0;

	if (iov_iter_count(to) < sizeof(ticks))
		return -EINVAL;
	while (!(ticks = timerfd_take(t)) && !err)
		err = iocb->ki_flags & IOCB_NOWAIT
		              ? -EAGAIN
		              : wait_event_interruptible(&t->wait, READ_ONCE(t->ticks));
	if (!ticks)
		return err;
	return copy_to_iter(&ticks, sizeof(ticks), to) == sizeof(ticks) ? (int64_t)sizeof(ticks)
	                                                                : -EFAULT;
}

static unsigned timerfd_poll(struct file *file, struct poll_table *pt)
{
	struct timerfd *t = file->private_data;

	poll_wait(file, &t->wait, pt);
	return READ_ONCE(t->ticks) ? POLLIN : 0;
}

static void timerfd_release(struct inode *inode, struct file *file)
{
	struct timerfd *t = file->private_data;
	irq_state_t irq;

	(void)inode;
	irq = spin_lock_irqsave(&t->lock);
	t->expires = 0;
	spin_unlock_irqrestore(&t->lock, irq);
	timer_cancel_sync(&t->timer);
	kfree(t);
}

static const struct file_operations timerfd_fops = {.read_iter = timerfd_read,
                                                    .poll = timerfd_poll,
                                                    .release = timerfd_release,
                                                    .llseek = noop_llseek};

SYSCALL2(timerfd_create, int, clock, uint32_t, flags)
{
	struct timerfd *t;
	struct file *file;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
		return -EINVAL;
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->clock = clock;
	mutex_init(&t->mutex);
	wait_queue_init(&t->wait);
	timer_setup(&t->timer, timerfd_expired);
	file = anon_inode_getfile("[timerfd]", &timerfd_fops, t, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(file))
		kfree(t);
	return fd_add(file, flags);
}

/* What is left of the time; an expired interval timer that nobody has read yet runs on all the same. */
static struct itimerspec64 timerfd_left(struct timerfd *t)
{
	irq_state_t irq = spin_lock_irqsave(&t->lock);
	uint64_t now = port_now_ns(), next = t->expires;
	struct itimerspec64 left = {.it_interval = ns_to_timespec(t->interval)};

	if (next && next <= now) {
		if (t->interval)
			next = now + t->interval - (now - next) % t->interval;
		else
			next = t->ticks ? 0 : now + 1;
	}
	left.it_value = ns_to_timespec(next ? next - now : 0);
	spin_unlock_irqrestore(&t->lock, irq);
	return left;
}

static void timerfd_set(struct timerfd *t, uint32_t flags, const struct itimerspec64 *new_value)
{
	uint64_t value = timespec_to_ns(&new_value->it_value);
	irq_state_t irq;

	if (value) {
		if (!(flags & TFD_TIMER_ABSTIME))
			value = deadline_after(value);
		else if (t->clock == CLOCK_REALTIME)
			value = MAX(real_to_mono_ns(value), 1);
	}
	timer_cancel_sync(&t->timer);
	irq = spin_lock_irqsave(&t->lock);
	t->expires = value;
	t->interval = timespec_to_ns(&new_value->it_interval);
	t->ticks = 0;
	if (value)
		timer_add(&t->timer, value);
	spin_unlock_irqrestore(&t->lock, irq);
}

static struct timerfd *timerfd_of(struct fd f)
{
	return f.file->f_op == &timerfd_fops ? f.file->private_data : NULL;
}

SYSCALL4(timerfd_settime, int, fd, uint32_t, flags, vaddr_t, unew, vaddr_t, uold)
{
	struct itimerspec64 new_value, old;
	struct timerfd *t;
	struct fd f;

	if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return -EINVAL;
	if (copy_from_user(&new_value, unew, sizeof(new_value)))
		return -EFAULT;
	if (!timespec_valid(&new_value.it_value) || !timespec_valid(&new_value.it_interval))
		return -EINVAL;
	f = fdget(fd);
	if (!f.file)
		return -EBADF;
	t = timerfd_of(f);
	if (t) {
		mutex_lock(&t->mutex);
		old = timerfd_left(t);
		timerfd_set(t, flags, &new_value);
		mutex_unlock(&t->mutex);
	}
	fdput(f);
	if (!t)
		return -EINVAL;
	return uold ? copy_to_user(uold, &old, sizeof(old)) : 0;
}

SYSCALL2(timerfd_gettime, int, fd, vaddr_t, ucur)
{
	struct fd f = fdget(fd);
	struct itimerspec64 left;
	struct timerfd *t;

	if (!f.file)
		return -EBADF;
	t = timerfd_of(f);
	if (t)
		left = timerfd_left(t);
	fdput(f);
	return t ? copy_to_user(ucur, &left, sizeof(left)) : -EINVAL;
}

/* --- signalfd: signals of the reader that are blocked --------------------------------------------------------------- */

struct signalfd_siginfo {
	uint32_t ssi_signo;
	int32_t ssi_errno, ssi_code;
	uint32_t ssi_pid, ssi_uid;
	int32_t ssi_fd;
	uint32_t ssi_tid, ssi_band, ssi_overrun, ssi_trapno;
	int32_t ssi_status, ssi_int;
	uint64_t ssi_ptr, ssi_utime, ssi_stime, ssi_addr;
	uint16_t ssi_addr_lsb;
	uint8_t pad[46];
};
static_assert(sizeof(struct signalfd_siginfo) == 128, "struct signalfd_siginfo");

struct wait_queue signalfd_wait = {.waiters = LIST_HEAD_INIT(signalfd_wait.waiters)};

struct signalfd {
	uint64_t mask; /* wanted */
};

static void signalfd_info(struct signalfd_siginfo *out, const struct kernel_siginfo *in)
{
	*out = (struct signalfd_siginfo){.ssi_signo = (uint32_t)in->si_signo,
	                                 .ssi_errno = in->si_errno,
	                                 .ssi_code = in->si_code,
	                                 .ssi_pid = (uint32_t)in->si_pid,
	                                 .ssi_uid = in->si_uid};
	if (in->si_code == SI_TIMER) {
		out->ssi_tid = (uint32_t)in->timer.si_tid;
		out->ssi_overrun = (uint32_t)in->timer.si_overrun;
		out->ssi_ptr = in->timer.value;
		out->ssi_int = (int32_t)in->timer.value;
	} else if (in->si_signo == SIGCHLD && in->si_code > 0) {
		out->ssi_status = in->child.si_status;
		out->ssi_utime = (uint64_t)in->child.si_utime;
		out->ssi_stime = (uint64_t)in->child.si_stime;
	} else if (in->si_code == SI_QUEUE) {
		out->ssi_ptr = in->si_value;
		out->ssi_int = (int32_t)in->si_value;
	} else if (in->si_code > 0 && sigmask(in->si_signo) & (sigmask(SIGSEGV) | sigmask(SIGBUS) |
	                                                       sigmask(SIGILL) | sigmask(SIGFPE))) {
		out->ssi_addr = in->fault.si_addr;
	}
}

static int64_t signalfd_next(struct signalfd *s, struct kernel_siginfo *info, bool nonblock)
{
	int signo, err = 0;

	while (!(signo = dequeue_signal(~s->mask, info)) && !err)
		err = nonblock ? -EAGAIN
		               : wait_event_interruptible(&signalfd_wait,
		                                          pending_signals(current) & s->mask);
	return signo ? signo : err;
}

static int64_t signalfd_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct signalfd *s = iocb->ki_filp->private_data;
	bool nonblock = iocb->ki_flags & IOCB_NOWAIT;
	struct signalfd_siginfo out;
	struct kernel_siginfo info;
	int64_t total = 0, n = -EINVAL;

	while (iov_iter_count(to) >= sizeof(out)) {
		n = signalfd_next(s, &info, nonblock || total);
		if (n < 0)
			break;
		signalfd_info(&out, &info);
		if (copy_to_iter(&out, sizeof(out), to) < sizeof(out)) {
			n = -EFAULT;
			break;
		}
		total += (int64_t)sizeof(out);
	}
	return total ? total : n;
}

static unsigned signalfd_poll(struct file *file, struct poll_table *pt)
{
	struct signalfd *s = file->private_data;

	poll_wait(file, &signalfd_wait, pt);
	return pending_signals(current) & s->mask ? POLLIN : 0;
}

static const struct file_operations signalfd_fops = {.read_iter = signalfd_read,
                                                     .poll = signalfd_poll,
                                                     .release = eventfd_release,
                                                     .llseek = noop_llseek};

static int64_t signalfd_new(uint64_t mask, uint32_t flags)
{
	struct signalfd *s = kmalloc(sizeof(*s), GFP_KERNEL);
	struct file *file;

	if (!s)
		return -ENOMEM;
	s->mask = mask;
	file = anon_inode_getfile("[signalfd]", &signalfd_fops, s, O_RDWR | (flags & O_NONBLOCK));
	if (IS_ERR(file))
		kfree(s);
	return fd_add(file, flags);
}

static int64_t do_signalfd(int fd, vaddr_t umask_addr, size_t size, uint32_t flags)
{
	uint64_t mask;
	struct fd f;
	int64_t n = -EINVAL;

	if (size != sizeof(mask) || flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	if (get_user_u64(&mask, umask_addr))
		return -EFAULT;
	mask &= ~SIG_KERNEL_ONLY;
	if (fd == -1)
		return signalfd_new(mask, flags);
	f = fdget(fd);
	if (!f.file)
		return -EBADF;
	if (f.file->f_op == &signalfd_fops) {
		WRITE_ONCE(((struct signalfd *)f.file->private_data)->mask, mask);
		wake_up_all(&signalfd_wait);
		n = fd;
	}
	fdput(f);
	return n;
}

SYSCALL4(signalfd4, int, fd, vaddr_t, mask, size_t, size, uint32_t, flags)
{
	return do_signalfd(fd, mask, size, flags);
}

SYSCALL3(signalfd, int, fd, vaddr_t, mask, size_t, size)
{
	return do_signalfd(fd, mask, size, 0);
}
