#!/bin/bash
# frames.sh - what a frame costs: Quire's alloc_pages beside the allocators that Debian has, the same sequences in the same
# run (bench/frames.c). A peer's memory is not touched either, so nobody pays for page faults.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
scripts/packages.sh bench
make --no-print-directory -s "$B/bench/frames"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$B/bench/frames" >"$out/quire"
"$B/bench/frames" malloc >"$out/glibc"
for peer in jemalloc.so.2 tcmalloc_minimal.so.4 mimalloc.so.2.0; do
	LD_PRELOAD=/usr/lib/x86_64-linux-gnu/lib$peer "$B/bench/frames" malloc >"$out/${peer%%.so*}"
done
cd "$out"
echo '$ bench/frames.sh    (nanoseconds, get / put; in brackets get + put in units of Quire'"'"'s)'
awk -F '|' '
	{ cost[FILENAME, $1] = sprintf("%.1f / %.1f", $2, $3); sum[FILENAME, $1] = $2 + $3 }
	FILENAME == "quire" { row[++rows] = $1 }
	FNR == 1 { peer[++peers] = FILENAME }
	END {
		printf "%-42s", ""
		for (p = 1; p <= peers; p++)
			printf "  %-24s", peer[p]
		for (r = 1; r <= rows; r++) {
			printf "\n%-42s", row[r]
			for (p = 1; p <= peers; p++) {
				k = peer[p] SUBSEP row[r]
				text = k in cost ? cost[k] : "-"
				if (p > 1 && k in cost)
					text = text sprintf(" (%.1f)", sum[k] / sum[peer[1], row[r]])
				printf "  %-24s", text
			}
		}
		print ""
	}' quire $(ls | grep -v quire)
