# coreutils over 10 MB: sort, ls -lR, and the rest of a pipeline; gzip and back.
# options: --mem 192M
# needs: sort gzip perl
perl -e 'srand 7; for (1 .. 700000) { printf "%d %x\n", rand 1e9, rand 2**31 }' >numbers
ls -l numbers | cut -d' ' -f5
sort numbers | cksum
sort -n -k1,1 --parallel=2 numbers | cksum
sort -u -k2 numbers | tail -2
ls -lR --time-style=full-iso /usr/share/perl* /usr/share/doc | cksum
gzip -n -6 <numbers >numbers.gz
gunzip <numbers.gz | cmp - numbers && echo same
cksum numbers.gz
split -l 100000 numbers part. && cat part.* | cmp - numbers && ls part.*
tac numbers | tail -1
cut -d' ' -f2 numbers | head -100000 | sort | uniq -c | sort -rn | head -3
stat -c "%s %F %a %h" numbers; stat -c "%F %a %t %T" /dev/null /dev/zero
du -b numbers | cut -f1
df /dev/shm | wc -l
mv numbers n2 && cp n2 n3 && cmp n2 n3 && ln n3 n4 && stat -c %h n4
tail -c 1000 n2 | od -A d -t x1 | tail -3
