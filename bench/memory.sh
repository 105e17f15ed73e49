#!/bin/bash
# memory.sh - memory for managing memory: what a kernel keeps for itself of each size of machine, and when it has started its
# first program. Quire and Linux 6.1 in the same virtual machine in one run, where one instruction is one nanosecond. Bytes for a frame
# come from the difference to the smallest machine, so that the kernel's own size does not count. Untouched memory of the guest takes
# none of the host's, but Linux fills in a descriptor of 64 bytes for each frame. (Linux sizes its hash tables by memory, too, and keeps
# 64 MB for devices that reach only the low 4 GB once there is more than that.)
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all user >&2
program=$B/user/memory_total

declare -A bytes=([256M]=268435456 [1G]=1073741824 [4G]=4294967296 [16G]=17179869184 [64G]=68719476736)
sizes="256M 1G 4G 16G 64G"
max_linux=${MAX_LINUX:-17179869184} # bytes: 64 GB of Linux's descriptors would be 1 GB of the host's memory

for mem in $sizes; do
	read -r total ns < <(./quire run --deterministic --mem "$mem" -- "$program")
	echo "Quire $mem ${bytes[$mem]} $total $ns"
	[ "${bytes[$mem]}" -le "$max_linux" ] || continue
	read -r total ns < <(MEM=$mem CPU=qemu64 bench/linux.sh "$program")
	echo "Linux $mem ${bytes[$mem]} $total $ns"
done | awk '
	BEGIN { print "$ bench/memory.sh    (-icount shift=0)"
		printf "%-8s %-6s %16s %16s %16s\n", "memory", "", "kept, KB", "bytes a frame", "million instr." }
	{ kept = $3 - $4 }
	!($1 in first) { first[$1] = kept; size[$1] = $3 }
	{ per = $3 > size[$1] ? sprintf("%.2f", (kept - first[$1]) * 4096 / ($3 - size[$1])) : "-"
	  printf "%-8s %-6s %16d %16s %16.1f\n", $2, $1, kept / 1024, per, $5 / 1e6 }'
