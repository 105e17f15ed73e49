#!/bin/sh
# operations.sh - memory and file operations in instructions, on Quire and on Linux 6.1 in the same run:
# user/measure.c and user/measure_files.c, the same binaries, in the same virtual machine, where one instruction is one
# nanosecond. Linux gets -cpu qemu64: on -cpu max it zeroes pages by rep stosb, of which each byte counts as an
# instruction (6,891 for a fault instead of 3,217).
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all user
for program in measure measure_files; do
	./quire run --deterministic --mem 256M -- "$B/user/$program"
done >"$B/measure.quire"
for program in measure measure_files; do
	bench/linux.sh "$B/user/$program"
done >"$B/measure.linux"
echo "\$ bench/operations.sh    (instructions, -icount shift=0)"
awk -F '  +' '
	NR == FNR { linux[$1] = $2; next }
	FNR == 1 { printf "%-38s %10s %10s %8s\n", "operation", "Linux 6.1", "Quire", "ratio" }
	$1 in linux { printf "%-38s %10d %10d %8.2f\n", $1, linux[$1], $2, linux[$1] / $2 }
' "$B/measure.linux" "$B/measure.quire"
