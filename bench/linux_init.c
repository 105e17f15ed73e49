/*
 * linux_init.c - the first program of the Linux that Quire is compared with: runs /program, then ends the machine
 * as Quire does. Environment-free; what the program prints goes to the serial console.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(void)
{
	int status = 0, console = open("/dev/console", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	if (fork() == 0) {
		execl("/program", "program", (char *)NULL);
		_exit(127);
	}
	wait(&status);
	tcdrain(1);
	if (ioperm(0xf4, 4, 1) == 0)
		outb(0x10, 0xf4);
	reboot(RB_AUTOBOOT);
	return 1;
}
