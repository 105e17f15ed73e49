/*
 * shm.c - System V shared memory: segments with numbers and keys, over shared anonymous memory.
 *
 * A segment is one vm_file. Its count of references, less ours, is the number of areas that map it, which is what
 * shm_nattch shows (an area split by mprotect counts twice). A segment removed while mapped keeps its number until the
 * last area goes; that is noticed when a process exits or the next call comes (shm_reap).
 *
 * An id is slot + SLOTS * sequence, so that a stale one is not mistaken for its successor.
 */
#include "kernel/shm.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "lib/format.h"
#include "lib/string.h"
#include <quire/slab.h>

#define SLOTS         4096
#define SHMMAX        (UINT64_MAX - (1ull << 24))
#define IPC_PRIVATE   0
#define IPC_CREAT     01000
#define IPC_EXCL      02000
#define SHM_HUGETLB   04000
#define SHM_NORESERVE 010000
#define SHM_RDONLY    010000
#define SHM_RND       020000
#define SHM_REMAP     040000
#define SHM_EXEC      0100000
#define SHM_DEST      01000u
#define SHM_LOCKED    02000u
#define IPC_RMID      0
#define IPC_SET       1
#define IPC_STAT      2
#define IPC_INFO      3
#define SHM_LOCK      11
#define SHM_UNLOCK    12
#define SHM_STAT      13
#define SHM_INFO      14

struct shmid_kernel {
	int32_t id, key;
	uint64_t size;
	struct vm_file *file;
	uint32_t uid, gid, cuid, cgid, mode; /* mode with SHM_DEST, SHM_LOCKED */
	int32_t cpid, lpid;
	int64_t atime, dtime, ctime;
};

struct ipc64_perm { /* of the ABI */
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint16_t seq, pad;
	uint32_t pad2;
	uint64_t unused[2];
};
struct shmid64_ds {
	struct ipc64_perm perm;
	uint64_t segsz;
	int64_t atime, dtime, ctime;
	int32_t cpid, lpid;
	uint64_t nattch, unused[2];
};
struct shminfo64 {
	uint64_t shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};
struct shm_info {
	int32_t used_ids, pad;
	uint64_t tot, rss, swp, swap_attempts, swap_successes;
};
static_assert(sizeof(struct shmid64_ds) == 112 && sizeof(struct ipc64_perm) == 48, "the ABI's");

static struct mutex shm_lock;
static struct shmid_kernel **table; /* shm_lock; SLOTS of them, made when the first segment is */
static uint32_t sequence;
static _Atomic int nr_doomed; /* removed but mapped */

void shm_init(void)
{
	mutex_init(&shm_lock);
}

static int64_t now_sec(void)
{
	return (int64_t)(ktime_get_real_ns() / NSEC_PER_SEC);
}

static uint64_t attached(const struct shmid_kernel *s)
{
	return (uint64_t)refcount_read(&s->file->count) - 1;
}

static void destroy(struct shmid_kernel *s)
{
	table[s->id % SLOTS] = NULL;
	if (s->mode & SHM_DEST)
		atomic_fetch_sub(&nr_doomed, 1);
	put_vm_file(s->file);
	kfree(s);
}

static void reap_locked(bool all)
{
	for (unsigned i = 0; table && i < SLOTS; i++) {
		struct shmid_kernel *s = table[i];

		if (s && (all || (s->mode & SHM_DEST && !attached(s))))
			destroy(s);
	}
}

void shm_reap(void)
{
	if (!atomic_load_explicit(&nr_doomed, memory_order_relaxed))
		return;
	mutex_lock(&shm_lock);
	reap_locked(false);
	mutex_unlock(&shm_lock);
}

void shm_shutdown(void)
{
	mutex_lock(&shm_lock);
	reap_locked(true);
	kfree(table);
	table = NULL;
	mutex_unlock(&shm_lock);
}

static struct shmid_kernel *find_id(int32_t id)
{
	struct shmid_kernel *s = table && id >= 0 ? table[id % SLOTS] : NULL;

	return s && s->id == id ? s : NULL;
}

static struct shmid_kernel *find_key(int32_t key)
{
	for (unsigned i = 0; table && i < SLOTS; i++)
		if (table[i] && table[i]->key == key && !(table[i]->mode & SHM_DEST))
			return table[i];
	return NULL;
}

static bool permitted(const struct shmid_kernel *s, uint32_t want)
{
	const struct cred *c = &current->cred;
	uint32_t bits = s->mode;

	if (capable(CAP_DAC_OVERRIDE))
		return true;
	if (c->euid == s->uid || c->euid == s->cuid)
		bits >>= 6;
	else if (c->egid == s->gid || c->egid == s->cgid)
		bits >>= 3;
	return (bits & want) == want;
}

/* --- making ---------------------------------------------------------------------------------------------------- */

static int free_slot(void)
{
	if (!table)
		table = kzalloc(SLOTS * sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	for (int i = 0; i < SLOTS; i++)
		if (!table[i])
			return i;
	return -ENOSPC;
}

static int64_t new_segment(int32_t key, uint64_t size, int flags)
{
	const struct cred *c = &current->cred;
	struct shmid_kernel *s;
	char name[24];
	int slot;

	if (!size || size > SHMMAX)
		return -EINVAL;
	slot = free_slot();
	if (slot < 0)
		return slot;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	format(name, sizeof(name), "/SYSV%08x (deleted)", (uint32_t)key);
	s->file = shmem_file_setup(name, PAGE_ALIGN(size));
	if (IS_ERR(s->file)) {
		int64_t err = PTR_ERR(s->file);

		kfree(s);
		return err;
	}
	s->id = (int32_t)((uint32_t)slot + SLOTS * (sequence++ % (INT32_MAX / SLOTS)));
	s->key = key;
	s->size = size;
	s->uid = s->cuid = c->euid;
	s->gid = s->cgid = c->egid;
	s->mode = (uint32_t)flags & 0777;
	s->cpid = current->tgid;
	s->ctime = now_sec();
	table[slot] = s;
	return s->id;
}

static int64_t get_segment(int32_t key, uint64_t size, int flags)
{
	struct shmid_kernel *s = key == IPC_PRIVATE ? NULL : find_key(key);

	if (!s)
		return key == IPC_PRIVATE || flags & IPC_CREAT ? new_segment(key, size, flags)
		                                               : -ENOENT;
	if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		return -EEXIST;
	if (!permitted(s, (uint32_t)flags & 7))
		return -EACCES;
	return size > s->size ? -EINVAL : s->id;
}

SYSCALL3(shmget, int32_t, key, uint64_t, size, int, flags)
{
	int64_t ret;

	if (flags & SHM_HUGETLB)
		return -ENOMEM; /* no huge pages are set aside */
	mutex_lock(&shm_lock);
	reap_locked(false);
	ret = get_segment(key, size, flags);
	mutex_unlock(&shm_lock);
	return ret;
}

/* --- mapping ---------------------------------------------------------------------------------------------------- */

static int64_t attach(struct shmid_kernel *s, vaddr_t addr, int flags)
{
	int prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
	           (flags & SHM_EXEC ? PROT_EXEC : 0);
	int map = MAP_SHARED | (addr ? flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE : 0);
	int64_t ret;

	if (!permitted(s, flags & SHM_RDONLY ? 4 : 6))
		return -EACCES;
	ret = do_mmap(current->mm, addr, s->size, prot, map, s->file, 0);
	if (ret < 0)
		return ret == -EEXIST ? -EINVAL : ret;
	s->atime = now_sec();
	s->lpid = current->tgid;
	return ret;
}

SYSCALL3(shmat, int32_t, id, vaddr_t, addr, int, flags)
{
	struct shmid_kernel *s;
	int64_t ret = -EINVAL;

	if (addr & (PAGE_SIZE - 1)) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr &= PAGE_MASK;
	}
	if (!addr && flags & SHM_REMAP)
		return -EINVAL;
	mutex_lock(&shm_lock);
	s = find_id(id);
	if (s)
		ret = attach(s, addr, flags);
	mutex_unlock(&shm_lock);
	return ret;
}

/* The segment mapped at addr, if the area is the beginning of one. */
static struct shmid_kernel *segment_at(vaddr_t addr)
{
	struct mm_struct *mm = current->mm;
	struct shmid_kernel *found = NULL;
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	for (unsigned i = 0; vma && vma->vm_start == addr && !vma->vm_pgoff && table && i < SLOTS;
	     i++)
		if (table[i] && table[i]->file == vma->vm_file)
			found = table[i];
	up_read(&mm->mmap_lock);
	return found;
}

/* The next piece of the segment within its place in the address space; false: none left. */
static bool next_piece(const struct shmid_kernel *s, vaddr_t base, vaddr_t *start, uint64_t *len)
{
	struct mm_struct *mm = current->mm;
	vaddr_t end = base + PAGE_ALIGN(s->size);
	struct vm_area_struct *vma;
	bool found = false;

	down_read(&mm->mmap_lock);
	for (vma = find_vma(mm, base); vma && vma->vm_start < end && !found; vma = vma->vm_next) {
		if (vma->vm_file != s->file || vma->vm_start - base != vma->vm_pgoff << PAGE_SHIFT)
			continue;
		*start = vma->vm_start;
		*len = vma->vm_end - vma->vm_start;
		found = true;
	}
	up_read(&mm->mmap_lock);
	return found;
}

SYSCALL1(shmdt, vaddr_t, addr)
{
	struct shmid_kernel *s;
	vaddr_t start;
	uint64_t len;
	int err = -EINVAL;

	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	mutex_lock(&shm_lock);
	s = segment_at(addr);
	if (s) {
		err = 0;
		while (!err && next_piece(s, addr, &start, &len))
			err = do_munmap(current->mm, start, len);
		s->dtime = now_sec();
		s->lpid = current->tgid;
		reap_locked(false);
	}
	mutex_unlock(&shm_lock);
	return err;
}

/* --- control ------------------------------------------------------------------------------------------------------ */

static void fill_ds(struct shmid64_ds *ds, const struct shmid_kernel *s)
{
	memset(ds, 0, sizeof(*ds));
	ds->perm.key = s->key;
	ds->perm.uid = s->uid;
	ds->perm.gid = s->gid;
	ds->perm.cuid = s->cuid;
	ds->perm.cgid = s->cgid;
	ds->perm.mode = s->mode;
	ds->perm.seq = (uint16_t)(s->id / SLOTS);
	ds->segsz = s->size;
	ds->atime = s->atime;
	ds->dtime = s->dtime;
	ds->ctime = s->ctime;
	ds->cpid = s->cpid;
	ds->lpid = s->lpid;
	ds->nattch = attached(s);
}

static bool owns(const struct shmid_kernel *s)
{
	const struct cred *c = &current->cred;

	return capable(CAP_SYS_ADMIN) || c->euid == s->uid || c->euid == s->cuid;
}

static int64_t remove_segment(struct shmid_kernel *s)
{
	if (!owns(s))
		return -EPERM;
	if (s->mode & SHM_DEST)
		return 0;
	s->mode |= SHM_DEST;
	s->key = IPC_PRIVATE;
	atomic_fetch_add(&nr_doomed, 1);
	reap_locked(false);
	return 0;
}

static int64_t set_segment(struct shmid_kernel *s, const struct shmid64_ds *ds)
{
	if (!owns(s))
		return -EPERM;
	s->uid = ds->perm.uid;
	s->gid = ds->perm.gid;
	s->mode = (s->mode & ~0777u) | (ds->perm.mode & 0777);
	s->ctime = now_sec();
	return 0;
}

static int highest_slot(void)
{
	int highest = 0;

	for (int i = 0; table && i < SLOTS; i++)
		if (table[i])
			highest = i;
	return highest;
}

static int64_t whole_system(int cmd, vaddr_t buf)
{
	struct shminfo64 limits = {SHMMAX, 1, SLOTS, SLOTS, UINT64_MAX - (1ull << 24), {0}};
	struct shm_info used = {0};
	int err;

	for (unsigned i = 0; table && i < SLOTS; i++) {
		if (!table[i])
			continue;
		used.used_ids++;
		used.tot += PAGES_OF(table[i]->size);
		used.rss += table[i]->file->f_mapping->nrpages;
	}
	err = cmd == IPC_INFO ? copy_to_user(buf, &limits, sizeof(limits))
	                      : copy_to_user(buf, &used, sizeof(used));
	return err ? err : highest_slot();
}

/* ds: what the program gave (IPC_SET), or gets (IPC_STAT, SHM_STAT). */
static int64_t control(struct shmid_kernel *s, int cmd, struct shmid64_ds *ds)
{
	switch (cmd) {
	case IPC_RMID:
		return remove_segment(s);
	case IPC_SET:
		return set_segment(s, ds);
	case IPC_STAT:
	case SHM_STAT:
		if (!permitted(s, 4))
			return -EACCES;
		fill_ds(ds, s);
		return cmd == SHM_STAT ? s->id : 0;
	case SHM_LOCK: /* nothing takes shared memory away, so it stays in any case */
		s->mode |= SHM_LOCKED;
		return 0;
	default:
		s->mode &= ~SHM_LOCKED;
		return 0;
	}
}

SYSCALL3(shmctl, int32_t, id, int, cmd, vaddr_t, buf)
{
	bool stat = cmd == IPC_STAT || cmd == SHM_STAT;
	struct shmid_kernel *s;
	struct shmid64_ds ds;
	int64_t ret = -EINVAL;

	if (cmd == IPC_SET && copy_from_user(&ds, buf, sizeof(ds)))
		return -EFAULT;
	mutex_lock(&shm_lock);
	if (cmd == IPC_INFO || cmd == SHM_INFO) {
		ret = whole_system(cmd, buf);
	} else if (cmd == IPC_RMID || cmd == IPC_SET || stat || cmd == SHM_LOCK ||
	           cmd == SHM_UNLOCK) {
		s = cmd != SHM_STAT                  ? find_id(id)
		    : table && id >= 0 && id < SLOTS ? table[id]
		                                     : NULL;
		ret = s ? control(s, cmd, &ds) : -EINVAL;
	}
	mutex_unlock(&shm_lock);
	return ret >= 0 && stat && copy_to_user(buf, &ds, sizeof(ds)) ? -EFAULT : ret;
}
