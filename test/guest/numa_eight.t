# Eight CPUs on three nodes that are small, and what each node says of itself.
# guest only
# options: --cpus 8 --numa 12M,8M,12M --slab slab
cd /sys/devices/system/node
cat node*/cpumap node*/cpulist
grep -h '^Cpus_allowed:' /proc/self/status
taskset 1 grep -h '^Cpus_allowed:' /proc/self/status
awk '/KReclaimable/ {k = $4} /SReclaimable/ {if (k != $4) print "not the same"}' node*/meminfo
sum() { cat node*/numastat | awk -v n=$1 '$1 == n {s += $2} END {print s + 0}'; }
for cpu in 0 3 5 7; do taskset -c $cpu "$USER_BIN"/numa fill $cpu 12 >/dev/null; done
hit=$(sum numa_hit) && [ "$hit" -gt 8000 ] && echo counted
[ "$(sum numa_miss)" = "$(sum numa_foreign)" ] && echo "as many misses as foreign"
awk '{ if ($2 + 0 > 1e9) print "less than none:", $0 }' node*/numastat
