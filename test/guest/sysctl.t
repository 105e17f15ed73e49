# /proc/sys/vm: integers as Linux's proc_dointvec_minmax takes them. All that is refused changes nothing.
# guest only
# options: --mem 64M --cpus 1
cd /proc/sys/vm || exit 1
put() { printf -- "$2" 2>/dev/null >"$1"; } # FILE TEXT
is() { [ "$(cat "$1")" = "$2" ] && echo "ok $1 $2" || echo "FAILED $1 is $(cat "$1"), not $2"; }
takes() { put "$1" "$2" && is "$1" "$3" || echo "FAILED $1 <- $2"; } # FILE TEXT VALUE
refuses() { # FILE TEXT...
	f=$1 old=$(cat "$1" 2>/dev/null)
	shift
	for text; do
		put "$f" "$text" && echo "FAILED $f took $text"
		[ ! -r "$f" ] || [ "$(cat "$f" 2>/dev/null)" = "$old" ] || echo "FAILED $f changed by $text"
	done
	echo "ok $f refuses"
}
rubbish='x 1x +5 1,2 - 0x 4294967297 99999999999999999999 12\0003'

takes min_free_kbytes ' \t 1200\n' 1200
takes min_free_kbytes '%125s1300' 1300
takes min_free_kbytes '0x400 \n' 1024
takes min_free_kbytes '1100 6 7\n' 1100
refuses min_free_kbytes -1 2147483648 '%300s12' '\n' $rubbish
takes watermark_scale_factor 3000 3000
takes watermark_scale_factor 10 10
refuses watermark_scale_factor 0 3001 $rubbish
takes extfrag_threshold ' 400 ' 400
refuses extfrag_threshold -1 1001 00000000000000009999 $rubbish
takes compaction_proactiveness 100 100
refuses compaction_proactiveness -1 101 $rubbish
takes compact_unevictable_allowed 0 0
refuses compact_unevictable_allowed -1 2 $rubbish
# Each is a number of its own, and the marks follow.
put min_free_kbytes 2048 && put watermark_scale_factor 20 && put extfrag_threshold 30 && put compaction_proactiveness 40 &&
	put compact_unevictable_allowed 1 && put lowmem_reserve_ratio '200 100 50 0 0'
own=$(cat min_free_kbytes watermark_scale_factor extfrag_threshold compaction_proactiveness compact_unevictable_allowed | tr '\n' ' ')
[ "$own" = '2048 20 30 40 1 ' ] && echo ok each its own || echo "FAILED $own"
marks() { awk -v name="$1" '$1 == name {sum += $2} END {print sum}' /proc/zoneinfo; }
min=$(marks min) high=$(marks high)
put min_free_kbytes 4096
[ "$min" -ge 510 ] && [ "$min" -le 512 ] && [ $(($(marks min) - 2 * min)) -le 4 ] && [ "$(marks min)" -gt $((min + 400)) ] &&
	echo ok marks || echo "FAILED marks: $min, then $(marks min)"
put min_free_kbytes 2048
put watermark_scale_factor 1000
[ "$(marks high)" -gt $((high + 1000)) ] && echo ok scale || echo "FAILED scale: $high, then $(marks high)"
tab=$(printf '\t')
takes lowmem_reserve_ratio '256 256 32 0 0' "256${tab}256${tab}32${tab}0${tab}0"
takes lowmem_reserve_ratio '128\n' "128${tab}256${tab}32${tab}0${tab}0"
takes lowmem_reserve_ratio '-2147483648 1' "0${tab}1${tab}32${tab}0${tab}0"
refuses lowmem_reserve_ratio '1 2 x' '1 2 3 4 2147483648' $rubbish
for what in 1 2 3 ' 1' '2\n' '0x3'; do put drop_caches "$what" && echo "ok drop_caches" || echo "FAILED drop_caches <- $what"; done
refuses drop_caches 0 5 -1 0000000000000012 $rubbish
put compact_memory 1 && put compact_memory ' 1 \n' && echo ok compact_memory
refuses compact_memory $rubbish
put fail-nth 0 && echo ok fail-nth
refuses fail-nth -1 2147483648 $rubbish

# Who drops the caches is in the log, until 4 says that it is known.
said() { dd if=/dev/kmsg iflag=nonblock bs=1024 2>/dev/null | grep -c 'drop_caches: '; }
before=$(said)
put drop_caches 4
put drop_caches 1
put drop_caches 4
[ "$(said)" = $((before + 1)) ] && [ "$before" = 6 ] && echo ok quiet || echo "FAILED log: $before, then $(said)"
for f in drop_caches compact_memory; do
	cat $f 2>&1 | grep -q 'Permission denied' && echo "ok $f is not read" || echo "FAILED $f is read"
done
