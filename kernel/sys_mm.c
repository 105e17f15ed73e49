/*
 * sys_mm.c - the system calls of memory: arguments checked as Linux does and handed to mm/.
 */
#include "fs/vfs.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/uaccess.h"
#include <quire/slab.h>

#define MLOCK_ONFAULT 1

/* No byte of a file lies beyond what a signed offset can name; devices may give offsets a meaning of their own. */
static bool file_reaches(const struct file *file, uint64_t offset, uint64_t len)
{
	return !S_ISREG(file->f_inode->i_mode) || (len <= INT64_MAX && offset <= INT64_MAX - len);
}

/* The file behind fd as something to map: *vm NULL is anonymous memory. */
static int file_to_map(int fd, uint64_t offset, uint64_t len, int prot, int flags,
                       struct vm_file **vm)
{
	struct file *file = fget(fd);
	int err;

	if (!file)
		return -EBADF;
	err = file_reaches(file, offset, len) ? file_mmap(file, len, prot, flags, vm) : -EOVERFLOW;
	fput(file);
	return err;
}

SYSCALL6(mmap, vaddr_t, addr, uint64_t, len, int, prot, int, flags, int, fd, uint64_t, offset)
{
	struct vm_file *vm = NULL;
	int64_t ret;

	if (offset & (PAGE_SIZE - 1) || !len)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		ret = file_to_map(fd, offset, len, prot, flags, &vm);
		if (ret)
			return ret;
		if (!vm)
			flags |= MAP_ANONYMOUS;
	}
	ret = do_mmap(current->mm, addr, len, prot, flags, vm, offset >> PAGE_SHIFT);
	if (vm)
		put_vm_file(vm);
	return ret;
}

SYSCALL2(munmap, vaddr_t, addr, uint64_t, len)
{
	return do_munmap(current->mm, addr, len);
}

SYSCALL3(mprotect, vaddr_t, addr, uint64_t, len, int, prot)
{
	return do_mprotect(current->mm, addr, len, prot);
}

SYSCALL1(brk, vaddr_t, brk)
{
	return (int64_t)do_brk(current->mm, brk);
}

SYSCALL5(mremap, vaddr_t, old, uint64_t, old_len, uint64_t, new_len, int, flags, vaddr_t, new_addr)
{
	return do_mremap(current->mm, old, old_len, new_len, flags, new_addr);
}

SYSCALL3(madvise, vaddr_t, addr, uint64_t, len, int, advice)
{
	return do_madvise(current->mm, addr, len, advice);
}

SYSCALL3(msync, vaddr_t, addr, uint64_t, len, int, flags)
{
	return do_msync(current->mm, addr, len, flags);
}

SYSCALL3(mincore, vaddr_t, addr, uint64_t, len, vaddr_t, to)
{
	uint64_t pages = len / PAGE_SIZE + !!(len % PAGE_SIZE);
	uint8_t *vec;
	int err = 0;

	if (addr & (PAGE_SIZE - 1))
		return -EINVAL;
	if (!access_ok(addr, len))
		return -ENOMEM;
	if (!access_ok(to, pages))
		return -EFAULT;
	vec = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!vec)
		return -EAGAIN;
	while (pages && !err) {
		uint64_t n = MIN(pages, PAGE_SIZE);

		err = do_mincore(current->mm, addr, n, vec);
		if (!err)
			err = copy_to_user(to, vec, n);
		addr += n * PAGE_SIZE;
		to += n;
		pages -= n;
	}
	kfree(vec);
	return err;
}

SYSCALL2(mlock, vaddr_t, addr, uint64_t, len)
{
	return do_mlock(current->mm, addr, len, false);
}

SYSCALL3(mlock2, vaddr_t, addr, uint64_t, len, int, flags)
{
	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	return do_mlock(current->mm, addr, len, flags & MLOCK_ONFAULT);
}

SYSCALL2(munlock, vaddr_t, addr, uint64_t, len)
{
	return do_munlock(current->mm, addr, len);
}

SYSCALL1(mlockall, int, flags)
{
	return do_mlockall(current->mm, flags);
}

SYSCALL0(munlockall)
{
	return do_munlockall(current->mm);
}

/* What remap_file_pages is to map again: the area's file, protection, kind. NULL: no shared mapping of a file there. */
static struct vm_file *shared_file_at(vaddr_t start, uint64_t size, int *prot, int *flags)
{
	struct mm_struct *mm = current->mm;
	struct vm_file *file = NULL;
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, start);
	if (vma && vma->vm_start <= start && start + size <= vma->vm_end &&
	    vma->vm_flags & VM_SHARED && vma->vm_file) {
		file = get_vm_file(vma->vm_file);
		*prot = (vma->vm_flags & VM_READ ? PROT_READ : 0) |
		        (vma->vm_flags & VM_WRITE ? PROT_WRITE : 0) |
		        (vma->vm_flags & VM_EXEC ? PROT_EXEC : 0);
		*flags |= vma->vm_flags & VM_LOCKED ? MAP_LOCKED : 0;
	}
	up_read(&mm->mmap_lock);
	return file;
}

SYSCALL5(remap_file_pages, vaddr_t, start, uint64_t, size, int, prot, uint64_t, pgoff, int, flags)
{
	int map_flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE | (flags & MAP_NONBLOCK),
	    area_prot = 0;
	struct vm_file *file;
	int64_t ret;

	start &= PAGE_MASK;
	size &= PAGE_MASK;
	if (prot || !size || start + size <= start || pgoff + (size >> PAGE_SHIFT) < pgoff)
		return -EINVAL;
	file = shared_file_at(start, size, &area_prot, &map_flags);
	if (!file)
		return -EINVAL;
	ret = do_mmap(current->mm, start, size, area_prot, map_flags, file, pgoff);
	put_vm_file(file);
	return ret < 0 ? ret : 0;
}

/* --- another process's memory -------------------------------------------------------------------------------- */

#define RW_IOV_MAX 1024
#define RW_CHUNK   (4 * PAGE_SIZE)

struct user_iovec {
	uint64_t base, len;
};

/* A walk over a vector of the program. */
struct iov_walk {
	vaddr_t next;  /* iovec to fetch next */
	uint64_t left; /* iovecs behind it */
	struct user_iovec now;
};

static int iov_advance(struct iov_walk *w)
{
	while (!w->now.len && w->left) {
		if (copy_from_user(&w->now, w->next, sizeof(w->now)))
			return -EFAULT;
		w->next += sizeof(w->now);
		w->left--;
	}
	return 0;
}

/* One piece; bytes moved, 0 at the end of either vector or where memory is missing. */
static int64_t move_piece(struct mm_struct *mm, struct iov_walk *local, struct iov_walk *remote,
                          void *buf, bool write)
{
	size_t n, got;
	int err = iov_advance(local);

	if (!err)
		err = iov_advance(remote);
	if (err)
		return err;
	n = MIN(MIN(local->now.len, remote->now.len), RW_CHUNK);
	if (!n)
		return 0;
	if (write) {
		got = n - copy_from_user_partial(buf, local->now.base, n);
		got = got ? access_remote_vm(mm, remote->now.base, buf, got, true) : 0;
	} else {
		got = access_remote_vm(mm, remote->now.base, buf, n, false);
		got -= copy_to_user_partial(local->now.base, buf, got);
	}
	local->now.base += got;
	local->now.len -= got;
	remote->now.base += got;
	remote->now.len -= got;
	return got ? (int64_t)got : -EFAULT;
}

static int64_t process_vm_rw(int32_t pid, struct iov_walk local, struct iov_walk remote, bool write)
{
	struct task_struct *task;
	struct mm_struct *mm;
	int64_t done = 0, n;
	void *buf;

	if (local.left > RW_IOV_MAX || remote.left > RW_IOV_MAX)
		return -EINVAL;
	task = find_get_task_by_pid(pid);
	if (!task)
		return -ESRCH;
	mm = ptrace_may_access(task) ? get_task_mm(task) : ERR_PTR(-EPERM);
	put_task(task);
	if (!mm || IS_ERR(mm))
		return mm ? PTR_ERR(mm) : -ESRCH;
	buf = kmalloc(RW_CHUNK, GFP_KERNEL);
	n = buf ? 0 : -ENOMEM;
	while (buf && !port_fatal_signal_pending() &&
	       (n = move_piece(mm, &local, &remote, buf, write)) > 0)
		done += n;
	kfree(buf);
	mmput(mm);
	return done ? done : n;
}

SYSCALL6(process_vm_readv, int32_t, pid, vaddr_t, lvec, uint64_t, liov, vaddr_t, rvec, uint64_t,
         riov, uint64_t, flags)
{
	struct iov_walk local = {.next = lvec, .left = liov}, remote = {.next = rvec, .left = riov};

	return flags ? -EINVAL : process_vm_rw(pid, local, remote, false);
}

SYSCALL6(process_vm_writev, int32_t, pid, vaddr_t, lvec, uint64_t, liov, vaddr_t, rvec, uint64_t,
         riov, uint64_t, flags)
{
	struct iov_walk local = {.next = lvec, .left = liov}, remote = {.next = rvec, .left = riov};

	return flags ? -EINVAL : process_vm_rw(pid, local, remote, true);
}
