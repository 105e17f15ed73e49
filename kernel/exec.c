/*
 * exec.c - execve: the arguments, scripts, and the step from the old program to the new.
 *
 *   copy_args -> [script? its interpreter instead] -> load_elf_binary: a complete new address space
 *   -> de_thread: the other threads die -> commit: signals, descriptors, memory, registers
 *
 * All that can fail comes before the commit. What the program sees on its stack, from the top down: the file's name,
 * the environment's and the arguments' strings, "x86_64", 16 random bytes, then auxv, envp, argv, argc.
 *
 * Limits are Linux's: a string has at most 32 pages, all strings and pointers a quarter of the stack's limit, but
 * at least 128 KB and at most 6 MB: else E2BIG.
 */
#include "kernel/binprm.h"
#include "fs/vfs.h"
#include "kernel/random.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "lib/format.h"
#include "lib/string.h"
#include <quire/kva.h>
#include <quire/slab.h>
#include <quire/trace.h>

#define ARG_MIN_LIMIT     (128ull << 10)
#define ARG_MAX_LIMIT     (6ull << 20)
#define STACK_EXTRA       (128ull << 10) /* of stack ready beyond the arguments */
#define ADDR_NO_RANDOMIZE 0x0040000u

static const char platform_name[] = "x86_64";

/* Where the strings of argv and envp come from: the program, or the kernel for the first one. */
struct arg_source {
	vaddr_t user;
	char *const *kernel;
};

bool randomize_va(void)
{
	return !(current->personality & ADDR_NO_RANDOMIZE);
}

/* --- strings --------------------------------------------------------------------------------------------------- */

static uint64_t arg_limit(void)
{
	uint64_t quarter = rlimit(RLIMIT_STACK) / 4;

	return MAX(MIN(quarter, ARG_MAX_LIMIT), ARG_MIN_LIMIT);
}

static int reserve_strings(struct linux_binprm *bprm, size_t more)
{
	uint64_t pointers = (bprm->argc + bprm->envc + 4) * sizeof(uint64_t);
	size_t room = bprm->room ? bprm->room : PAGE_SIZE;
	char *bigger;

	if (bprm->len + more + pointers > arg_limit())
		return -E2BIG;
	if (bprm->len + more <= bprm->room)
		return 0;
	while (room < bprm->len + more)
		room *= 2;
	bigger = kvmalloc(room, GFP_KERNEL);
	if (!bigger)
		return -ENOMEM;
	if (bprm->len)
		memcpy(bigger, bprm->strings, bprm->len);
	kvfree(bprm->strings);
	bprm->strings = bigger;
	bprm->room = room;
	return 0;
}

static int add_kernel_string(struct linux_binprm *bprm, const char *s)
{
	size_t n = strlen(s) + 1;
	int err = reserve_strings(bprm, n);

	if (err)
		return err;
	memcpy(bprm->strings + bprm->len, s, n);
	bprm->len += n;
	return 0;
}

/* In pieces, since its length is not known before. */
static int add_user_string(struct linux_binprm *bprm, vaddr_t from)
{
	size_t start = bprm->len;

	for (;;) {
		int64_t n;
		size_t room;
		int err = reserve_strings(bprm, 1);

		if (err)
			return err;
		room = MIN(bprm->room - bprm->len, MAX_ARG_STRLEN - (bprm->len - start));
		n = strncpy_from_user(bprm->strings + bprm->len, from, room);
		if (n >= 0) {
			bprm->len += (size_t)n + 1;
			return 0;
		}
		if (n != -ENAMETOOLONG)
			return (int)n;
		bprm->len += room;
		from += room;
		if (bprm->len - start >= MAX_ARG_STRLEN)
			return -E2BIG;
	}
}

/* Appends all strings of the vector; their number or an error. */
static int copy_vector(struct linux_binprm *bprm, struct arg_source src, unsigned *count)
{
	int err = 0;

	if (!src.user && !src.kernel)
		return 0;
	for (*count = 0;; (*count)++) {
		uint64_t p = 0;

		if (src.kernel) {
			if (!src.kernel[*count])
				break;
			err = add_kernel_string(bprm, src.kernel[*count]);
		} else {
			if (get_user_u64(&p, src.user + *count * sizeof(p)))
				return -EFAULT;
			if (!p)
				break;
			err = add_user_string(bprm, p);
		}
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return reserve_strings(bprm, 0);
}

static int copy_args(struct linux_binprm *bprm, struct arg_source argv, struct arg_source envp)
{
	int err = copy_vector(bprm, argv, &bprm->argc);

	if (!err && !bprm->argc) { /* as Linux since 5.18: never without argv[0] */
		err = add_kernel_string(bprm, "");
		bprm->argc = 1;
	}
	bprm->env_offset = bprm->len;
	return err ? err : copy_vector(bprm, envp, &bprm->envc);
}

/* --- scripts ---------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "#! interpreter [argument]": both in line, cut at its end. 0 or -ENOEXEC. */
static int parse_script(struct linux_binprm *bprm, char *line, char **interp, char **arg)
{
	char *end, *p;

	memcpy(line, bprm->buf + 2, BINPRM_BUF_SIZE - 2);
	line[BINPRM_BUF_SIZE - 2] = '\0';
	end = strchr(line, '\n');
	if (!end) {
		end = line + strlen(line);
		/* Cut off: then at least the interpreter's name must be whole. */
		for (p = line; is_blank(*p); p++)
			;
		if (end == line + BINPRM_BUF_SIZE - 2 && !strchr(p, ' ') && !strchr(p, '\t'))
			return -ENOEXEC;
	}
	while (end > line && is_blank(end[-1]))
		end--;
	*end = '\0';
	for (p = line; is_blank(*p); p++)
		;
	if (!*p)
		return -ENOEXEC;
	*interp = p;
	p += strcspn(p, " \t");
	*arg = NULL;
	if (*p) {
		*p++ = '\0';
		while (is_blank(*p))
			p++;
		*arg = *p ? p : NULL;
	}
	return 0;
}

/* The words that take argv[0]'s place; before those of an inner script, whose first one they replace. */
static int set_prefix(struct linux_binprm *bprm, const char *interp, const char *arg,
                      const char *script)
{
	size_t old = bprm->prefix ? strlen(bprm->prefix) + 1 : 0, rest = bprm->prefix_len - old;
	size_t size = strlen(interp) + 1 + (arg ? strlen(arg) + 1 : 0) + strlen(script) + 1 + rest;
	char *words = kmalloc(size, GFP_KERNEL), *p = words;

	if (!words)
		return -ENOMEM;
	p += format(p, size, "%s", interp) + 1;
	if (arg)
		p += format(p, size, "%s", arg) + 1;
	p += format(p, size, "%s", script) + 1;
	if (rest)
		memcpy(p, bprm->prefix + old, rest);
	bprm->prefix_count += (bprm->prefix ? 1 : 2) + (arg ? 1 : 0);
	kfree(bprm->prefix);
	bprm->prefix = words;
	bprm->prefix_len = size;
	bprm->skip = strlen(bprm->strings) + 1;
	return 0;
}

static int read_head(struct linux_binprm *bprm)
{
	int64_t pos = 0, n;

	memset(bprm->buf, 0, sizeof(bprm->buf));
	n = kernel_read(bprm->file, bprm->buf, sizeof(bprm->buf), &pos);
	return n < 0 ? (int)n : 0;
}

/* Put the script's interpreter in its place. */
static int load_script(struct linux_binprm *bprm)
{
	char line[BINPRM_BUF_SIZE], *interp, *arg;
	struct file *file;
	char *script;
	int err = parse_script(bprm, line, &interp, &arg);

	if (err)
		return err;
	if (++bprm->depth > BINPRM_MAX_DEPTH)
		return -ELOOP;
	/* The script's own name: what was executed, or what the outer script's line said. */
	script = kstrdup(bprm->prefix ? bprm->prefix : bprm->filename, GFP_KERNEL);
	if (!script)
		return -ENOMEM;
	err = set_prefix(bprm, interp, arg, script);
	kfree(script);
	if (err)
		return err;
	file = open_exec(interp);
	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	fput(bprm->file);
	bprm->file = file;
	return read_head(bprm);
}

/* --- the new address space --------------------------------------------------------------------------------------- */

int bprm_mm_init(struct linux_binprm *bprm, bool exec_stack)
{
	uint64_t stack_limit = rlimit(RLIMIT_STACK), gap, random = 0, size;
	vaddr_t end = ALIGN_DOWN(mmu_user_end(), PAGE_SIZE) - PAGE_SIZE;
	struct mm_struct *mm;

	if (randomize_va())
		random = get_random_u64();
	bprm->stack_top = end - ((random & 0x3fffff) << PAGE_SHIFT);
	gap = MIN(MAX(stack_limit, 128ull << 20), end / 6 * 5) + (1ull << 20);
	mm = mm_alloc(
	        PAGE_ALIGN(bprm->stack_top - gap - ((random >> 32 & 0xfffffff) << PAGE_SHIFT)));
	if (!mm)
		return -ENOMEM;
	bprm->mm = mm;
	mm_set_limits(mm, current);
	size = PAGE_ALIGN(bprm->len + bprm->prefix_len + strlen(bprm->filename) +
	                  (bprm->argc + bprm->envc + 8) * sizeof(uint64_t) + STACK_EXTRA);
	return mm_setup_stack(mm, bprm->stack_top, size, exec_stack);
}

/* n bytes below *p of the new stack. */
static int push(struct linux_binprm *bprm, vaddr_t *p, const void *data, size_t n)
{
	*p -= n;
	return access_remote_vm(bprm->mm, *p, (void *)data, n, true) == n ? 0 : -ENOMEM;
}

/* Addresses of count strings that start at addr, text being their copy. Returns the address behind them. */
static vaddr_t point_at(uint64_t *out, unsigned count, const char *text, vaddr_t addr)
{
	for (unsigned i = 0; i < count; i++) {
		size_t n = strlen(text) + 1;

		out[i] = addr;
		text += n;
		addr += n;
	}
	return addr;
}

/* argc, argv, NULL, envp, NULL, auxv: one block of words. */
static int push_vectors(struct linux_binprm *bprm, vaddr_t p, const uint64_t *auxv, unsigned n)
{
	unsigned argc = bprm->argc - (bprm->prefix ? 1 : 0) + bprm->prefix_count;
	size_t words = 1 + argc + 1 + bprm->envc + 1 + n;
	uint64_t *block = kvmalloc(words * sizeof(*block), GFP_KERNEL), *w = block;
	struct mm_struct *mm = bprm->mm;
	vaddr_t args;
	int err;

	if (!block)
		return -ENOMEM;
	*w++ = argc;
	args = point_at(w, bprm->prefix_count, bprm->prefix, mm->arg_start);
	w += bprm->prefix_count;
	point_at(w, argc - bprm->prefix_count, bprm->strings + bprm->skip, args);
	w += argc - bprm->prefix_count;
	*w++ = 0;
	point_at(w, bprm->envc, bprm->strings + bprm->env_offset, mm->env_start);
	w += bprm->envc;
	*w++ = 0;
	memcpy(w, auxv, n * sizeof(*auxv));
	p = ALIGN_DOWN(p - words * sizeof(*block), 16) + words * sizeof(*block);
	err = push(bprm, &p, block, words * sizeof(*block));
	bprm->sp = mm->start_stack = p;
	kvfree(block);
	return err;
}

static void patch_auxv(uint64_t *auxv, unsigned n, uint64_t key, uint64_t value)
{
	for (unsigned i = 0; i + 1 < n; i += 2)
		if (auxv[i] == key)
			auxv[i + 1] = value;
}

#define AT_PLATFORM 15
#define AT_RANDOM   25
#define AT_EXECFN   31
#define AUXV_MAX    48

int setup_arg_pages(struct linux_binprm *bprm, const uint64_t *auxv, unsigned n, vaddr_t *execfn,
                    vaddr_t *platform, vaddr_t *random)
{
	struct mm_struct *mm = bprm->mm;
	uint64_t table[AUXV_MAX] = {0};
	uint8_t bytes[16];
	vaddr_t p = bprm->stack_top - sizeof(uint64_t); /* a zero word ends it */
	int err;

	memcpy(table, auxv, MIN(n, AUXV_MAX) * sizeof(*auxv));
	err = push(bprm, &p, bprm->filename, strlen(bprm->filename) + 1);
	*execfn = p;
	mm->env_end = p;
	if (!err)
		err = push(bprm, &p, bprm->strings + bprm->skip, bprm->len - bprm->skip);
	mm->env_start = mm->arg_end = p + (bprm->env_offset - bprm->skip);
	if (!err && bprm->prefix)
		err = push(bprm, &p, bprm->prefix, bprm->prefix_len);
	mm->arg_start = p;
	if (!err)
		err = push(bprm, &p, platform_name, sizeof(platform_name));
	*platform = p;
	p = ALIGN_DOWN(p, 16);
	get_random_bytes(bytes, sizeof(bytes));
	if (!err)
		err = push(bprm, &p, bytes, sizeof(bytes));
	*random = p;
	if (err)
		return err;
	patch_auxv(table, n, AT_EXECFN, *execfn);
	patch_auxv(table, n, AT_PLATFORM, *platform);
	patch_auxv(table, n, AT_RANDOM, *random);
	memcpy(mm->saved_auxv, table, sizeof(table));
	return push_vectors(bprm, p, table, n);
}

/* --- the commit --------------------------------------------------------------------------------------------------- */

void switch_mm_current(struct mm_struct *mm)
{
	struct task_struct *task = current;
	struct mm_struct *borrowed = task->mm ? NULL : task->active_mm;
	irq_state_t state;

	task_lock(task);
	state = irq_save();
	task->mm = task->active_mm = mm;
	mmu_activate(&mm->space);
	irq_restore(state);
	task_unlock(task);
	if (borrowed)
		mmdrop(borrowed);
}

/* Let go of a dead program's address space that this CPU still has loaded. Interrupt context, or no other task can run. */
static void drop_lazy_mm(void *unused UNUSED)
{
	struct task_struct *task = current;
	struct mm_struct *mm = task->active_mm;

	if (task->mm || !mm)
		return;
	mmu_activate(mmu_kernel_space());
	task->active_mm = NULL;
	mmdrop(mm);
}

void sched_drop_lazy_mm(void)
{
	port_call_cpus(cpus_online(), drop_lazy_mm, NULL);
}

static void trace_rename(struct task_struct *task)
{
	uint64_t comm[2];

	if (!trace_enabled())
		return;
	memcpy(comm, task->comm, sizeof(comm));
	trace_task_rename((uint64_t)task->pid, comm[0], comm[1]);
}

/* Set-user-ID files, unless the program or the mount gave that up. The program is told of it in its auxv, so it is decided early. */
static void choose_ids(struct linux_binprm *bprm)
{
	const struct inode *inode = bprm->file->f_inode;
	const struct cred *cred = &current->cred;
	bool may = !current->no_new_privs && !(bprm->file->f_dentry->d_sb->s_flags & MS_NOSUID);

	bprm->euid = may && inode->i_mode & S_ISUID ? inode->i_uid : cred->euid;
	bprm->egid = may && (inode->i_mode & (S_ISGID | 0010)) == (S_ISGID | 0010) ? inode->i_gid
	                                                                           : cred->egid;
	bprm->secure = bprm->euid != cred->uid || bprm->egid != cred->gid;
}

/*
 * The capabilities follow the ids (capabilities(7)). A program that its user may not read, or that runs as another
 * user, is not dumpable.
 */
static void apply_ids(struct linux_binprm *bprm)
{
	const uint64_t all = (1ull << (CAP_LAST + 1)) - 1;
	struct cred *cred = &current->cred;
	const bool readable = !inode_permission(bprm->file->f_dentry, MAY_READ);

	task_lock(current);
	cred->euid = bprm->euid;
	cred->egid = bprm->egid;
	cred->suid = cred->fsuid = cred->euid;
	cred->sgid = cred->fsgid = cred->egid;
	cred->cap_permitted = cred->uid && cred->euid ? 0 : all;
	cred->cap_effective = cred->euid ? 0 : all;
	WRITE_ONCE(current->signal->dumpable, readable && !bprm->secure);
	task_unlock(current);
}

static void replace_mm(struct linux_binprm *bprm)
{
	struct task_struct *task = current;
	struct mm_struct *old = task->mm;

	bprm->mm->exe_file = get_vm_file(&bprm->file->vm);
	if (old) {
		uint64_t rss = MAX(atomic_load(&old->hiwater_rss), mm_rss(old));

		mm_release(task, old);
		task->signal->maxrss = MAX(task->signal->maxrss, rss);
	}
	switch_mm_current(bprm->mm);
	bprm->mm = NULL;
	if (old)
		mmput(old);
}

static void commit(struct linux_binprm *bprm)
{
	struct task_struct *task = current;
	const char *slash = strrchr(bprm->filename, '/');

	replace_mm(bprm);
	apply_ids(bprm);
	exit_itimers(task->signal);
	flush_signal_handlers(task->sighand, false);
	files_close_on_exec(task->files);
	task->sas_sp = task->sas_size = 0;
	task->sas_flags = 0;
	task->restart.fn = NULL;
	task->robust_list = 0;
	task->did_exec = true;
	atomic_fetch_and(&task->flags, ~PF_FORKNOEXEC);
	set_task_comm(task, slash ? slash + 1 : bprm->filename);
	trace_rename(task);
	(void)arch_set_fs_base(task, 0);
	(void)arch_set_gs_base(task, 0);
	arch_fpu_init(task->thread.fpu);
	arch_start_user(arch_task_regs(&task->thread), bprm->entry, bprm->sp);
}

static int load_binary(struct linux_binprm *bprm)
{
	int err = read_head(bprm);

	while (!err && bprm->buf[0] == '#' && bprm->buf[1] == '!')
		err = load_script(bprm);
	if (!err) {
		choose_ids(bprm);
		err = load_elf_binary(bprm);
	}
	if (!err)
		err = de_thread();
	if (!err)
		err = files_unshare();
	if (!err)
		err = unshare_sighand(current);
	if (!err && fatal_signal_pending(current))
		err = -EINTR;
	return err;
}

/* Takes over the reference to file. */
static int do_execve(struct file *file, const char *filename, struct arg_source argv,
                     struct arg_source envp)
{
	struct linux_binprm *bprm;
	int err = -ENOMEM;

	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	bprm = kzalloc(sizeof(*bprm), GFP_KERNEL);
	if (!bprm)
		goto out;
	bprm->file = file;
	bprm->filename = filename;
	err = copy_args(bprm, argv, envp);
	if (!err)
		err = load_binary(bprm);
	if (!err)
		commit(bprm);
	if (bprm->mm)
		mmput(bprm->mm);
	file = bprm->file;
	kfree(bprm->prefix);
	kvfree(bprm->strings);
	kfree(bprm);
out:
	fput(file);
	return err;
}

int kernel_execve(const char *path, char *const *argv, char *const *envp)
{
	struct arg_source args = {.kernel = argv}, env = {.kernel = envp};

	return do_execve(open_exec(path), path, args, env);
}

SYSCALL3(execve, vaddr_t, path, vaddr_t, argv, vaddr_t, envp)
{
	struct arg_source args = {.user = argv}, env = {.user = envp};
	char *name = getname(path, false);
	int err;

	if (IS_ERR(name))
		return PTR_ERR(name);
	err = do_execve(open_exec(name), name, args, env);
	putname(name);
	return err;
}

/* The name under which a program opened by descriptor goes: as Linux, what a script's interpreter can open. */
static char *execveat_name(int dirfd, char *name)
{
	char *full;

	if (name[0] == '/' || dirfd == AT_FDCWD)
		return kstrdup(name, GFP_KERNEL);
	full = kmalloc(strlen(name) + 24, GFP_KERNEL);
	if (full)
		format(full, strlen(name) + 24, name[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd,
		       name);
	return full;
}

SYSCALL5(execveat, int, dirfd, vaddr_t, path, vaddr_t, argv, vaddr_t, envp, unsigned, flags)
{
	struct arg_source args = {.user = argv}, env = {.user = envp};
	char *name, *full;
	int err = -ENOMEM;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	name = getname(path, flags & AT_EMPTY_PATH);
	if (IS_ERR(name))
		return PTR_ERR(name);
	full = execveat_name(dirfd, name);
	putname(name);
	if (full)
		err = do_execve(open_exec_at(dirfd, path, flags), full, args, env);
	kfree(full);
	return err;
}
