#!/bin/sh
# fragmentation.sh - how broken up free memory is after a day, with grouping by mobility and compaction on and off.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}/native
make --no-print-directory -s B="$B" SAN= "$B/fragmentation"
echo "\$ bench/fragmentation.sh    (thousandths: average of 24 hours, and at the end)"
exec "$B/fragmentation"
