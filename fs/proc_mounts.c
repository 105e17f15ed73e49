/*
 * proc_mounts.c - /proc/PID/{mounts,mountinfo}: what is mounted where. All processes see the same.
 */
#include "fs/proc.h"

static const char *device_name(const struct super_block *sb)
{
	return sb->s_source && *sb->s_source ? sb->s_source : "none";
}

static void show_flags(struct seq_file *m, const struct super_block *sb)
{
	seq_puts(m, sb->s_flags & MS_RDONLY ? "ro" : "rw");
	if (sb->s_flags & MS_NOSUID)
		seq_puts(m, ",nosuid");
	if (sb->s_flags & MS_NODEV)
		seq_puts(m, ",nodev");
	if (sb->s_flags & MS_NOEXEC)
		seq_puts(m, ",noexec");
	seq_puts(m, ",relatime");
}

static void show_fs_options(struct seq_file *m, struct super_block *sb)
{
	if (sb->s_op->show_options)
		sb->s_op->show_options(m, sb);
}

static void show_mount(struct seq_file *m, struct super_block *sb)
{
	seq_printf(m, "%s ", device_name(sb));
	seq_escape_path(m, sb->s_root);
	seq_printf(m, " %s ", sb->s_type->name);
	show_flags(m, sb);
	show_fs_options(m, sb);
	seq_puts(m, " 0 0\n");
}

/* A mount's number is that of its device, which is its own. */
static void show_mountinfo_line(struct seq_file *m, struct super_block *sb)
{
	uint32_t id = MINOR(sb->s_dev);
	uint32_t parent = sb->s_mountpoint ? MINOR(sb->s_mountpoint->d_sb->s_dev) : 1;

	seq_printf(m, "%u %u %u:%u / ", id, parent, MAJOR(sb->s_dev), MINOR(sb->s_dev));
	seq_escape_path(m, sb->s_root);
	seq_putc(m, ' ');
	show_flags(m, sb);
	seq_printf(m, " - %s %s %s", sb->s_type->name, device_name(sb),
	           sb->s_flags & MS_RDONLY ? "ro" : "rw");
	show_fs_options(m, sb);
	seq_putc(m, '\n');
}

static int show_all(struct seq_file *m, void (*show)(struct seq_file *m, struct super_block *sb))
{
	struct super_block *sb;

	mutex_lock(&mount_mutex);
	list_for_each_entry(sb, &super_blocks, s_list)
		show(m, sb);
	mutex_unlock(&mount_mutex);
	return 0;
}

int proc_show_mounts(struct seq_file *m, struct task_struct *task UNUSED, bool whole UNUSED)
{
	return show_all(m, show_mount);
}

int proc_show_mountinfo(struct seq_file *m, struct task_struct *task UNUSED, bool whole UNUSED)
{
	return show_all(m, show_mountinfo_line);
}
