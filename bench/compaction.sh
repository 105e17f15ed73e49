#!/bin/sh
# compaction.sh - what moving pages costs while threads run on all CPUs: user/measure_compaction.c on 1, 2 and 4 CPUs. On one CPU
# an instruction is a nanosecond (--deterministic); on more it is wall-clock time, which depends on the machine's load.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s all user
echo "\$ bench/compaction.sh    (on 1 CPU 1 us: 1000 instructions)"
./quire run --deterministic --mem 64M -- "$B/user/measure_compaction"
for cpus in 2 4; do
	./quire run --mem 64M --cpus "$cpus" -- "$B/user/measure_compaction"
done
