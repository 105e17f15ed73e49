#!/bin/bash
# boot.sh - QEMU start to exit of a program that returns 0 (20 runs), and the smallest --mem for a static program and for
# busybox sh. Wall-clock time of the whole command, so only a quiet machine tells anything.
set -u
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all user >&2 || exit 1
echo '$ bench/boot.sh'
for cpus in 1 2; do
	for i in {1..20}; do
		start=$(date +%s%N)
		./quire run --mem 64M --cpus $cpus -- "$B/user/null" || exit 1
		echo $((($(date +%s%N) - start) / 10000))
	done | sort -n | awk -v c=$cpus '{t[NR] = $1 / 100} END {
		printf "start to exit, %d CPU: median %.1f ms, least %.1f, most %.1f\n", c, t[int((NR + 1) / 2)], t[1], t[NR]}'
done
works() { # MEMORY OUTPUT PROGRAM...: does it print OUTPUT and end with 0, three times of three?
	local mem=$1 want=$2
	shift 2
	for _ in 1 2 3; do
		[ "$(timeout 20 ./quire run --mem "$mem" --cpus 1 -- "$@" 2>/dev/null; echo "status $?")" = "${want}status 0" ] || return
	done
}
smallest() { # NAME OUTPUT PROGRAM...
	local kb name=$1
	shift
	for kb in 1024 1280 1536 1792 2048 2304 2560 2816 3072 3584 4096 5120 6144 8192; do
		if works ${kb}K "$@"; then
			echo "smallest memory for $name: $kb KB"
			return
		fi
	done
	echo "$name: not even in 8 MB"
}
smallest 'a static program' '' "$B/user/null"
smallest 'busybox sh with a pipe of two' "$(busybox ls / | wc -l)"$'\n' /bin/busybox sh -c 'echo $(busybox ls / | busybox wc -l)'
