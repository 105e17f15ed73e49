# Two nodes of the firmware's tables (SRAT, SLIT): of different sizes, 31 apart, two CPUs each.
# guest only
# options: --cpus 4 --numa 48M,80M:31
cd /sys/devices/system/node
cat online has_memory has_cpu possible
cat node0/distance node1/distance node0/cpulist node1/cpulist node1/cpumap
for n in node0 node1; do
	awk '/MemTotal/ {print $1, $2, $3, int(($4 + 4095) / 4096) * 4 " MB"} /MemTotal/ {total = $4}
		/MemFree/ {free = $4} /MemUsed/ {used = $4} END {print (total == free + used)}' $n/meminfo
done
grep Mems_allowed_list /proc/self/status
awk '$1 == "Node" {zone = $2 $4} $1 == "present" && $2 {print zone, "present"}' /proc/zoneinfo
grep -c Node /proc/buddyinfo

# Near memory first, and each node counts what it gave.
count() { sed -n "s/^$2 //p" node$1/numastat; }
for cpu in 0 1 2 3; do
	here=$((cpu / 2)) there=$((1 - cpu / 2))
	hits=$(count $here local_node) missed=$(count $there numa_miss)
	taskset -c $cpu "$USER_BIN"/numa fill $cpu 12
	[ $(($(count $here local_node) - hits)) -ge 3072 ] && echo "node $here gave them to its own CPU"
	[ "$(count $there numa_miss)" = "$missed" ] && echo "node $there had nothing to do with it"
done
# When the near node is full the other one helps out.
missed=$(count 1 numa_miss) foreign=$(count 0 numa_foreign) other=$(count 1 other_node)
"$USER_BIN"/numa fill 0 60 | sed 's/has [0-9]*/has some/g'
[ $(($(count 1 numa_miss) - missed)) -ge 3072 ] && echo "node 1: numa_miss"
[ $(($(count 0 numa_foreign) - foreign)) = $(($(count 1 numa_miss) - missed)) ] && echo "node 0: numa_foreign, as many"
[ $(($(count 1 other_node) - other)) -ge 3072 ] && echo "node 1: other_node"
