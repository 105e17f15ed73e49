#!/bin/bash
# slab.sh - kernel objects on the hosted machine beside glibc, jemalloc, tcmalloc and mimalloc: the same sizes in the same
# order, in one run. Instructions (callgrind, the loop's own taken off) and CPU time, which is the loop's too: a CPU does both at
# once, so that the rest would be too little. For each work the ratio to Quire's.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
scripts/packages.sh bench
make --no-print-directory -s "$B/bench/slab_bench"
bench=$B/bench/slab_bench
lib=/usr/lib/$(uname -m)-linux-gnu

declare -A peer=([glibc]= [jemalloc]=$lib/libjemalloc.so.2 [tcmalloc]=$lib/libtcmalloc_minimal.so.4
	[mimalloc]=$lib/libmimalloc.so.2.0)

instructions() { # PRELOAD WHO WORK [WORDS]: in work_*(), for each operation
	local n
	case $3 in random) n=50000 ;; *) n=100000 ;; esac
	BENCH_DIVIDE=20 LD_PRELOAD=$1 valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='work_*' \
		"$bench" "${@:2}" 2>&1 >/dev/null | awk -v n=$((n + 1000)) '/Collected/ {print $NF / n}'
}

nanoseconds() { # the best of five
	for _ in 1 2 3 4 5; do LD_PRELOAD=$1 "$bench" "${@:2}"; done | sort -n | head -1
}

row() { # NAME WORK PRELOAD WHO [WORDS]
	local i ns
	i=$(instructions "$3" "$4" "$2" "${@:5}")
	ns=$(nanoseconds "$3" "$4" "$2" "${@:5}")
	awk -v name="$1" -v i="$i" -v base="$base" -v ns="$ns" 'BEGIN {
		printf "%-34s %8.1f %8.2f\n", name, i - base, ns }'
}

echo "\$ bench/slab.sh    (instructions and ns of CPU time, per operation)"
for work in pair kmalloc bulk random; do
	case $work in
	pair) echo "-- 64 bytes, taken and given back: a pair (Quire: kmem_cache_alloc, kmem_cache_free)" ;;
	kmalloc) echo "-- 64 bytes, taken and given back: a pair (Quire: kmalloc, kfree)" ;;
	bulk) echo "-- 64 bytes, 32 at once, both ways: an object" ;;
	random) echo "-- 16 to 527 bytes at random, 10,000 live: a pair" ;;
	esac
	base=$(instructions "" none $work)
	printf '%-34s %8s %8.2f\n' 'the loop alone' '' "$(nanoseconds "" none $work)"
	{
		row 'Quire, SLUB' $work "" quire
		row 'Quire, SLUB, slab_arrays=0' $work "" quire slab_arrays=0
		row 'Quire, SLAB' $work "" quire slab=slab
		row 'Quire, SLOB' $work "" quire slab=slob
		for p in glibc jemalloc tcmalloc mimalloc; do
			[ -z "${peer[$p]}" ] || [ -e "${peer[$p]}" ] || continue
			row $p $work "${peer[$p]}" malloc
		done
	} | awk 'NR == 1 { i = $(NF - 1); ns = $NF }
		{ printf "%s   x %5.1f  x %5.1f\n", $0, $(NF - 1) / (i > 0 ? i : 1), $NF / (ns > 0.01 ? ns : 0.01) }'
done
