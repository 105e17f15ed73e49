# A node that has a CPU and no memory: all it needs comes from the nearest.
# guest only
# options: --cpus 3 --numa 48M,0,48M:21
cd /sys/devices/system/node
cat online has_memory has_cpu node1/cpulist
grep MemTotal node1/meminfo
grep Mems_allowed_list /proc/self/status
for cpu in 0 1 2; do "$USER_BIN"/numa fill $cpu 8; done
grep -c '^Node 1' /proc/zoneinfo
cat node1/numastat
