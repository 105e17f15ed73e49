# Frames one by one: kpageflags, kpagecount, pagetypeinfo, page_owner; with every check of frames switched on.
# guest only
# options: --mem 64M --cpus 1 --set page_owner=on --set page_poison=1
"$USER_BIN"/frames
[ "$(awk '$5 == "type" && $6 == "HighAtomic" && NF == 17 { n++ } END { print n }' /proc/pagetypeinfo)" = "$(wc -l </proc/buddyinfo)" ] && echo ok
grep -q '^Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic $' /proc/pagetypeinfo && echo ok
echo 1 >/proc/sys/vm/compact_memory && echo ok
for i in 1 2 3; do echo $i >/proc/sys/vm/drop_caches && echo ok; done
echo 400 >/proc/sys/vm/extfrag_threshold && [ "$(cat /proc/sys/vm/extfrag_threshold)" = 400 ] && echo ok
echo 1001 2>/dev/null >/proc/sys/vm/extfrag_threshold || echo ok
[ "$(awk '{ n += NF } END { print n / NR }' /sys/kernel/debug/extfrag/unusable_index)" = 15 ] && echo ok
for f in compaction_proactiveness compact_unevictable_allowed; do cat /proc/sys/vm/$f; done | tr '\n' ' ' | grep -qx '20 1 ' && echo ok
echo 101 2>/dev/null >/proc/sys/vm/compaction_proactiveness || echo ok
echo 2 2>/dev/null >/proc/sys/vm/compact_unevictable_allowed || echo ok
echo 100 >/proc/sys/vm/compaction_proactiveness && [ "$(cat /proc/sys/vm/compaction_proactiveness)" = 100 ] && echo ok
echo 0 >/proc/sys/vm/compact_unevictable_allowed && [ "$(cat /proc/sys/vm/compact_unevictable_allowed)" = 0 ] && echo ok
