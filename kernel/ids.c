/*
 * ids.c - who a process is: numbers, groups and sessions, users, capabilities.
 */
#include "fs/tty.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include "lib/string.h"

#define ID_UNCHANGED UINT32_MAX
#define ALL_CAPS     ((1ull << (CAP_LAST + 1)) - 1)
/* Those that setfsuid(2) takes and gives back. */
#define FILE_CAPS                                                                     \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH | \
	 1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_LINUX_IMMUTABLE |      \
	 1ull << CAP_MKNOD | 1ull << CAP_MAC_OVERRIDE)

/* --- numbers ----------------------------------------------------------------------------------------------- */

SYSCALL0(getpid)
{
	return current->tgid;
}

SYSCALL0(gettid)
{
	return current->pid;
}

SYSCALL0(getppid)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *parent = current->group_leader->real_parent;
	int32_t pid = parent ? parent->pid : 0;

	spin_unlock_irqrestore(&tasklist_lock, state);
	return pid;
}

/* --- groups and sessions ------------------------------------------------------------------------------------ */

bool pgrp_exists_locked(int32_t pgid, int32_t sid)
{
	struct task_struct *p;

	for_each_process(p) if (p->signal->pgid == pgid &&
	                        (!sid || p->signal->sid == sid)) return true;
	return false;
}

/* No member's parent is in another group of the same session: nobody there could continue it. */
bool is_orphaned_pgrp_locked(int32_t pgid, struct task_struct *ignored)
{
	struct task_struct *p;

	for_each_process(p)
	{
		struct task_struct *parent = p->real_parent;

		if (p->signal->pgid != pgid || p == ignored || !parent || parent == init_task ||
		    (atomic_load(&p->state) >= TASK_ZOMBIE && p->signal->nr_threads == 1))
			continue;
		if (parent->signal->pgid != pgid && parent->signal->sid == p->signal->sid)
			return false;
	}
	return true;
}

static int64_t do_setpgid_locked(int32_t pid, int32_t pgid)
{
	struct task_struct *self = current->group_leader;
	struct task_struct *p = pid ? find_task_by_pid_locked(pid) : self;

	if (!p || !p->signal)
		return -ESRCH;
	if (!thread_group_leader(p))
		return -EINVAL;
	if (p->real_parent == self) {
		if (p->signal->sid != self->signal->sid)
			return -EPERM;
		if (p->did_exec)
			return -EACCES;
	} else if (p != self) {
		return -ESRCH;
	}
	if (p->signal->leader)
		return -EPERM;
	if (!pgid)
		pgid = p->pid;
	if (pgid != p->pid && !pgrp_exists_locked(pgid, self->signal->sid))
		return -EPERM;
	p->signal->pgid = pgid;
	return 0;
}

SYSCALL2(setpgid, int32_t, pid, int32_t, pgid)
{
	irq_state_t state;
	int64_t ret;

	if (pgid < 0)
		return -EINVAL;
	state = spin_lock_irqsave(&tasklist_lock);
	ret = do_setpgid_locked(pid, pgid);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

/* The group (or session) of a process. */
static int64_t group_of(int32_t pid, bool session)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p = pid ? find_task_by_pid_locked(pid) : current;
	int64_t ret = -ESRCH;

	if (p && p->signal)
		ret = session ? p->signal->sid : p->signal->pgid;
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

SYSCALL1(getpgid, int32_t, pid)
{
	return group_of(pid, false);
}

SYSCALL0(getpgrp)
{
	return group_of(0, false);
}

SYSCALL1(getsid, int32_t, pid)
{
	return group_of(pid, true);
}

SYSCALL0(setsid)
{
	struct task_struct *leader = current->group_leader;
	struct signal_struct *sig = leader->signal;
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	int64_t ret = -EPERM;

	if (!sig->leader && !pgrp_exists_locked(leader->pid, 0)) {
		sig->leader = true;
		sig->sid = sig->pgid = leader->pid;
		sig->tty = NULL;
		ret = leader->pid;
	}
	spin_unlock_irqrestore(&tasklist_lock, state);
	return ret;
}

/* --- users and groups ------------------------------------------------------------------------------------------ */

static struct cred *begin_cred(void)
{
	task_lock(current);
	return &current->cred;
}

static void forget_dumpable(const struct cred *old)
{
	const struct cred *c = &current->cred;

	if (c->euid != old->euid || c->egid != old->egid || c->fsuid != old->fsuid ||
	    c->fsgid != old->fsgid)
		WRITE_ONCE(current->signal->dumpable, false);
}

/*
 * What a change of user ids does to capabilities: capabilities(7). Who becomes another may know more than that user should: it
 * is not dumpable until it runs another program.
 */
static int64_t end_cred(const struct cred *old)
{
	struct cred *c = &current->cred;
	bool was_root = !old->uid || !old->euid || !old->suid,
	     is_root = !c->uid || !c->euid || !c->suid;

	if (was_root && !is_root)
		c->cap_permitted = c->cap_effective = 0;
	else if (!old->euid && c->euid)
		c->cap_effective = 0;
	else if (old->euid && !c->euid)
		c->cap_effective = c->cap_permitted;
	forget_dumpable(old);
	task_unlock(current);
	return 0;
}

static int64_t abort_cred(int64_t err)
{
	task_unlock(current);
	return err;
}

SYSCALL0(getuid)
{
	return current->cred.uid;
}

SYSCALL0(geteuid)
{
	return current->cred.euid;
}

SYSCALL0(getgid)
{
	return current->cred.gid;
}

SYSCALL0(getegid)
{
	return current->cred.egid;
}

SYSCALL3(getresuid, vaddr_t, r, vaddr_t, e, vaddr_t, s)
{
	const struct cred *c = &current->cred;

	return put_user_u32(r, c->uid) || put_user_u32(e, c->euid) || put_user_u32(s, c->suid)
	               ? -EFAULT
	               : 0;
}

SYSCALL3(getresgid, vaddr_t, r, vaddr_t, e, vaddr_t, s)
{
	const struct cred *c = &current->cred;

	return put_user_u32(r, c->gid) || put_user_u32(e, c->egid) || put_user_u32(s, c->sgid)
	               ? -EFAULT
	               : 0;
}

static bool may_be_uid(const struct cred *c, uint32_t id)
{
	return id == ID_UNCHANGED || capable(CAP_SETUID) || id == c->uid || id == c->euid ||
	       id == c->suid;
}

static bool may_be_gid(const struct cred *c, uint32_t id)
{
	return id == ID_UNCHANGED || capable(CAP_SETGID) || id == c->gid || id == c->egid ||
	       id == c->sgid;
}

static void set_id(uint32_t *field, uint32_t id)
{
	if (id != ID_UNCHANGED)
		*field = id;
}

static int64_t set_uids(uint32_t r, uint32_t e, uint32_t s)
{
	struct cred *c = begin_cred(), old = *c;

	if (!may_be_uid(c, r) || !may_be_uid(c, e) || !may_be_uid(c, s))
		return abort_cred(-EPERM);
	set_id(&c->uid, r);
	set_id(&c->euid, e);
	set_id(&c->suid, s);
	c->fsuid = c->euid;
	return end_cred(&old);
}

static int64_t set_gids(uint32_t r, uint32_t e, uint32_t s)
{
	struct cred *c = begin_cred(), old = *c;

	if (!may_be_gid(c, r) || !may_be_gid(c, e) || !may_be_gid(c, s))
		return abort_cred(-EPERM);
	set_id(&c->gid, r);
	set_id(&c->egid, e);
	set_id(&c->sgid, s);
	c->fsgid = c->egid;
	return end_cred(&old);
}

SYSCALL3(setresuid, uint32_t, r, uint32_t, e, uint32_t, s)
{
	return set_uids(r, e, s);
}

SYSCALL3(setresgid, uint32_t, r, uint32_t, e, uint32_t, s)
{
	return set_gids(r, e, s);
}

SYSCALL1(setuid, uint32_t, id)
{
	if (id == ID_UNCHANGED)
		return -EINVAL;
	return capable(CAP_SETUID) ? set_uids(id, id, id)
	                           : set_uids(ID_UNCHANGED, id, ID_UNCHANGED);
}

SYSCALL1(setgid, uint32_t, id)
{
	if (id == ID_UNCHANGED)
		return -EINVAL;
	return capable(CAP_SETGID) ? set_gids(id, id, id)
	                           : set_gids(ID_UNCHANGED, id, ID_UNCHANGED);
}

/* The saved id follows the effective one when the real one is set, or the effective one to another than the real. */
SYSCALL2(setreuid, uint32_t, r, uint32_t, e)
{
	uint32_t uid = current->cred.uid, euid = e == ID_UNCHANGED ? current->cred.euid : e;
	bool save = r != ID_UNCHANGED || (e != ID_UNCHANGED && e != uid);

	return set_uids(r, e, save ? euid : ID_UNCHANGED);
}

SYSCALL2(setregid, uint32_t, r, uint32_t, e)
{
	uint32_t gid = current->cred.gid, egid = e == ID_UNCHANGED ? current->cred.egid : e;
	bool save = r != ID_UNCHANGED || (e != ID_UNCHANGED && e != gid);

	return set_gids(r, e, save ? egid : ID_UNCHANGED);
}

SYSCALL1(setfsuid, uint32_t, id)
{
	struct cred *c = begin_cred(), old = *c;

	if (id != ID_UNCHANGED && (may_be_uid(c, id) || id == c->fsuid))
		c->fsuid = id;
	if (!old.fsuid && c->fsuid)
		c->cap_effective &= ~FILE_CAPS;
	else if (old.fsuid && !c->fsuid)
		c->cap_effective |= c->cap_permitted & FILE_CAPS;
	forget_dumpable(&old);
	task_unlock(current);
	return old.fsuid;
}

SYSCALL1(setfsgid, uint32_t, id)
{
	struct cred *c = begin_cred(), old = *c;

	if (id != ID_UNCHANGED && (may_be_gid(c, id) || id == c->fsgid))
		c->fsgid = id;
	forget_dumpable(&old);
	task_unlock(current);
	return old.fsgid;
}

bool ptrace_may_access(struct task_struct *task)
{
	const struct cred *me = file_cred(), *it = &task->cred;
	bool same, dumpable;

	if (task->tgid == current->tgid)
		return true;
	task_lock(task);
	same = me->fsuid == it->euid && me->fsuid == it->suid && me->fsuid == it->uid &&
	       me->fsgid == it->egid && me->fsgid == it->sgid && me->fsgid == it->gid &&
	       !(it->cap_permitted & ~me->cap_permitted);
	dumpable = task->signal && READ_ONCE(task->signal->dumpable);
	task_unlock(task);
	return (same && dumpable) || file_capable(CAP_SYS_PTRACE);
}

SYSCALL2(getgroups, int, n, vaddr_t, to)
{
	const struct cred *c = &current->cred;

	if (n < 0 || (n && (unsigned)n < c->ngroups))
		return -EINVAL;
	if (n && copy_to_user(to, c->groups, c->ngroups * sizeof(uint32_t)))
		return -EFAULT;
	return c->ngroups;
}

SYSCALL2(setgroups, int, n, vaddr_t, from)
{
	uint32_t groups[ARRAY_SIZE(current->cred.groups)];
	struct cred *c;

	if (!capable(CAP_SETGID))
		return -EPERM;
	if (n < 0 || (unsigned)n > ARRAY_SIZE(groups))
		return -EINVAL;
	if (n && copy_from_user(groups, from, (size_t)n * sizeof(uint32_t)))
		return -EFAULT;
	c = begin_cred();
	memcpy(c->groups, groups, (size_t)n * sizeof(uint32_t));
	c->ngroups = (unsigned)n;
	task_unlock(current);
	return 0;
}

/* --- capabilities ------------------------------------------------------------------------------------------------- */

#define CAPS_V1 0x19980330u
#define CAPS_V2 0x20071026u
#define CAPS_V3 0x20080522u

struct cap_header {
	uint32_t version;
	int32_t pid;
};
struct cap_data {
	uint32_t effective, permitted, inheritable;
};

/* Words of each set in the given version; 0: unknown, and the program was told ours. */
static int cap_words(vaddr_t header, struct cap_header *h, unsigned *words)
{
	if (copy_from_user(h, header, sizeof(*h)))
		return -EFAULT;
	*words = h->version == CAPS_V1 ? 1 : h->version == CAPS_V2 || h->version == CAPS_V3 ? 2 : 0;
	if (!*words)
		return put_user_u32(header, CAPS_V3) ? -EFAULT : -EINVAL;
	return h->pid < 0 ? -EINVAL : 0;
}

SYSCALL2(capget, vaddr_t, header, vaddr_t, data)
{
	struct cap_data d[2];
	struct task_struct *task;
	struct cap_header h;
	struct cred c;
	unsigned words;
	int err = cap_words(header, &h, &words);

	if (err)
		return err == -EINVAL && !data ? 0 : err;
	task = h.pid ? find_get_task_by_pid(h.pid) : get_task(current);
	if (!task)
		return -ESRCH;
	task_lock(task);
	c = task->cred;
	task_unlock(task);
	put_task(task);
	for (unsigned i = 0; i < 2; i++)
		d[i] = (struct cap_data){(uint32_t)(c.cap_effective >> 32 * i),
		                         (uint32_t)(c.cap_permitted >> 32 * i),
		                         (uint32_t)(c.cap_inheritable >> 32 * i)};
	return copy_to_user(data, d, words * sizeof(d[0]));
}

SYSCALL2(capset, vaddr_t, header, vaddr_t, data)
{
	struct cap_data d[2] = {{0}};
	struct cap_header h;
	uint64_t effective, permitted, inheritable;
	struct cred *c;
	unsigned words;
	int err = cap_words(header, &h, &words);

	if (err)
		return err;
	if (h.pid && h.pid != current->pid)
		return -EPERM;
	if (copy_from_user(d, data, words * sizeof(d[0])))
		return -EFAULT;
	effective = (d[0].effective | (uint64_t)d[1].effective << 32) & ALL_CAPS;
	permitted = (d[0].permitted | (uint64_t)d[1].permitted << 32) & ALL_CAPS;
	inheritable = (d[0].inheritable | (uint64_t)d[1].inheritable << 32) & ALL_CAPS;
	c = begin_cred();
	if (permitted & ~c->cap_permitted || effective & ~permitted ||
	    inheritable & ~(c->cap_inheritable | c->cap_permitted))
		return abort_cred(-EPERM);
	c->cap_effective = effective;
	c->cap_permitted = permitted;
	c->cap_inheritable = inheritable;
	task_unlock(current);
	return 0;
}
