/*
 * futex.c - fast user-space mutexes: sleeping on a word of memory until somebody says that it changed.
 *
 * A word is named by a key, the same for all who share it: private, its address and address space; shared, the page's
 * mapping and index (a page of private memory counts as private). Keys hash to buckets, each a lock and a list of
 * waiters. A waiter compares the word with what it expects under the bucket's lock, after it has queued itself: a
 * waker changes the word first and takes the lock then, so either the waiter sees the change or the waker sees the waiter.
 *
 * The word cannot be faulted in under a spin lock: it is read without faults, and when it is not there the lock is
 * dropped, the page faulted in, and all begins anew.
 *
 * Robust locks: a list in the program's memory of the locks that a thread holds; when it dies, OWNER_DIED is set in
 * each and a waiter is woken. The list is the program's and may be anything: it is followed at most ROBUST_LIMIT steps.
 *
 * Source: Franke, Russell and Kirkwood 2002; futex(2), robust_futexes in Linux's documentation.
 */
#include "kernel/futex.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "lib/hash.h"

#define FUTEX_WAIT             0
#define FUTEX_WAKE             1
#define FUTEX_REQUEUE          3
#define FUTEX_CMP_REQUEUE      4
#define FUTEX_WAKE_OP          5
#define FUTEX_WAIT_BITSET      9
#define FUTEX_WAKE_BITSET      10
#define FUTEX_PRIVATE_FLAG     128
#define FUTEX_CLOCK_REALTIME   256
#define FUTEX_BITSET_MATCH_ANY UINT32_MAX

#define FUTEX_WAITERS    0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK   0x3fffffffu
#define ROBUST_LIMIT     2048

#define HASH_BITS 8

struct futex_key {
	const void *space; /* mm_struct or address_space */
	uint64_t where;    /* address, or byte in the file */
};

struct futex_bucket {
	spinlock_t lock;
	struct list_head waiters;
};

struct futex_q {
	struct list_head link;       /* bucket->lock */
	struct futex_key key;        /* likewise: requeue changes it */
	struct futex_bucket *bucket; /* changed under both buckets' locks; NULL: woken */
	struct task_struct *task;
	uint32_t bitset;
};

static struct futex_bucket buckets[1u << HASH_BITS];

void futex_init(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(buckets); i++)
		INIT_LIST_HEAD(&buckets[i].waiters);
}

/* --- keys ---------------------------------------------------------------------------------------------------- */

static int get_futex_key(vaddr_t addr, bool shared, unsigned access, struct futex_key *key)
{
	struct address_space *mapping;
	struct page *page;
	int err;

	if (addr & 3)
		return -EINVAL;
	if (!access_ok(addr, sizeof(uint32_t)))
		return -EFAULT;
	key->space = current->mm;
	key->where = addr;
	if (!shared)
		return 0;
	err = get_user_page(current->mm, addr, access, &page);
	if (err == -EFAULT && access == FAULT_WRITE) /* waiting on a read-only word is allowed */
		err = get_user_page(current->mm, addr, FAULT_READ, &page);
	if (err)
		return err;
	mapping = page_mapping(page);
	if (mapping) {
		key->space = mapping;
		key->where = ((uint64_t)page->index << PAGE_SHIFT) + (addr & (PAGE_SIZE - 1));
	}
	put_page(page);
	return 0;
}

static struct futex_bucket *hash_bucket(const struct futex_key *key)
{
	return &buckets[hash_64(hash_combine((uint64_t)key->space, key->where), HASH_BITS)];
}

static bool same_key(const struct futex_key *a, const struct futex_key *b)
{
	return a->space == b->space && a->where == b->where;
}

/* Two buckets, in the order of their addresses. */
static void lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	spin_lock(a < b ? &a->lock : &b->lock);
	if (a != b)
		spin_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
}

/* Fault the word in, for writing if it is to be changed. */
static int fault_in(vaddr_t addr, unsigned access)
{
	struct page *page;
	int err = get_user_page(current->mm, addr, access, &page);

	if (!err)
		put_page(page);
	return err;
}

/* --- waking --------------------------------------------------------------------------------------------------- */

/* Off the list. The waiter may be gone as soon as bucket is NULL: the task is held meanwhile. */
static void wake_one(struct futex_q *q)
{
	struct task_struct *task = get_task(q->task);

	list_del(&q->link);
	atomic_thread_fence(memory_order_release);
	WRITE_ONCE(q->bucket, NULL);
	port_unblock(task_thread(task));
	put_task(task);
}

static unsigned wake_locked(struct futex_bucket *b, const struct futex_key *key, unsigned n,
                            uint32_t bitset)
{
	struct futex_q *q, *next;
	unsigned woken = 0;

	list_for_each_entry_safe(q, next, &b->waiters, link) {
		if (woken >= n)
			break;
		if (!same_key(&q->key, key) || !(q->bitset & bitset))
			continue;
		wake_one(q);
		woken++;
	}
	return woken;
}

static int64_t futex_wake(vaddr_t addr, bool shared, unsigned n, uint32_t bitset)
{
	struct futex_bucket *b;
	struct futex_key key;
	unsigned woken;
	int err;

	if (!bitset)
		return -EINVAL;
	err = get_futex_key(addr, shared, FAULT_READ, &key);
	if (err)
		return err;
	b = hash_bucket(&key);
	spin_lock(&b->lock);
	woken = wake_locked(b, &key, n, bitset);
	spin_unlock(&b->lock);
	return woken;
}

int futex_wake_user(vaddr_t addr, unsigned n)
{
	/* Whoever waits may have said private or shared: the program does not tell which. */
	int64_t shared = futex_wake(addr, true, n, FUTEX_BITSET_MATCH_ANY);
	int64_t private = shared > 0 ? 0 : futex_wake(addr, false, n, FUTEX_BITSET_MATCH_ANY);

	return (int)(shared > 0 ? shared : private);
}

/* --- waiting --------------------------------------------------------------------------------------------------- */

/* Off the list if still on it; false: somebody woke us. A requeue may move us while we look. */
static bool unqueue(struct futex_q *q)
{
	struct futex_bucket *b;

	while ((b = READ_ONCE(q->bucket))) {
		bool ours;

		spin_lock(&b->lock);
		ours = q->bucket == b;
		if (ours)
			list_del(&q->link);
		spin_unlock(&b->lock);
		if (ours)
			return true;
	}
	atomic_thread_fence(memory_order_acquire);
	return false;
}

/* Queued with the word equal to val: 0; else -EAGAIN, -EFAULT ... and not queued. */
static int queue_if_equal(struct futex_q *q, vaddr_t addr, bool shared, uint32_t val)
{
	uint32_t now;
	int err;

	for (;;) {
		struct futex_bucket *b;

		err = get_futex_key(addr, shared, FAULT_WRITE, &q->key);
		if (err)
			return err;
		b = hash_bucket(&q->key);
		spin_lock(&b->lock);
		err = get_user_u32_nofault(&now, addr);
		if (!err && now == val) {
			q->bucket = b;
			list_add_tail(&q->link, &b->waiters);
			spin_unlock(&b->lock);
			return 0;
		}
		spin_unlock(&b->lock);
		if (!err)
			return -EAGAIN;
		err = fault_in(addr, FAULT_READ);
		if (err)
			return err;
	}
}

static bool past(uint64_t deadline, bool real)
{
	return deadline != UINT64_MAX && (real ? ktime_get_real_ns() : port_now_ns()) >= deadline;
}

/* 0 woken, -ETIMEDOUT, -ERESTARTSYS (a signal). */
static int64_t futex_wait(vaddr_t addr, bool shared, uint32_t val, uint64_t deadline, bool real,
                          uint32_t bitset)
{
	struct futex_q q = {.task = current, .bitset = bitset};
	int err;

	if (!bitset)
		return -EINVAL;
	err = queue_if_equal(&q, addr, shared, val);
	if (err)
		return err;
	while (READ_ONCE(q.bucket) && !past(deadline, real) && !signal_pending(current))
		block_interruptible_until(real && deadline != UINT64_MAX ? real_to_mono_ns(deadline)
		                                                         : deadline);
	if (!unqueue(&q))
		return 0;
	return past(deadline, real) ? -ETIMEDOUT : -ERESTARTSYS;
}

/* After a signal without a handler a wait with a timeout goes on until its deadline; after a handler it is EINTR. */
#define RESTART_SHARED 1u
#define RESTART_REAL   2u

static int64_t futex_wait_restart(struct task_struct *task)
{
	uint64_t *arg = task->restart.arg;
	int64_t ret = futex_wait(arg[0], arg[1] & RESTART_SHARED, (uint32_t)arg[2], arg[3],
	                         arg[1] & RESTART_REAL, (uint32_t)arg[4]);

	return ret == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : ret;
}

static int64_t futex_wait_until(vaddr_t addr, bool shared, uint32_t val, uint64_t deadline,
                                bool real, uint32_t bitset)
{
	int64_t ret = futex_wait(addr, shared, val, deadline, real, bitset);
	struct task_struct *task = current;

	if (ret != -ERESTARTSYS || deadline == UINT64_MAX)
		return ret;
	task->restart.fn = futex_wait_restart;
	task->restart.arg[0] = addr;
	task->restart.arg[1] = (shared ? RESTART_SHARED : 0) | (real ? RESTART_REAL : 0);
	task->restart.arg[2] = val;
	task->restart.arg[3] = deadline;
	task->restart.arg[4] = bitset;
	return -ERESTART_RESTARTBLOCK;
}

/* --- requeue and wake_op ------------------------------------------------------------------------------------------ */

struct two_keys {
	struct futex_key key1, key2;
	struct futex_bucket *b1, *b2;
};

static int get_two_keys(struct two_keys *k, vaddr_t addr1, vaddr_t addr2, bool shared)
{
	int err = get_futex_key(addr1, shared, FAULT_READ, &k->key1);

	if (!err)
		err = get_futex_key(addr2, shared, FAULT_WRITE, &k->key2);
	if (err)
		return err;
	k->b1 = hash_bucket(&k->key1);
	k->b2 = hash_bucket(&k->key2);
	return 0;
}

/* Wake n of those who wait on key1; let `move` others wait on key2 instead. Both locked. */
static int64_t requeue_locked(struct two_keys *k, unsigned n, unsigned move)
{
	unsigned woken = wake_locked(k->b1, &k->key1, n, FUTEX_BITSET_MATCH_ANY), moved = 0;
	struct futex_q *q, *next;

	if (same_key(&k->key1, &k->key2))
		return woken;
	list_for_each_entry_safe(q, next, &k->b1->waiters, link) {
		if (moved >= move)
			break;
		if (!same_key(&q->key, &k->key1))
			continue;
		list_move_tail(&q->link, &k->b2->waiters);
		q->key = k->key2;
		WRITE_ONCE(q->bucket, k->b2);
		moved++;
	}
	return woken + moved;
}

static int64_t futex_requeue(vaddr_t addr1, vaddr_t addr2, bool shared, int n, int move,
                             bool compare, uint32_t val)
{
	struct two_keys k;
	uint32_t now = val;
	int64_t ret;

	if (n < 0 || move < 0)
		return -EINVAL;
	for (;;) {
		int err = get_two_keys(&k, addr1, addr2, shared);

		if (err)
			return err;
		lock_two(k.b1, k.b2);
		err = compare ? get_user_u32_nofault(&now, addr1) : 0;
		ret = err          ? -EFAULT
		      : now != val ? -EAGAIN
		                   : requeue_locked(&k, (unsigned)n, (unsigned)move);
		unlock_two(k.b1, k.b2);
		if (!err)
			return ret;
		err = fault_in(addr1, FAULT_READ);
		if (err)
			return err;
	}
}

/* FUTEX_WAKE_OP's operation and comparison, packed in a word: futex(2). */
struct wake_op {
	unsigned op, cmp;
	int32_t oparg, cmparg;
};

static int decode_wake_op(uint32_t word, struct wake_op *o)
{
	o->op = word >> 28 & 7;
	o->cmp = word >> 24 & 15;
	o->oparg = (int32_t)(word << 8) >> 20;
	o->cmparg = (int32_t)(word << 20) >> 20;
	if (word >> 31)
		o->oparg = (int32_t)(1u << (o->oparg & 31));
	return o->op > 4 || o->cmp > 5 ? -ENOSYS : 0;
}

static uint32_t apply_op(const struct wake_op *o, uint32_t old)
{
	uint32_t arg = (uint32_t)o->oparg;

	switch (o->op) {
	case 0:
		return arg;
	case 1:
		return old + arg;
	case 2:
		return old | arg;
	case 3:
		return old & ~arg;
	default:
		return old ^ arg;
	}
}

static bool compare_op(const struct wake_op *o, uint32_t old)
{
	int32_t v = (int32_t)old;

	switch (o->cmp) {
	case 0:
		return v == o->cmparg;
	case 1:
		return v != o->cmparg;
	case 2:
		return v < o->cmparg;
	case 3:
		return v <= o->cmparg;
	case 4:
		return v > o->cmparg;
	default:
		return v >= o->cmparg;
	}
}

/* Change the word atomically; *old is what it was. -EFAULT: not there now. */
static int change_word(vaddr_t addr, const struct wake_op *o, uint32_t *old)
{
	uint32_t expected;

	if (get_user_u32_nofault(&expected, addr))
		return -EFAULT;
	for (;;) {
		*old = expected;
		if (cmpxchg_user_u32_nofault(addr, &expected, apply_op(o, *old)))
			return -EFAULT;
		if (expected == *old)
			return 0;
	}
}

static int64_t futex_wake_op(vaddr_t addr1, vaddr_t addr2, bool shared, unsigned n, unsigned n2,
                             uint32_t word)
{
	struct wake_op o;
	struct two_keys k;
	int err = decode_wake_op(word, &o);

	while (!err) {
		uint32_t old;
		int64_t woken = 0;

		err = get_two_keys(&k, addr1, addr2, shared);
		if (err)
			break;
		lock_two(k.b1, k.b2);
		err = change_word(addr2, &o, &old);
		if (!err) {
			woken = wake_locked(k.b1, &k.key1, n, FUTEX_BITSET_MATCH_ANY);
			if (compare_op(&o, old))
				woken += wake_locked(k.b2, &k.key2, n2, FUTEX_BITSET_MATCH_ANY);
		}
		unlock_two(k.b1, k.b2);
		if (!err)
			return woken;
		err = fault_in(addr2, FAULT_WRITE);
	}
	return err;
}

/* --- the call --------------------------------------------------------------------------------------------------------- */

static int64_t do_futex_wait(int cmd, vaddr_t addr, bool shared, bool real, uint32_t val,
                             vaddr_t timeout, uint32_t bitset)
{
	uint64_t deadline = UINT64_MAX;
	struct timespec64 ts;
	int err;

	if (timeout) {
		err = get_timespec_user(&ts, timeout);
		if (err)
			return err;
		deadline = timespec_to_ns(&ts);
		if (cmd == FUTEX_WAIT)
			deadline = deadline_after(deadline);
	}
	return futex_wait_until(addr, shared, val, deadline, real, bitset);
}

SYSCALL6(futex, vaddr_t, addr, int, op, uint32_t, val, uint64_t, timeout, vaddr_t, addr2, uint32_t,
         val3)
{
	bool shared = !(op & FUTEX_PRIVATE_FLAG), real = op & FUTEX_CLOCK_REALTIME;
	int cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

	if (real && cmd != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
		return do_futex_wait(cmd, addr, shared, false, val, timeout,
		                     FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAIT_BITSET:
		return do_futex_wait(cmd, addr, shared, real, val, timeout, val3);
	case FUTEX_WAKE:
		return futex_wake(addr, shared, val, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return futex_wake(addr, shared, val, val3);
	case FUTEX_REQUEUE:
		return futex_requeue(addr, addr2, shared, (int)val, (int)timeout, false, 0);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(addr, addr2, shared, (int)val, (int)timeout, true, val3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(addr, addr2, shared, val, (uint32_t)timeout, val3);
	default:
		return -ENOSYS;
	}
}

/* --- robust locks -------------------------------------------------------------------------------------------------------- */

struct robust_list_head { /* of the ABI */
	uint64_t next;
	int64_t futex_offset;
	uint64_t list_op_pending;
};

SYSCALL2(set_robust_list, vaddr_t, head, size_t, len)
{
	if (len != sizeof(struct robust_list_head))
		return -EINVAL;
	current->robust_list = head;
	return 0;
}

SYSCALL3(get_robust_list, int32_t, pid, vaddr_t, head, vaddr_t, len)
{
	struct task_struct *task = pid ? find_get_task_by_pid(pid) : get_task(current);
	vaddr_t list;
	bool allowed;

	if (!task)
		return -ESRCH;
	list = task->robust_list;
	allowed = ptrace_may_access(task);
	put_task(task);
	if (!allowed)
		return -EPERM;
	if (put_user_u64(len, sizeof(struct robust_list_head)))
		return -EFAULT;
	return put_user_u64(head, list);
}

/* The dying task holds the lock at addr, or was about to (pending): mark it, wake one who waits. */
static int mark_owner_died(vaddr_t addr, bool pending)
{
	uint32_t tid = (uint32_t)current->pid, word, now;

	if (addr & 3 || get_user_u32(&word, addr))
		return -EFAULT;
	for (;;) {
		if (pending && !word) {
			futex_wake_user(addr, 1);
			return 0;
		}
		if ((word & FUTEX_TID_MASK) != tid)
			return 0;
		now = word;
		if (cmpxchg_user_u32(addr, &now, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			return -EFAULT;
		if (now == word)
			break;
		word = now;
	}
	if (word & FUTEX_WAITERS)
		futex_wake_user(addr, 1);
	return 0;
}

void exit_robust_list(struct task_struct *task)
{
	vaddr_t head_addr = task->robust_list;
	struct robust_list_head head;
	vaddr_t entry, pending;

	task->robust_list = 0;
	if (!head_addr || copy_from_user(&head, head_addr, sizeof(head)))
		return;
	pending = head.list_op_pending & ~1ull;
	entry = head.next & ~1ull; /* bit 0: a priority-inheritance lock, which none here can be */
	for (unsigned i = 0; entry != head_addr && i < ROBUST_LIMIT; i++) {
		uint64_t next;
		bool last = get_user_u64(&next, entry);

		if (entry != pending && mark_owner_died(entry + (uint64_t)head.futex_offset, false))
			return;
		if (last)
			return;
		entry = next & ~1ull;
	}
	if (pending)
		(void)!mark_owner_died(pending + (uint64_t)head.futex_offset, true);
}
