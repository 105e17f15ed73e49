/*
 * eventpoll.c - epoll(7).
 *
 * An instance watches files. For each (file, descriptor) there is an item, with a callback on every wait queue that the file's poll
 * op names; the callback puts the item on the ready list and wakes a waiter. epoll_wait() asks only items on that
 * list: a level-triggered one goes back on it after it was reported, an edge-triggered one waits for its next callback.
 *
 * Locks: epmutex (items of all instances against closing files and nesting) -> ep->mtx (its items; asking them)
 *        -> a file's wait queue -> ep->lock (irqsave: the ready list).
 * An item does not hold its file: closing the file removes the item (eventpoll_release, first step of the last fput), and whoever asks
 * the file meanwhile holds ep->mtx, for which that step waits.
 */
#include "fs/internal.h"
#include "lib/rbtree.h"
#include <quire/slab.h>

#define EPOLL_CTL_ADD   1
#define EPOLL_CTL_DEL   2
#define EPOLL_CTL_MOD   3
#define EPOLLEXCLUSIVE  (1u << 28)
#define EPOLLWAKEUP     (1u << 29)
#define EPOLLONESHOT    (1u << 30)
#define EPOLLET         (1u << 31)
#define EP_PRIVATE_BITS (EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET)
#define EP_EXCLUSIVE_OK \
	(EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLET | POLLIN | POLLOUT | POLLERR | POLLHUP)
#define EP_MAX_NESTS  5
#define EP_MAX_EVENTS (INT32_MAX / (int32_t)sizeof(struct epoll_event))

struct epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

struct eventpoll {
	struct mutex mtx;
	spinlock_t lock;
	struct list_head ready;      /* lock */
	struct wait_queue wq;        /* epoll_wait */
	struct wait_queue poll_wait; /* those who poll this instance */
	struct rb_root items;        /* mtx + epmutex */
	struct file *file;           /* its own, which holds it */
};

struct ep_queue { /* an item's callback on one wait queue */
	struct waiter waiter;
	struct wait_queue *q;
	struct epitem *item;
	struct ep_queue *next;
};

struct epitem {
	struct rb_node node;
	struct list_head ready;  /* ep->lock */
	struct list_head f_link; /* epmutex: of the file */
	struct eventpoll *ep;
	struct file *file;
	int fd;
	struct epoll_event event; /* mtx; events also read by the callback */
	struct ep_queue *queues;
	bool nomem;
};

struct ep_table {
	struct poll_table pt;
	struct epitem *item;
};

static struct mutex epmutex;
static struct kmem_cache *item_cache, *queue_cache;
static const struct file_operations eventpoll_fops;

/* --- readiness ---------------------------------------------------------------------------------------------------- */

static void make_ready(struct epitem *item)
{
	struct eventpoll *ep = item->ep;
	irq_state_t irq = spin_lock_irqsave(&ep->lock);

	if (list_empty(&item->ready))
		list_add_tail(&item->ready, &ep->ready);
	spin_unlock_irqrestore(&ep->lock, irq);
	wake_up(&ep->wq);
	wake_up_all(&ep->poll_wait);
}

static void ep_callback(struct waiter *w)
{
	struct epitem *item = container_of(w, struct ep_queue, waiter)->item;

	if (READ_ONCE(item->event.events) & ~EP_PRIVATE_BITS)
		make_ready(item);
}

static void ep_queue_proc(struct file *file, struct wait_queue *q, struct poll_table *pt)
{
	struct epitem *item = container_of(pt, struct ep_table, pt)->item;
	struct ep_queue *eq = kmem_cache_alloc(queue_cache, GFP_KERNEL);

	(void)file;
	if (!eq) {
		item->nomem = true;
		return;
	}
	eq->q = q;
	eq->item = item;
	eq->next = item->queues;
	item->queues = eq;
	wait_begin_func(q, &eq->waiter, ep_callback);
}

/* --- items: mtx and epmutex held --------------------------------------------------------------------------------- */

static int compare(const struct file *file, int fd, const struct epitem *item)
{
	if (file != item->file)
		return file < item->file ? -1 : 1;
	return fd < item->fd ? -1 : fd > item->fd;
}

static struct epitem *ep_find(struct eventpoll *ep, struct file *file, int fd)
{
	struct rb_node *n = ep->items.rb_node;

	while (n) {
		struct epitem *item = container_of(n, struct epitem, node);
		int c = compare(file, fd, item);

		if (!c)
			return item;
		n = c < 0 ? n->rb_left : n->rb_right;
	}
	return NULL;
}

static void ep_link(struct eventpoll *ep, struct epitem *item)
{
	struct rb_node **p = &ep->items.rb_node, *parent = NULL;

	while (*p) {
		parent = *p;
		if (compare(item->file, item->fd, container_of(parent, struct epitem, node)) < 0)
			p = &parent->rb_left;
		else
			p = &parent->rb_right;
	}
	rb_link_node(&item->node, parent, p);
	rb_insert_color(&item->node, &ep->items);
}

static void ep_remove(struct eventpoll *ep, struct epitem *item)
{
	irq_state_t irq;

	while (item->queues) {
		struct ep_queue *eq = item->queues;

		item->queues = eq->next;
		wait_end(eq->q, &eq->waiter); /* no callback runs after this */
		kmem_cache_free(queue_cache, eq);
	}
	irq = spin_lock_irqsave(&ep->lock);
	if (!list_empty(&item->ready))
		list_del_init(&item->ready);
	spin_unlock_irqrestore(&ep->lock, irq);
	list_del(&item->f_link);
	rb_erase(&item->node, &ep->items);
	kmem_cache_free(item_cache, item);
}

static int ep_insert(struct eventpoll *ep, struct file *file, int fd,
                     const struct epoll_event *event)
{
	struct epitem *item = kmem_cache_alloc(item_cache, GFP_KERNEL | __GFP_ZERO);
	struct ep_table table;
	bool nomem;

	if (!item)
		return -ENOMEM;
	item->ep = ep;
	item->file = file;
	item->fd = fd;
	item->event = *event;
	INIT_LIST_HEAD(&item->ready);
	list_add_tail(&item->f_link, &file->f_ep_links);
	ep_link(ep, item);
	table = (struct ep_table){.pt = {ep_queue_proc}, .item = item};
	if (vfs_poll(file, &table.pt) & event->events)
		make_ready(item);
	nomem = item->nomem;
	if (nomem)
		ep_remove(ep, item);
	return nomem ? -ENOMEM : 0;
}

static void ep_modify(struct epitem *item, const struct epoll_event *event)
{
	item->event = *event;
	atomic_thread_fence(
	        memory_order_seq_cst); /* the callback sees the new events, or we what it told of */
	if (vfs_poll(item->file, NULL) & event->events)
		make_ready(item);
}

/* Does ep, or one that it watches, watch target? Or is it all too deep? epmutex held. */
static bool ep_loops(struct eventpoll *ep, struct eventpoll *target, int depth)
{
	if (ep == target || depth > EP_MAX_NESTS)
		return true;
	for (struct rb_node *n = rb_first(&ep->items); n; n = rb_next(n)) {
		struct epitem *item = container_of(n, struct epitem, node);

		if (item->file->f_op == &eventpoll_fops &&
		    ep_loops(item->file->private_data, target, depth + 1))
			return true;
	}
	return false;
}

/* Instances on the longest way up from file to one that nobody watches. epmutex held. */
static int ep_height(struct file *file, int depth)
{
	struct epitem *item;
	int most = 0;

	if (depth > EP_MAX_NESTS)
		return depth;
	list_for_each_entry(item, &file->f_ep_links, f_link)
		most = MAX(most, 1 + ep_height(item->ep->file, depth + 1));
	return most;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

void eventpoll_release(struct file *file)
{
	mutex_lock(&epmutex);
	while (!list_empty(&file->f_ep_links)) {
		struct epitem *item = list_first_entry(&file->f_ep_links, struct epitem, f_link);
		struct eventpoll *ep = item->ep;

		mutex_lock(&ep->mtx);
		ep_remove(ep, item);
		mutex_unlock(&ep->mtx);
	}
	mutex_unlock(&epmutex);
}

static void ep_release(struct inode *inode, struct file *file)
{
	struct eventpoll *ep = file->private_data;
	struct rb_node *n;

	(void)inode;
	mutex_lock(&epmutex);
	mutex_lock(&ep->mtx);
	while ((n = rb_first(&ep->items)))
		ep_remove(ep, container_of(n, struct epitem, node));
	mutex_unlock(&ep->mtx);
	mutex_unlock(&epmutex);
	kfree(ep);
}

static unsigned ep_poll(struct file *file, struct poll_table *pt)
{
	struct eventpoll *ep = file->private_data;
	unsigned mask = 0;

	poll_wait(file, &ep->poll_wait, pt);
	mutex_lock(&ep->mtx);
	for (struct rb_node *n = rb_first(&ep->items); n && !mask; n = rb_next(n)) {
		struct epitem *item = container_of(n, struct epitem, node);

		if (!list_empty(&item->ready) && vfs_poll(item->file, NULL) & item->event.events)
			mask = POLLIN | POLLRDNORM;
	}
	mutex_unlock(&ep->mtx);
	return mask;
}

static const struct file_operations eventpoll_fops = {
        .release = ep_release, .poll = ep_poll, .llseek = noop_llseek};

static int64_t do_epoll_create(uint32_t flags)
{
	struct eventpoll *ep;
	struct file *file;

	if (flags & ~O_CLOEXEC)
		return -EINVAL;
	ep = kzalloc(sizeof(*ep), GFP_KERNEL);
	if (!ep)
		return -ENOMEM;
	mutex_init(&ep->mtx);
	INIT_LIST_HEAD(&ep->ready);
	wait_queue_init(&ep->wq);
	wait_queue_init(&ep->poll_wait);
	file = anon_inode_getfile("[eventpoll]", &eventpoll_fops, ep, O_RDWR);
	if (IS_ERR(file))
		kfree(ep);
	else
		ep->file = file;
	return fd_add(file, flags);
}

SYSCALL1(epoll_create1, uint32_t, flags)
{
	return do_epoll_create(flags);
}

SYSCALL1(epoll_create, int32_t, size)
{
	return size <= 0 ? -EINVAL : do_epoll_create(0);
}

/* --- epoll_ctl ------------------------------------------------------------------------------------------------------ */

static int64_t ctl_locked(struct eventpoll *ep, int op, int fd, struct file *file,
                          const struct epoll_event *event)
{
	struct epitem *item = ep_find(ep, file, fd);

	switch (op) {
	case EPOLL_CTL_ADD:
		return item ? -EEXIST : ep_insert(ep, file, fd, event);
	case EPOLL_CTL_DEL:
		if (item)
			ep_remove(ep, item);
		return item ? 0 : -ENOENT;
	case EPOLL_CTL_MOD:
		if (!item)
			return -ENOENT;
		if (item->event.events & EPOLLEXCLUSIVE)
			return -EINVAL;
		ep_modify(item, event);
		return 0;
	default:
		return -EINVAL;
	}
}

/* EPOLLEXCLUSIVE: when a file is added alone, not an instance, and with few other bits. */
static bool exclusive_ok(int op, const struct file *file, uint32_t events)
{
	if (op == EPOLL_CTL_DEL || !(events & EPOLLEXCLUSIVE))
		return true;
	return op == EPOLL_CTL_ADD && file->f_op != &eventpoll_fops && !(events & ~EP_EXCLUSIVE_OK);
}

static int64_t do_epoll_ctl(struct file *epfile, int op, int fd, struct file *file,
                            struct epoll_event *event)
{
	struct eventpoll *ep = epfile->private_data;
	int64_t err;

	if (epfile == file || epfile->f_op != &eventpoll_fops)
		return -EINVAL;
	if (!file->f_op->poll)
		return -EPERM;
	if (!exclusive_ok(op, file, event->events))
		return -EINVAL;
	event->events |= POLLERR | POLLHUP;
	mutex_lock(&epmutex);
	if (op == EPOLL_CTL_ADD && file->f_op == &eventpoll_fops &&
	    ep_loops(file->private_data, ep, ep_height(epfile, 0))) {
		err = -ELOOP;
	} else {
		mutex_lock(&ep->mtx);
		err = ctl_locked(ep, op, fd, file, event);
		mutex_unlock(&ep->mtx);
	}
	mutex_unlock(&epmutex);
	return err;
}

SYSCALL4(epoll_ctl, int, epfd, int, op, int, fd, vaddr_t, uevent)
{
	struct epoll_event event = {0, 0};
	struct fd ef, f;
	int64_t err = -EBADF;

	if (op != EPOLL_CTL_DEL && copy_from_user(&event, uevent, sizeof(event)))
		return -EFAULT;
	ef = fdget(epfd);
	f = fdget(fd);
	if (ef.file && f.file)
		err = do_epoll_ctl(ef.file, op, fd, f.file, &event);
	if (f.file)
		fdput(f);
	if (ef.file)
		fdput(ef);
	return err;
}

/* --- epoll_wait ------------------------------------------------------------------------------------------------------ */

static struct epitem *take_ready(struct eventpoll *ep, struct list_head *batch)
{
	struct epitem *item = NULL;
	irq_state_t irq = spin_lock_irqsave(&ep->lock);

	if (!list_empty(batch)) {
		item = list_first_entry(batch, struct epitem, ready);
		list_del_init(&item->ready);
	}
	spin_unlock_irqrestore(&ep->lock, irq);
	return item;
}

static void put_ready(struct eventpoll *ep, struct epitem *item)
{
	irq_state_t irq = spin_lock_irqsave(&ep->lock);

	if (list_empty(&item->ready))
		list_add_tail(&item->ready, &ep->ready);
	spin_unlock_irqrestore(&ep->lock, irq);
}

/* Report one item: 1, 0 (not ready after all), -EFAULT. */
static int send_event(struct eventpoll *ep, struct epitem *item, vaddr_t to)
{
	struct epoll_event event = {vfs_poll(item->file, NULL) & item->event.events,
	                            item->event.data};

	if (!event.events)
		return 0;
	if (copy_to_user(to, &event, sizeof(event))) {
		put_ready(ep, item);
		return -EFAULT;
	}
	if (item->event.events & EPOLLONESHOT)
		item->event.events &= EP_PRIVATE_BITS;
	else if (!(item->event.events & EPOLLET))
		put_ready(ep, item);
	return 1;
}

/* Events that are ready now. Count or -EFAULT. */
static int send_events(struct eventpoll *ep, vaddr_t events, int max)
{
	LIST_HEAD(batch);
	struct epitem *item;
	irq_state_t irq;
	int n = 0, err = 0;

	mutex_lock(&ep->mtx);
	irq = spin_lock_irqsave(&ep->lock);
	list_splice_tail_init(&ep->ready, &batch);
	spin_unlock_irqrestore(&ep->lock, irq);
	while (n < max && err >= 0 && (item = take_ready(ep, &batch))) {
		err = send_event(ep, item, events + (uint64_t)n * sizeof(struct epoll_event));
		n += err > 0;
	}
	irq = spin_lock_irqsave(&ep->lock);
	list_splice(&batch, &ep->ready);
	spin_unlock_irqrestore(&ep->lock, irq);
	mutex_unlock(&ep->mtx);
	return n ? n : MIN(err, 0);
}

static bool ep_has_ready(struct eventpoll *ep)
{
	return !list_empty(&ep->ready);
}

static int ep_sleep(struct eventpoll *ep, uint64_t deadline)
{
	struct waiter w;
	int err = 0;

	wait_begin_exclusive(&ep->wq, &w);
	while (!ep_has_ready(ep) && !err) {
		if (signal_pending(current))
			err = -EINTR;
		else if (deadline != UINT64_MAX && port_now_ns() >= deadline)
			err = -ETIME;
		else
			block_interruptible_until(deadline);
	}
	wait_end(&ep->wq, &w);
	return err;
}

static int64_t epoll_wait_until(int epfd, vaddr_t events, int max, uint64_t deadline)
{
	struct fd f;
	int64_t n = -EINVAL;

	if (max <= 0 || max > EP_MAX_EVENTS)
		return -EINVAL;
	if (!access_ok(events, (size_t)max * sizeof(struct epoll_event)))
		return -EFAULT;
	f = fdget(epfd);
	if (!f.file)
		return -EBADF;
	if (f.file->f_op == &eventpoll_fops) {
		struct eventpoll *ep = f.file->private_data;

		while (!(n = send_events(ep, events, max)) && deadline) {
			n = ep_sleep(ep, deadline);
			if (n)
				break;
		}
		if (n > 0 && ep_has_ready(ep))
			wake_up(&ep->wq); /* more than we could take */
	}
	fdput(f);
	return n == -ETIME ? 0 : n;
}

static uint64_t deadline_ms(int32_t ms)
{
	return ms < 0 ? UINT64_MAX : ms ? deadline_after((uint64_t)ms * NSEC_PER_MSEC) : 0;
}

SYSCALL4(epoll_wait, int, epfd, vaddr_t, events, int, max, int32_t, timeout)
{
	return epoll_wait_until(epfd, events, max, deadline_ms(timeout));
}

static int64_t do_epoll_pwait(int epfd, vaddr_t events, int max, uint64_t deadline, vaddr_t mask,
                              size_t size)
{
	int64_t n = set_user_sigmask(mask, size);

	if (n)
		return n;
	n = epoll_wait_until(epfd, events, max, deadline);
	restore_saved_sigmask_unless(n == -EINTR);
	return n;
}

SYSCALL6(epoll_pwait, int, epfd, vaddr_t, events, int, max, int32_t, timeout, vaddr_t, mask, size_t,
         size)
{
	return do_epoll_pwait(epfd, events, max, deadline_ms(timeout), mask, size);
}

SYSCALL6(epoll_pwait2, int, epfd, vaddr_t, events, int, max, vaddr_t, ts, vaddr_t, mask, size_t,
         size)
{
	uint64_t deadline = UINT64_MAX;
	struct timespec64 t;

	if (ts) {
		int err = get_timespec_user(&t, ts);

		if (err)
			return err;
		deadline = t.tv_sec || t.tv_nsec ? deadline_after(timespec_to_ns(&t)) : 0;
	}
	return do_epoll_pwait(epfd, events, max, deadline, mask, size);
}

void poll_init(void)
{
	mutex_init(&epmutex);
	item_cache = kmem_cache_create("eventpoll_epi", sizeof(struct epitem), 0, SLAB_PANIC, NULL);
	queue_cache =
	        kmem_cache_create("eventpoll_pwq", sizeof(struct ep_queue), 0, SLAB_PANIC, NULL);
}
