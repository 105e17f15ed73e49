#!/bin/sh
# slab_kernel.sh - kernel objects in instructions, on Quire and on Linux 6.1 in the same run and the same virtual machine, where
# one instruction is one nanosecond; the loops' own are taken off. Debian's Linux clears every object that it allocates
# unless told not to (init_on_alloc): it is told. It also hardens free lists, which no boot word turns off.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all
for slab in slub slab slob; do
	./quire run --deterministic --mem 256M --slab $slab --set unit_verbose=1 --kernel "$B/quire-test.elf" \
		--selftest=kernel/slab_speed >"$B/slab.$slab"
done
APPEND=init_on_alloc=0 bench/linux_module.sh bench/linux_slab.c >"$B/slab.linux"
echo "\$ bench/slab_kernel.sh    (instructions, -icount shift=0)"
awk '
	!/^(64|16 to)/ { next }
	{ name = $0; sub(/ +[0-9.]+$/, "", name); cost[FILENAME, name] = $NF; if (!(name in seen)) { seen[name]; order[++n] = name } }
	END {
		printf "%-40s %10s %8s %8s %8s %8s\n", "work", "Linux 6.1", "SLUB", "SLAB", "SLOB", "ratio"
		for (i = 1; i <= n; i++) {
			name = order[i]
			printf "%-40s %10.1f %8.1f %8.1f %8.1f %8.2f\n", name, cost[ARGV[1], name], cost[ARGV[2], name],
				cost[ARGV[3], name], cost[ARGV[4], name], cost[ARGV[1], name] / cost[ARGV[2], name]
		}
	}' "$B/slab.linux" "$B/slab.slub" "$B/slab.slab" "$B/slab.slob"
