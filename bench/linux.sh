#!/bin/sh
# linux.sh PROGRAM - run a static program on Debian's Linux 6.1 in the virtual machine that Quire's benchmarks use:
# one CPU, 256 MB (or $MEM), one instruction is one nanosecond. Its output, nothing else, on standard output.
#
# The kernel package is downloaded by apt-get into the build folder the first time (70 MB) and not installed.
set -eu
program=$(readlink -f "$1")
cd "$(dirname "$0")/.."
B=${B:-build}
peer=$B/linux
mkdir -p "$peer/root/dev" "$peer/root/proc" "$peer/root/tmp"
if ! ls "$peer"/boot/vmlinuz-* >/dev/null 2>&1; then
	package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
	[ -n "$package" ] || { echo "linux.sh: apt knows no linux-image-amd64: apt-get update" >&2; exit 1; }
	(cd "$peer" && apt-get -q download "$package" >/dev/null 2>&1)
	dpkg-deb --fsys-tarfile "$peer"/linux-image-*.deb | tar -C "$peer" -xf - ./boot
	rm -f "$peer"/linux-image-*.deb
fi
gcc -O1 -static -o "$peer/root/init" bench/linux_init.c
cp "$program" "$peer/root/program"
[ -e "$peer/root/dev/console" ] || mknod "$peer/root/dev/console" c 5 1
(cd "$peer/root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc) >"$peer/root.cpio"
timeout 600 qemu-system-x86_64 -M pc -accel tcg -icount shift=0,sleep=off -cpu "${CPU:-qemu64}" -smp 1 -m "${MEM:-256M}" \
	-kernel "$peer"/boot/vmlinuz-* -initrd "$peer/root.cpio" -append "console=ttyS0 quiet mitigations=off ${APPEND:-}" \
	-nodefaults -no-user-config -display none -serial stdio -no-reboot \
	-device isa-debug-exit,iobase=0xf4,iosize=0x04 </dev/null | tr -d '\r' || [ $? = 33 ]
