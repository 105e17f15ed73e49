# Programs that want more than there is: the one that has most is killed, the system lives, and every frame comes back.
# guest only
# options: --mem 32M --cpus 2
# needs: perl
free() { sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
hog='my @a; push @a, "x" x 100000 while 1'
perl -e "$hog" 2>/dev/null; echo "ok? killed $?" | sed 's/ok? killed 137/ok the hog was killed/'
before=$(free)
for i in 1 2 3 4; do
	perl -e "$hog" 2>/dev/null
	[ $? = 137 ] && echo ok || echo "round $i: status $?"
done
perl -e 'for (1 .. 2) { fork } my @a; push @a, "x" x 100000 while 1' 2>/dev/null
while grep -qs perl /proc/[0-9]*/comm; do sleep 0.1; done
dd if=/dev/zero of=big bs=64k 2>err; grep -q 'No space left' err && echo ok ENOSPC || cat err
[ "$(stat -c %s big)" -gt 4000000 ] && echo ok
rm big
after=$(free)
[ $((before - after)) -lt 1024 ] && echo ok || echo "$before kB free before, $after kB after"
