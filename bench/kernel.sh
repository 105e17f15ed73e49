#!/bin/sh
# kernel.sh - frames and objects in the kernel, in instructions: Quire, with each of its allocators of objects, and Linux 6.1 in the same
# run and the same virtual machine, where one instruction is one nanosecond; the same calls in the same order (bench/alloc_rows.h), the
# loops' own cost taken off. Debian's Linux clears what it allocates unless told not to (init_on_alloc): it is told. It also
# hardens free lists, which no boot word turns off.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all >&2
APPEND=init_on_alloc=0 bench/linux_module.sh bench/linux_alloc.c >"$B/kernel.linux"
for slab in slub slab slob; do
	./quire run --deterministic --mem 256M --cpus 1 --slab $slab --set unit_verbose=1 --kernel "$B/quire-test.elf" \
		--selftest=kernel/alloc_speed | sed -n 's/.*bench: //p' >"$B/kernel.$slab"
done
echo "\$ bench/kernel.sh    (instructions for a get and a put, -icount shift=0)"
awk -F '|' '
	FNR == NR { rows[++n] = $1 }
	{ cost[FILENAME, $1] = $2 / 100 }
	END {
		printf "%-32s %10s %8s %8s %8s %8s\n", "sequence", "Linux 6.1", "Quire", "SLAB", "SLOB", "ratio"
		for (i = 1; i <= n; i++) {
			row = rows[i]
			printf "%-32s %10.1f %8.1f", row, cost[ARGV[1], row], cost[ARGV[2], row]
			if (row ~ /^order/) printf " %8s %8s", "", ""
			else printf " %8.1f %8.1f", cost[ARGV[3], row], cost[ARGV[4], row]
			printf " %8.2f\n", cost[ARGV[1], row] / cost[ARGV[2], row]
		}
	}' "$B/kernel.linux" "$B/kernel.slub" "$B/kernel.slab" "$B/kernel.slob"
