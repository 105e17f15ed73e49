#!/bin/bash
# command.sh - the command, against a kernel of its own (kernel.c): options, statuses, streams, signals,
# archives, trace, summary. Needs ./quire and QEMU. Closes with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.."
Q=${QUIRE:-$PWD/quire}
T=$(mktemp -d /tmp/quire-test.XXXXXX)
trap 'rm -rf "$T"' EXIT
passed=0 failed=0

# ok WHAT COMMAND...: the command succeeds.
ok() {
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $what"
	fi
}

# says STATUS PATTERN COMMAND...: exit status, and one line on standard error that matches.
says() {
	local status=$1 pattern=$2 got err
	shift 2
	err=$("$@" 2>&1 >/dev/null </dev/null)
	got=$?
	if [ $got = "$status" ] && [[ $err =~ ^quire:\ .*$pattern ]] && [[ $err != *$'\n'* ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $* -> $got: $err"
	fi
}

# adds SUITE...: a program that closes with its own "N passed, N failed".
adds() {
	local line
	line=$("$@" | tee /dev/stderr | tail -1)
	[[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || line='0 passed, 1 failed'
	passed=$((passed + ${line%% *}))
	line=${line#*, }
	failed=$((failed + ${line%% *}))
}

K=$T/kernel.elf
CC=${CC:-gcc}
$CC -m32 -march=i686 -malign-double -std=gnu11 -O2 -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -mgeneral-regs-only -Wall -Wextra -Wno-psabi -I. -Iinclude \
	-nostdlib -static -no-pie -Wl,-T,test/cmd/kernel.ld -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
	-o "$K" test/cmd/kernel.c || exit 1
$CC -std=gnu11 -O1 -g -Wall -Wextra -fsanitize=address,undefined -fno-sanitize-recover=undefined -I. -Iinclude \
	-o "$T/trace_test" test/cmd/trace_test.c cmd/quire/trace_rings.c cmd/quire/trace_text.c cmd/quire/guest.c \
	cmd/quire/util.c || exit 1
run() {
	timeout 30 "$Q" run --kernel "$K" "$@"
}

# --- words ---
says 125 "no command: write 'quire run" "$Q"
says 125 'unknown command frob' "$Q" frob
for word in compare top record replay sweep lab; do
	says 125 "$word is not built yet" "$Q" $word
done
for word in --swap=1M --policy --la57 --pti --report; do
	says 125 'is not built yet' "$Q" run $word x -- ls
done
says 125 'no program to run' "$Q" run
says 125 'unknown option --bogus' "$Q" run --bogus -- ls
says 125 'needs a value' "$Q" run --mem
says 125 'takes no value' "$Q" run --stats=yes -- ls
for size in 0 -1 12Q 1MM M 99999999999999999999 2000000T ''; do
	says 125 '--mem' "$Q" run --mem "$size" -- ls
done
says 125 'at most --mem 64G' "$Q" run --mem 65G -- ls
mapfile -t many < <(for i in {1..400}; do printf -- '--set\nmany.of.them%s=1\n' $i; done)
says 125 'of --set are [0-9]+ bytes too long' run "${many[@]}" -- ls
for n in 0 9 -1 two 1x; do
	says 125 '--cpus' "$Q" run --cpus "$n" -- ls
done
for nodes in 0 1 5 -2 x 2x 64M 64M, ,64M 64M,,64M 64M,64M, 2: :20 64M,64M: 4M,4M,4M,4M,4M; do
	says 125 "--numa $nodes" "$Q" run --numa "$nodes" -- ls
done
says 125 '3M is no multiple of 4M' "$Q" run --numa 8M,3M -- ls
says 125 'the kernel boots in the first node' "$Q" run --numa 0,64M -- ls
says 125 'distance of neighbours is from 11 to 254' "$Q" run --numa 2:10 -- ls
says 125 'distance of neighbours is from 11 to 91' "$Q" run --numa 4:92 -- ls
says 125 '99999T is more than a guest can have' "$Q" run --numa 64M,99999T -- ls
says 125 'more memory than a guest can have' "$Q" run --numa 40G,40G -- ls
says 125 '--mem 64M is not the sum of --numa, which is 128M: leave it out' "$Q" run --numa 64M,64M --mem 64M -- ls
says 125 '--mem 8M is too small for 4 nodes: write at least --mem 16M' "$Q" run --mem 8M --numa 4 -- ls
says 125 '--accel magic is unknown' "$Q" run --accel magic -- ls
says 125 '--env' "$Q" run --env NAME -- ls
says 125 '--slab slaab is unknown: write slub, slab or slob' "$Q" run --slab slaab -- ls
says 125 'needs a value' "$Q" run --slab
says 125 '--set' "$Q" run --set 'a b=c' -- ls
says 125 'one CPU' "$Q" run --deterministic --cpus 2 -- ls
says 125 'write --set numa=fake=3' "$Q" run --deterministic --numa 3 -- ls
says 125 'this has more than --mem 4M' eval 'head -c 5M /dev/zero | run --deterministic --mem 4M -- ls'
says 125 'leave out --write' "$Q" run --deterministic --write /tmp -- ls
says 125 '--root /nonexistent: No such file' run --root /nonexistent -- ls
says 125 'no newc cpio archive' run --root "$K" -- ls
: >"$T/empty"
says 125 'it is empty' run --root "$T/empty" -- ls
says 125 'not a directory' run --root /dev/null -- ls
says 125 '--write /nonexistent' run --write /nonexistent -- ls
says 125 'not below the root' run --root /usr --write /tmp -- ls
says 125 'it is no ELF file' "$Q" run --kernel /etc/passwd -- ls
says 125 'No such file' "$Q" run --kernel /nonexistent -- ls
says 125 'too small to load .*write at least --mem 2M' run --mem 1M -- ls
says 125 'apt-get install qemu-system-x86' env PATH=/nonexistent "$Q" run --kernel "$K" -- ls
ok 'QEMU is found without a PATH' env -u PATH "$Q" run --kernel "$K" -- x
says 125 '--trace /nonexistent/dir' run --trace /nonexistent/dir -- ls
says 125 "nothing to pack" "$Q" pack -o "$T/x"
says 125 'cannot pack /nonexistent: No such file' "$Q" pack -o "$T/x" -- /nonexistent
ok 'a failed pack leaves nothing' test ! -e "$T/x"
ok 'help' eval '"$Q" --help | grep -q doctor && "$Q" run --help | grep -q -- --deterministic && "$Q" shell --help | grep -q usage'
ok 'help lists nothing unbuilt' eval '! { "$Q" --help; "$Q" run --help; } | grep -qE -- "--swap|--policy|--la57|replay|selftest"'
says 125 'doctor takes no arguments' "$Q" doctor please
ok 'doctor finds QEMU' eval '"$Q" doctor | grep -q "^QEMU *QEMU emulator version"'
ok 'doctor says what to install' eval 'PATH=/nonexistent "$Q" doctor | /bin/grep -q "^QEMU *missing: apt-get install qemu-system-x86"'
ok 'doctor in JSON' eval '"$Q" doctor --json | python3 -c "import json, sys; assert json.load(sys.stdin)[\"cpus\"] >= 1"'
ok 'version' eval '"$Q" --version | grep -q "^quire [0-9]"'

# --- the end of a run ---
for n in 0 1 3 255; do
	run --set test.end=status,$n -- x
	ok "status $n" test $? = $n
done
run --set test.end=signal,11 -- x
ok 'death by signal' test $? = 139
says 127 'x/y: No such file or directory$' run --set test.end=exec,2 -- x/y
says 126 'x: Permission denied$' run --set test.end=exec,13 -- x
says 126 'x: Exec format error$' run --set test.end=exec,8 -- x
says 125 '--mem 256M is too small to boot: write --mem 300M' run --set test.end=memory,307200 -- x
says 125 '--set no.such=1: this kernel has no such tunable' run --set test.end=word,7 --set no.such=1 -- x
says 125 'does not know word 0 of its command line' run --set test.end=word,0 -- x
says 125 'the kernel ended without a result' "$Q" run --kernel "$K" --set test.end=silent -- x
err=$(run --set test.end=panic -- x 2>&1)
ok 'a panic' test $? = 125
ok 'a panic shows the log' grep -q 'the sky is falling' <<<"$err"
err=$(run --set test.end=reset -- x 2>&1)
ok 'a triple fault' test $? = 125
ok 'a triple fault is named' grep -q 'triple fault' <<<"$err"

# --- streams ---
head -c 5000000 /dev/urandom >"$T/in"
run --set test.do=echo -- x <"$T/in" >"$T/out"
ok 'binary clean, to the end of file' cmp "$T/in" "$T/out"
cat "$T/in" | run --set test.do=echo --set test.late=200 -- x | (sleep 0.5; cat) | cmp -s - "$T/in"
ok 'a late guest and a slow reader lose nothing' test "${PIPESTATUS[*]}" = '0 0 0 0'
run --set test.do=flood,3000001 -- x >"$T/o1" 2>"$T/o2"
ok 'output and error apart' cmp "$T/o1" "$T/o2"
ok 'all of it' test "$(stat -c %s "$T/o1")" = 3000001
both=$(run --set test.do=flood,300000 -- x 2>&1 | wc -c)
ok 'output and error in one pipe' test "$both" = 600000
run --set test.do=yes -- x | head -c 100000 >/dev/null
ok 'a reader that goes away is EPIPE in the guest' test "${PIPESTATUS[0]}" = 7
run --set test.do=flood,3000000 -- x >"$T/o1" 2>/dev/full
ok 'a full disk is said' test "$(stat -c %s "$T/o1")" = 3000000
ok 'closed descriptors' grep -q 'stdio=npn' <(run --set test.do=words -- x <&- 2>&-)
ok 'empty input ends' run --set test.do=echo -- x </dev/null
(sleep 0.3; echo late) | run --set test.do=echo -- x | grep -q late
ok 'input that comes late' test $? = 0

# --- signals without a terminal ---
started() { # PATTERN-FILE: wait until the guest says "ready"
	for _ in $(seq 100); do grep -q ready "$T/o" && return; sleep 0.05; done
	return 1
}
for sig in INT TERM HUP QUIT; do
	: >"$T/o"
	# bash ignores INT and QUIT in background children; perl gives them back.
	perl -e '$SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec @ARGV' "$Q" run --kernel "$K" --set test.do=control -- x >"$T/o" &
	started
	kill -$sig $!
	wait $!
	ok "SIG$sig reaches the guest" grep -q "signal $(kill -l $sig)\$" "$T/o"
done
perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$Q" run --kernel "$K" --set test.end=hang -- x &
sleep 0.5; kill -INT $!; sleep 0.2; kill -INT $!; wait $!
ok 'two SIGINT end a guest that hangs' test $? = 130
adds timeout 120 python3 test/cmd/terminal.py "$Q" "$K"

# --- what the guest is told ---
words=$(run --cpus 3 --set a.b=c --set test.do=words -- x)
ok 'CPUs and tunables' grep -q '^ncpus=3 tsc_khz=[0-9]* wallclock=[0-9]*\.[0-9]* seed=[0-9a-f]* stdio=.pp root=9p a.b=c ' <<<"$words"
khz=${words#*tsc_khz=}
khz=${khz%% *}
ok 'the clock is plausible' test "$khz" -gt 500000 -a "$khz" -lt 10000000
words2=$(run --set test.do=words -- x)
khz2=${words2#*tsc_khz=}
khz2=${khz2%% *}
ok 'two measurements of the clock agree to 0.1 %' test $(((khz - khz2) * 1000 / khz)) = 0
words=$(run --deterministic --set test.do=words -- /bin/true)
ok 'a deterministic run is told no time of the host' grep -q '^ncpus=1 tsc_khz=1000000 wallclock=1700000000.000000000 seed=0000005175697265 stdio=fpp root=cpio ' <<<"$words"
list=$(cd /usr/lib && run --env QA=1 --env 'QB=x y' --set test.do=archive -- prog 'an arg' '')
ok 'program and arguments' grep -Pzq '\.quire/argv 13 \d+\n  prog\n  an arg\n  \n' <<<"$list"
ok 'environment' grep -Pzq '  QA=1\n  QB=x y\n' <<<"$list"
ok 'working directory' grep -Pzq '\.quire/cwd 9 \d+\n  /usr/lib\n' <<<"$list"
list=$(cd /usr/lib && run --root /usr --set test.do=archive -- prog)
ok 'working directory below another root' grep -Pzq '\.quire/cwd 5 \d+\n  /lib\n' <<<"$list"
mkdir "$T/w"
list=$(cd / && run --write "$T/w" --set test.do=archive -- x)
ok 'a writable directory' grep -Pzq "\.quire/shares \d+ \d+\n  w$T/w\n" <<<"$list"
mkdir "$T/x y"
list=$(cd "$T/x y" && run --write "$T/x y" --set test.do=archive -- "$T/w/../w/prog")
ok 'one with a space, which is the working directory too; the directory of the program' grep -Pzq \
	"\.quire/shares \d+ \d+\n  r$T/w\n  w$T/x y\n" <<<"$list"
list=$(cd /usr && run --set test.do=archive -- /usr/bin/env)
ok 'nothing is shared twice' eval '! grep -q shares <<<"$list"'
mkdir "$T/a,b"
ok 'a root with a comma' run --root "$T/a,b" --set test.do=words -- x >/dev/null
list=$(echo some input | run --deterministic --set test.do=archive -- /bin/ls /etc/passwd)
ok 'the input of a deterministic run travels along' grep -Pzq '\.quire/stdin 11 \d+\n  some input\n' <<<"$list"
ok 'so do program, libraries and named files' eval 'for f in usr/bin/ls libc.so.6 ld-linux-x86-64.so.2 etc/passwd; do grep -q "$f [0-9]" <<<"$list" || exit 1; done'
ok 'files of a page or more lie on page boundaries' eval '! grep -v "^  " <<<"$list" | awk "\$2 >= 4096 && \$3 != 0 { print; bad = 1 } END { exit !bad }"'
mkdir -p "$T/r/etc" && echo mine >"$T/r/etc/passwd" && ln -s passwd "$T/r/etc/link"
list=$(run --deterministic --root "$T/r" --set test.do=archive -- prog)
ok 'a deterministic run in another root takes that, whole and alone' eval 'grep -q "^etc/passwd 5 " <<<"$list" && grep -q "^etc/link 6 " <<<"$list" && grep -q "^tmp 0 " <<<"$list" && ! grep -q "^etc/group" <<<"$list"'
says 127 'nosuchprogram: No such file' run --deterministic -- nosuchprogram

# --- archives ---
"$Q" pack -o "$T/p.cpio" -- ls /usr/share/doc/bash /etc/passwd
ok 'pack' test $? = 0
for reader in cpio 'busybox cpio'; do
	rm -rf "$T/u"
	mkdir "$T/u"
	(cd "$T/u" && $reader -idm <"$T/p.cpio" 2>/dev/null)
	ok "$reader reads it" cmp -s "$T/u/usr/bin/ls" /usr/bin/ls
	ok "$reader: directories too" diff -r "$T/u/usr/share/doc/bash" /usr/share/doc/bash
done
[ "$(id -u)" = 0 ] && ok 'it is complete' eval 'chroot "$T/u" ls / | grep -q usr'
printf '#!/usr/bin/env perl\nprint "hi\\n";' >"$T/script"
chmod +x "$T/script"
"$Q" pack -o "$T/s.cpio" -- "$T/script"
names=$(cpio -t <"$T/s.cpio" 2>/dev/null)
ok 'scripts bring their interpreters' eval 'grep -qx usr/bin/env <<<"$names" && grep -qx usr/bin/perl <<<"$names" && grep -q libcrypt <<<"$names"'
run --root "$T/p.cpio" --set test.do=archive -- ls >"$T/list"
ok 'an archive as root' grep -q '^usr/bin/ls [0-9]* 0$' "$T/list"
head -c 100000 "$T/p.cpio" >"$T/cut.cpio"
says 125 'it is truncated' run --root "$T/cut.cpio" -- ls
gzip -c "$T/p.cpio" >"$T/p.gz"
says 125 'gunzip' run --root "$T/p.gz" -- ls
perl -pe 'BEGIN { binmode STDIN; $/ = \4096 } substr($_, 200, 0) = "x" if $. == 3' <"$T/p.cpio" >"$T/bad.cpio"
says 125 'it is damaged' run --root "$T/bad.cpio" -- ls
(cd "$T/w" && mkdir -p bin && cp /bin/busybox bin/ && ln -s busybox bin/sh && find . | cpio -o -H newc 2>/dev/null) >"$T/gnu.cpio"
ok "GNU cpio's archives" run --root "$T/gnu.cpio" --set test.do=words -- sh >/dev/null
says 125 'QEMU: .*initrd|too small' run --mem 3M --root "$T/p.cpio" -- ls

# --- summary ---
err=$(run --stats -- x 2>&1)
ok 'summary' grep -q 'every frame is accounted for: 65,536 of 65,536' <<<"$err"
ok 'counters' grep -qE '^ +1,234,567  pgfault ' <<<"$err"
json=$(run --json --set test.end=status,4 -- x 2>&1)
ok 'JSON' python3 -c '
import json, sys
j = json.loads(sys.argv[1])
assert j["status"] == 4 and j["exit_kind"] == "status" and j["accounted"] is True
assert j["counters"]["pgfault"] == 1234567 and len(j["per_cpu"]) == 2 and j["at_exit"]["anon"] == 10
' "$json"
ok 'log' grep -q '^boot' <(run --log --set test.serial=1 -- x 2>&1 >/dev/null)
ok 'the log of a self test is output' grep -q '^boot' <(run --selftest --set test.serial=1 2>/dev/null)

# --- trace ---
adds "$T/trace_test"
err=$(run --trace "$T/t" --set test.do=trace,500000 -- x 2>&1)
lines=$(grep -vc '^#' "$T/t/trace.txt")
read -r written lost < <(sed -E 's/.*: ([0-9]+) events written, ([0-9]+) lost.*/\1 \2/' <<<"$err")
ok 'every event is written or counted as lost' test $((written + lost)) = 1000001
ok 'and stands in the file' eval 'awk "/LOST/ { lost += \$3; next } !/^#/ { n++ } END { exit !(n == $written && lost == $lost) }" "$T/t/trace.txt"'
ok 'in the order of time' eval 'grep -v "^CPU\|^#" "$T/t/trace.txt" | awk "{ t = \$4 + 0; if (t < last) exit 1; last = t }"'
ok 'lines of ftrace' eval 'grep -qE "^            gram-1       \[001\] \.\.\.\.\.     0\.[0-9]{6}: mm_page_free: page=0xffffea" "$T/t/trace.txt"'
run --deterministic --trace "$T/t1" --set test.do=trace,1000 -- /bin/true
run --deterministic --trace "$T/t2" --set test.do=trace,1000 -- /bin/true
ok 'the same run twice is the same trace' cmp "$T/t1/trace.txt" "$T/t2/trace.txt"

lines=$(wc -l <"$T/t1/trace.txt")
says 125 '--root /nonexistent' run --trace "$T/t1" --root /nonexistent -- x
ok 'a run that cannot begin leaves an older trace alone' test "$(wc -l <"$T/t1/trace.txt")" = "$lines"

# --- nothing is left ---
ok 'no QEMU outlives its command' eval '! pgrep -f "$K" >/dev/null'
echo "$passed passed, $failed failed"
[ $failed = 0 ]
