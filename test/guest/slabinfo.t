# What stock tools and a shell see of kernel objects: /proc/slabinfo 2.1, slabtop, vmstat -m.
# guest only
# needs: slabtop vmstat
head -1 /proc/slabinfo | grep -qx 'slabinfo - version: 2.1' && echo "ok version"
for name in kmem_cache kmalloc-8 kmalloc-96 kmalloc-192 kmalloc-8k kmalloc-rcl-64 dma-kmalloc-512 dentry; do
	grep -q "^$name " /proc/slabinfo && echo "ok $name" || echo "no $name"
done
awk 'NR > 2 && (NF != 16 || $2 > $3 || $14 > $15) { bad = 1; print "bad: " $0 } END { if (!bad && NR > 40) print "ok columns" }' /proc/slabinfo
s=/sys/kernel/slab
[ "$(cat $s/kmalloc-64/object_size $s/kmalloc-64/slab_size 2>&1 | tr '\n' ' ')" = '64 64 ' ] && echo "ok sysfs"
[ "$(cat $s/dma-kmalloc-64/cache_dma)" = 1 ] && echo "ok sysfs dma"
[ "$(ls $s | grep -c .)" -gt 60 ] && [ ! -e $s/nonsense ] && echo "ok sysfs names"
for name in $(ls $s); do [ -e $s/$name/objects ] || echo "no $name/objects"; done
slabtop -o >/tmp/top || echo "slabtop failed"
grep -q 'Active / Total Objects' /tmp/top && grep -q 'kmalloc-64' /tmp/top && echo "ok slabtop"
vmstat -m >/tmp/vm || echo "vmstat failed"
grep -q '^kmalloc-64 ' /tmp/vm && head -1 /tmp/vm | grep -q 'Cache *Num *Total *Size *Pages' && echo "ok vmstat -m"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do : >/tmp/file$i; done
before=$(awk '$1 == "inode_cache" || $1 ~ /tmpfs/ { n += $2 } END { print n + 0 }' /proc/slabinfo)
for i in $(seq 300); do : >/tmp/more$i; done
after=$(awk '$1 == "inode_cache" || $1 ~ /tmpfs/ { n += $2 } END { print n + 0 }' /proc/slabinfo)
[ "$after" -ge $((before + 300)) ] && echo "ok files are counted" || echo "files: $before, then $after"
kb() { awk -v name="$1:" '$1 == name { print $2 }' /proc/meminfo; }
ls -l /usr/bin >/dev/null
least=100
[ "$(ls -d $s/slob 2>/dev/null)" ] && least=0 # SLOB's pages are nobody's in particular
r=$(kb SReclaimable) u=$(kb SUnreclaim) all=$(kb Slab)
[ "$r" -ge $least ] && [ $((all - u - r)) -ge -64 ] && [ $((all - u - r)) -le 64 ] && echo "ok SReclaimable" || echo "SReclaimable $r of $all"
[ "$(cat $s/dentry/reclaim_account $s/kmalloc-64/reclaim_account | tr '\n' ' ')" = '1 0 ' ] && echo "ok reclaim_account" || echo "reclaim_account"
