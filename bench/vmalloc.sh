#!/bin/sh
# vmalloc.sh - vmalloc and vfree in instructions, on Quire and on Linux 6.1 (vmalloc_huge, so that both may use large
# pages) in the same run and the same virtual machine, where one instruction is one nanosecond. Debian's Linux clears every page that
# it allocates unless told not to (init_on_alloc): it is told.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all
./quire run --deterministic --mem 256M --set unit_verbose=1 --kernel "$B/quire-test.elf" \
	--selftest=kernel/vmalloc_speed >"$B/vmalloc.quire"
APPEND=init_on_alloc=0 bench/linux_module.sh bench/linux_vmalloc.c >"$B/vmalloc.linux"
echo "\$ bench/vmalloc.sh    (instructions, -icount shift=0)"
awk '
	$3 != "vmalloc" { if (NR != FNR && /^addresses|^4 KB among/) print; next }
	NR == FNR { alloc[$1 $2] = $4; pair[$1 $2] = $4 + $6; next }
	!head++ { printf "%-8s %12s %12s %12s %12s %8s\n", "size", "Linux alloc", "pair", "Quire alloc", "pair", "ratio" }
	{ printf "%-8s %12d %12d %12d %12d %8.2f\n", $1 " " $2, alloc[$1 $2], pair[$1 $2], $4, $4 + $6, pair[$1 $2] / ($4 + $6) }
' "$B/vmalloc.linux" "$B/vmalloc.quire"
