#!/bin/sh
# guest only
# Kernel addresses as programs see them: stacks of tasks that have ended are given back, vmallocinfo and the dump of
# the kernel's page tables have Linux's form, and nothing in the latter can be both written and executed.

kb() { awk -v name="$1:" '$1 == name { print $2 }' /proc/meminfo; }
say() { if [ "$2" -eq 0 ]; then echo "ok $1"; else echo "FAILED $1"; fi; }

before=$(kb KernelStack)
i=0 pids=
while [ $i -lt 100 ]; do
	sleep 1000 &
	pids="$pids $!"
	i=$((i + 1))
done
during=$(kb KernelStack)
kill $pids
wait 2>/dev/null
after=$(kb KernelStack)
[ $((during - before)) -ge 1500 ]
say "stacks of 100 tasks: $before kB before, $during kB with them" $?
[ $((after - before)) -le 600 ]
say "afterwards $after kB" $?

line='^0x[0-9a-f]{16}-0x[0-9a-f]{16} +[0-9]+ (([A-Za-z0-9_.]+\+0x[0-9a-f]+/0x[0-9a-f]+( pages=[0-9]+)?( phys=0x[0-9a-f]{16})? (vmalloc|vmap|ioremap)( N[0-9]=[0-9]+)*)|unpurged vm_area)$'
! grep -Evq "$line" /proc/vmallocinfo
say 'lines of vmallocinfo' $?
grep -q ' virtio[a-z_]*+0x[0-9a-f/x]* phys=0x00000000[0-9a-f]* ioremap$' /proc/vmallocinfo
say 'a device is mapped' $?
sed -n 's/.* \([^ ]*\)+0x.*/\1/p' /proc/vmallocinfo | sort -u | while read -r name; do
	grep -q " [Tt] $name\$" /proc/kallsyms || echo "$name"
done | { ! grep .; }
say 'callers are functions of the kernel' $?
pages=$(sed -n 's/.* pages=\([0-9]*\) vmalloc .*/\1/p' /proc/vmallocinfo | awk '{ n += $1 } END { print n }')
[ "$(kb VmallocUsed)" -ge $((pages * 4 - 64)) ] && [ "$(kb VmallocUsed)" -le $((pages * 4 + 64)) ]
say 'VmallocUsed is their sum' $?

dump=/sys/kernel/debug/page_tables/kernel
line='^(---\[ .* \]---|0x[0-9a-f]{16}-0x[0-9a-f]{16} +[0-9]+[BKMGTPE] .{26}(pgd|pud|pmd|pte))$'
! grep -Evq "$line" $dump
say 'lines of the dump' $?
for area in 'Kernel Space' 'Low Kernel Mapping' 'vmalloc() Area' Vmemmap 'High Kernel Mapping' 'Fixmap Area'; do
	grep -qF -e "---[ $area ]---" $dump
	say "the dump has: $area" $?
done
! grep -q 'RW .* x  ' $dump
say 'nothing can be written and executed' $?
grep -q 'ro  .* GLB x  ' $dump
say 'the text can be executed, not written' $?
