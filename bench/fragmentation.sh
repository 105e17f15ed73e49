#!/bin/sh
# fragmentation.sh - how broken up free memory is after a day, with grouping by mobility and compaction on and off.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make --no-print-directory -s "$B/bench/fragmentation"
echo "\$ bench/fragmentation.sh    (thousandths: average of 24 hours, and at the end)"
exec "$B/bench/fragmentation"
