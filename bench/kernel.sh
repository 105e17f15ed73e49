#!/bin/sh
# kernel.sh - frames and objects in the kernel, in instructions: Quire and Linux 6.1 in the same run and the same virtual machine,
# where one instruction is one nanosecond; the same calls in the same order (bench/alloc_rows.h). Debian's Linux clears what
# it allocates unless told not to (init_on_alloc): it is told.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all >&2
./quire run --deterministic --mem 256M --cpus 1 --set unit_verbose=1 --kernel "$B/quire-test.elf" \
	--selftest=kernel/alloc_speed >"$B/kernel.quire"
APPEND=init_on_alloc=0 bench/linux_module.sh bench/linux_alloc.c >"$B/kernel.linux"
echo "\$ bench/kernel.sh    (instructions for a get and a put, -icount shift=0)"
sed -n 's/.*bench: //p' "$B/kernel.quire" >"$B/kernel.rows"
awk -F '|' '
	NR == FNR { quire[$1] = $2 / 100; next }
	FNR == 1 { printf "%-32s %10s %10s %8s\n", "sequence", "Linux 6.1", "Quire", "ratio" }
	{ printf "%-32s %10.1f %10.1f %8.2f\n", $1, $2 / 100, quire[$1], $2 / 100 / quire[$1] }
' "$B/kernel.rows" "$B/kernel.linux"
