# Two nodes out of one: near memory first, policies, counts, marks that can be written.
# guest only
# options: --mem 128M --cpus 2 --set numa=fake=2 --set movablecore=16M
"$USER_BIN"/numa 2
cd /sys/devices/system/node
cat node0/distance node1/distance node0/cpulist node1/cpulist online has_normal_memory
for n in node0 node1; do
	[ "$(sed -n 's/^local_node //p' $n/numastat)" -gt 10 ] && echo "$n: local pages"
	awk '/MemTotal/ {total = $4} /MemFree/ {free = $4} /MemUsed/ {used = $4} END {print (total == free + used)}' $n/meminfo
done
[ "$(awk '/numa_other/ {n += $2} END {print (n > 0)}' /proc/zoneinfo)" = 1 ] && echo "somebody allocated afar"
grep -c '^Node' /proc/zoneinfo
grep -c Movable /proc/buddyinfo
cd /proc/sys/vm
cat lowmem_reserve_ratio watermark_scale_factor
echo 4096 >min_free_kbytes; cat min_free_kbytes
awk '$1 == "min" {n += $2} END {print (n > 1000 && n <= 1024)}' /proc/zoneinfo
echo 1000 >watermark_scale_factor; cat watermark_scale_factor
awk '$1 == "low" {low = $2} $1 == "managed" && $2 {print (low > $2 / 10)}' /proc/zoneinfo | sort -u
echo "128 64" >lowmem_reserve_ratio; cat lowmem_reserve_ratio
for bad in 0 3001 x; do echo $bad 2>/dev/null >watermark_scale_factor || echo "$bad refused"; done
echo -1 2>/dev/null >min_free_kbytes || echo "-1 refused"
cat watermark_scale_factor min_free_kbytes
