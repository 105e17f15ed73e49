#!/bin/sh
# linux_module.sh MODULE.c - build a kernel module for the Linux of linux.sh, run it there, and print its lines.
#
# The headers' packages are downloaded by apt-get into the build folder the first time (14 MB) and not installed: paths in
# them that begin with /usr are made to begin in that folder.
set -eu
module=$(readlink -f "$1")
cd "$(dirname "$0")/.."
B=${B:-build}
headers=$(mkdir -p "$B/linux/headers" && cd "$B/linux/headers" && pwd)
image=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
version=${image#linux-image-}
tree=$headers/usr/src/linux-headers-$version
if [ ! -e "$tree/ready" ]; then
	needed=$(apt-cache depends "linux-headers-$version" | awk '/Depends: linux-(headers|kbuild)/ {print $2}')
	# shellcheck disable=SC2086
	(cd "$headers" && apt-get -q download "linux-headers-$version" $needed >/dev/null 2>&1)
	for deb in "$headers"/*.deb; do
		dpkg-deb -x "$deb" "$headers"
		rm -f "$deb"
	done
	sed -i "s,/usr/src,$headers/usr/src," "$tree/Makefile"
	touch "$tree/ready"
fi
work=$B/linux/module
mkdir -p "$work"
cp "$module" "$work/peer.c"
printf 'obj-m := peer.o\nccflags-y := -I%s/bench\n' "$PWD" >"$work/Makefile"
make -s -C "$tree" M="$(readlink -f "$work")" CC=gcc-12 CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$work/log" 2>&1 ||
	{ cat "$work/log" >&2; exit 1; }
strip --strip-debug "$work/peer.ko"
(cd "$work" && ld -r -b binary -z noexecstack -o blob.o peer.ko)
gcc -O1 -static -o "$work/program" bench/linux_insmod.c "$work/blob.o"
bench/linux.sh "$work/program"
