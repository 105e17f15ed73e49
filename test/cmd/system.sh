#!/bin/bash
# system.sh - the command and the kernel together: what comes out of a run besides the program's work. Exit statuses, streams,
# errors of one line, accounts, traces, determinism, archives, writable folders, tiny machines.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build}
export LC_ALL=C
work=$B/test-system # inside the tree: the guest has a /tmp of its own
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() { # WHAT COMMAND...: the command succeeds
	local what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $what"
	fi
}

quire() { timeout -k 5 100 ./quire "$@" </dev/null; }

# run WANTED-STATUS WHAT ARGUMENTS...: status, and at most one line "quire: ..." on standard error if it is 125 to 127
run() {
	local want=$1 what=$2 got
	shift 2
	quire "$@" >"$work/out" 2>"$work/err"
	got=$?
	check "$what: status $got, not $want: $(head -3 "$work/err")" [ "$got" = "$want" ]
	case $want in 125 | 126 | 127)
		check "$what: one line: $(cat "$work/err")" [ "$(grep -c . "$work/err")" = 1 ]
		check "$what: begins with quire: $(cat "$work/err")" grep -q '^quire: ' "$work/err" ;;
	esac
}

# --- statuses and streams
run 0 'a program' run -- /bin/true
run 42 'its status' run -- /bin/sh -c 'exit 42'
run 137 'killed' run -- /bin/sh -c 'kill -9 $$'
run 143 'terminated' run -- /bin/sh -c 'kill $$'
run 139 'a bad pointer' run -- /bin/sh -c 'kill -SEGV $$'
run 127 'no such program' run -- /nonexistent/program
run 127 'an empty name' run -- ''
run 127 'not in PATH' run -- no-such-program-anywhere
mkdir -p "$work/setid"
cp /bin/cat "$work/setid/cat"
if [ "$(id -u)" = 0 ]; then
	chown 65534 "$work/setid/cat" && chmod 4755 "$work/setid/cat"
	check 'set-user-ID: ids and capabilities as on Linux' [ "$(quire run -- "$work/setid/cat" /proc/self/status | grep -E '^(Uid|CapEff)')" = "$("$work/setid/cat" /proc/self/status | grep -E '^(Uid|CapEff)')" ]
fi
run 126 'a directory' run -- /etc
run 126 'not executable' run -- /etc/passwd
printf '\177ELF garbage that is no program' >"$work/garbage"
head -c 200 /bin/true >"$work/truncated"
printf '#!/nonexistent/interpreter\n' >"$work/script"
printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0' >"$work/arm"
head -c 100 /dev/zero >>"$work/arm"
chmod +x "$work"/garbage "$work"/truncated "$work"/script "$work"/arm
run 126 'garbage' run -- "$work/garbage"
run 126 'truncated ELF' run -- "$work/truncated"
run 126 'another architecture' run -- "$work/arm"
run 127 'no interpreter' run -- "$work/script"

quire run -- /bin/sh -c 'echo out; echo err >&2' >"$work/out" 2>"$work/err"
check 'standard output alone' [ "$(cat "$work/out")" = out ]
check 'standard error alone' [ "$(cat "$work/err")" = err ]
head -c 3000000 /dev/urandom >"$work/random"
timeout 60 ./quire run -- cat <"$work/random" >"$work/out"
check '3 MB through a guest' cmp -s "$work/random" "$work/out"
check 'the reader leaves early' [ "$(timeout 60 ./quire run -- sh -c 'yes | head -c 100000000' | head -1)" = y ]
check 'working directory' [ "$(cd test && timeout 60 ../quire run --kernel "../$B/quire.elf" -- pwd)" = "$(cd test && pwd)" ]
check 'environment' [ "$(FOO=bar quire run --env 'A=b c' -- sh -c 'echo $FOO $A')" = 'bar b c' ]


# --- the guest's own /tmp, and the host's files below it
t=$(mktemp -d /tmp/quire-test.XXXXXX)
mkdir "$t/a b"
printf '#!/bin/sh\ncat file; touch file 2>/dev/null || echo read-only; cd /tmp; touch x; ls\n' >"$t/program"
chmod +x "$t/program"
echo text >"$t/a b/file"
check 'program and working directory below /tmp' [ "$(quire=$PWD/quire kernel=$PWD/$B/quire.elf; cd "$t/a b" && timeout 60 "$quire" run --kernel "$kernel" -- "$t/program")" = "text
read-only
${t#/tmp/}
x" ]
cp "$t/program" "$t.program"
run 127 'a program right in /tmp' run -- "$t.program"
check 'says why' grep -q '/tmp of its own' "$work/err"
rm -r "$t" "$t.program"

# --- bad input of the user
run 125 'unknown option' run --no-such-option -- /bin/true
run 125 'bad size' run --mem lots -- /bin/true
run 125 'no program' run
run 125 'too many CPUs' run --cpus 9 -- /bin/true
run 125 'unreadable root' run --root /nonexistent -- /bin/true
run 125 'no archive' run --root /bin/true -- /bin/true
run 125 'no such tunable' run --set no.such=1 -- /bin/true
check 'is named' grep -q -- '--set no.such=1' "$work/err"
run 125 'a word of the command itself as a tunable' run --set ncpus=3 -- /bin/true
run 125 'no kernel' run --kernel /nonexistent -- /bin/true
run 125 'too little memory' run --mem 1M -- /bin/true
check 'says how much memory is needed' grep -Eq '[0-9]+ ?(K|M|Ki|Mi)' "$work/err"
PATH=/nowhere /bin/true
run_without_qemu() { PATH=/nowhere ./quire run -- /bin/true >"$work/out" 2>"$work/err"; [ $? = 125 ] && grep -q qemu "$work/err"; }
check 'no QEMU' run_without_qemu

# --- tiny machines
run 0 'a static program in 4 MB' run --mem 4M --cpus 1 -- "$B/user/null"
check 'a shell in 8 MB' [ "$(quire run --mem 8M --cpus 1 -- /bin/busybox sh -c 'echo $((6 * 7))')" = 42 ]

quire run --mem 4M --cpus 1 -- /bin/busybox sh -c 'x=0123456789; while :; do x=$x$x; done' 2>"$work/err"; got=$?
check "killed for want of memory: $got, $(cat "$work/err")" [ $got = 137 ]
check 'says why' grep -q '^quire: .*ran out of memory' "$work/err"
quire run --mem 4M --cpus 1 -- /bin/busybox sh -c '(x=0123456789; while :; do x=$x$x; done); echo $?; kill -9 $$' >"$work/out" 2>"$work/err"; got=$?
check "killed by another, after a child ran out of memory: $got, $(cat "$work/out")" [ "$got $(cat "$work/out")" = '137 137' ]
check "does not blame memory: $(cat "$work/err")" [ "$(grep -c 'ran out of memory' "$work/err")" = 0 ]

# --- nodes: sizes that QEMU would round, rings of a trace that are nobody's memory
check 'odd sizes' [ "$(quire run --mem 65537K --numa 2 --trace "$work/nodes" --trace-size 70001 -- /bin/echo hi)" = hi ]
check 'a node without memory has none with a trace either' \
	[ "$(quire run --numa 64M,0 --trace "$work/nodes" -- /bin/cat /sys/devices/system/node/has_memory)" = 0 ]

# --- accounts
for cpus in 1 2 4; do
	quire run --cpus $cpus --stats -- /bin/sh -c 'for i in 1 2 3 4 5 6 7 8; do ls -lR /etc >/dev/null & done; wait' 2>"$work/err" >/dev/null
	check "every frame is accounted for on $cpus CPUs: $(grep -i account "$work/err")" grep -q 'every frame is accounted for' "$work/err"
done
quire run --stats --json -- /bin/true 2>"$work/err"
check 'JSON' python3 -c 'import json, sys; json.loads(open(sys.argv[1]).read())' "$work/err"

# --- traces; the same run twice
for i in 1 2; do
	quire run --deterministic --trace "$work/trace$i" -- /bin/sh -c 'echo $((1 + 1)); (exit 3); echo /*' >"$work/out$i" 2>"$work/err$i"
done
check 'a trace of some length' [ "$(wc -l <"$work/trace1/trace.txt")" -gt 1000 ]
check 'the same trace twice' cmp -s "$work/trace1/trace.txt" "$work/trace2/trace.txt"
check 'the same output twice' cmp -s "$work/out1" "$work/out2"
# --- packages that are missing, and nobody who may install them: one line, with the command
if [ "$(id -u)" = 0 ]; then
	t=$(mktemp -d /tmp/quire-test.XXXXXX) && chmod 755 "$t" && cp -r scripts packages.txt "$t" && mkdir "$t/bin"
	ln -s "$(command -v id)" "$(command -v dirname)" "$t/bin"
	setpriv --reuid 65534 --clear-groups env PATH="$t/bin" /bin/sh "$t/scripts/packages.sh" run >"$work/out" 2>&1
	check 'missing packages: 125' [ $? = 125 ]
	check "one line: $(cat "$work/out")" [ "$(grep -c . "$work/out")" = 1 ]
	check 'the command' grep -q '^quire: .*apt-get install .*gcc .*qemu-system-x86' "$work/out"
	rm -rf "$t"
fi

# --- a fork bomb: memory runs out, some die, the system lives and ends. (The shell waits without a program: its fork may
# be refused.)
quire run --mem 32M --cpus 2 --stats -- bash -c 'mkfifo /tmp/f; exec 9<>/tmp/f
	b() { b | b & }; (b) 2>/dev/null & read -t 5 -u 9; echo alive' >"$work/out" 2>"$work/err"
got=$?
check "a fork bomb: status $got: $(head -3 "$work/err")" [ $got = 0 -o $got = 137 ]
check 'after it every frame is accounted for' grep -q 'every frame is accounted for' "$work/err"

# --- the log: what machine it is
quire run --log --cpus 2 --mem 64M -- /bin/true >"$work/out" 2>&1
for line in 'command line: .*ncpus=2' 'CPU: .* NX WP' 'memory 0x100000-0x[0-9a-f]* RAM' 'smp: 2 CPUs of 2'; do
	check "--log: $line" grep -q "$line" "$work/out"
done
# --- the log, from inside: a record for each read, and EAGAIN at its end
quire run -- perl -e 'use Fcntl; use Errno; open(W, ">/dev/kmsg") && syswrite(W, "hello log\n"); sysopen(R, "/dev/kmsg", O_RDONLY | O_NONBLOCK) or die;
	while (sysread(R, $r, 4096)) { $bad++ if $r !~ /^6,\d+,\d+,-;[^\n]*\n\z/; $seen = $1 if $r =~ /;(hello.*)/ } print "$seen ", $bad // 0, $!{EAGAIN} ? " again\n" : " end\n"' >"$work/out" 2>&1
check "/dev/kmsg: $(cat "$work/out")" grep -qx 'hello log 0 again' "$work/out"
quire run --log -- /bin/sh -c 'i=0; while [ $i -lt 3000 ]; do echo "line $i of many" >/dev/kmsg; i=$((i+1)); done' 2>&1 |
	(sleep 3; cat) | sed -n 's/.* line \([0-9]*\) of many$/\1/p' >"$work/out"
check 'a slow reader of the log misses nothing' cmp -s "$work/out" <(seq 0 2999)
# --- many processes end in a time that grows as their number; time is instructions
check "chains of vforks: $(quire run --deterministic --mem 512M -- "$B/user/chain" 2>&1 | tee "$work/out")" grep -q ^ok "$work/out"
time_to_kill() { # N: from the first program's end to the last event, with so many sleeping children left
	quire run --deterministic --mem 512M --trace "$work/trace" -- "$B/user/chain" "$1"
	awk '{ sub(/.*\] \.+ +/, ""); t = $1 + 0 } /^[0-9.]+: sched_process_exit: pid=2 / { from = t } END { print t - from }' "$work/trace/trace.txt"
	rm -rf "$work/trace"
}
few=$(time_to_kill 300) many=$(time_to_kill 2400)
check "children left behind: 300 end in $few s, 2400 in $many s" awk "BEGIN { exit !($few > 0 && $many < 14 * $few) }"
check 'nothing lost' [ ! -s "$work/err1" ]
check 'the input of a deterministic run' [ "$(seq 100000 | timeout 60 ./quire run --deterministic --stats -- md5sum 2>"$work/err")" = "$(seq 100000 | md5sum)" ]
check 'whose memory comes back' grep -q 'every frame is accounted for' "$work/err"
check 'no input at all' [ -z "$(quire run --deterministic -- cat)" ]
check 'every line is an event' [ -z "$(grep -v '^#' "$work/trace1/trace.txt" | grep -Ev '^ *.*-[0-9]+ +\[[0-9]+\] [^ ]+ +[0-9]+\.[0-9]+: [a-z_]+: ' | head -1)" ]
quire run --cpus 2 --trace "$work/trace3" -- /bin/sh -c 'i=0; while [ $i -lt 200 ]; do (exit 0); i=$((i + 1)); done' 2>"$work/err"
check 'a live trace on two CPUs has faults' [ "$(grep -c 'page_fault_user' "$work/trace3/trace.txt")" -gt 200 ]
check 'in order of time' awk '!/^#/ && match($0, /[0-9]+\.[0-9]+:/) {t = substr($0, RSTART, RLENGTH - 1) + 0; if (t < last) exit 1; last = t}' "$work/trace3/trace.txt"

# --- archives and folders
mkdir -p "$work/root/bin" "$work/root/data"
cp /bin/busybox "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sh"
head -c 123457 /dev/urandom >"$work/root/data/file"
(cd "$work/root" && find . | cpio --quiet -o -H newc) >"$work/root.cpio"
sum=$(md5sum <"$work/root/data/file")
check 'an archive as the root' [ "$(quire run --root "$work/root.cpio" -- /bin/sh -c 'busybox md5sum </data/file; echo x >/new && busybox cat /new')" = "$sum
x" ]
check 'a folder as the root' [ "$(quire run --root "$work/root" -- /bin/sh -c 'busybox md5sum </data/file; echo x 2>/dev/null >/data/new || echo read-only')" = "$sum
read-only" ]
head -c 50000 "$work/root.cpio" >"$work/cut.cpio"
run 125 'a truncated archive' run --root "$work/cut.cpio" -- /bin/sh
mkdir "$work/w"
quire run --write "$work/w" -- /bin/sh -c "echo kept >'$PWD/$work/w/file'; mkdir '$PWD/$work/w/d'"
check 'a writable folder keeps what was written' [ "$(cat "$work/w/file" 2>/dev/null)" = kept -a -d "$work/w/d" ]

# --- another user than root, whom the guest's kernel must keep from files that QEMU, run by root, may open
if [ "$(id -u)" = 0 ]; then
	check "su nobody: what is root's stays so" [ "$(quire run -- su nobody -s /bin/sh -c 'id -u; cat /etc/shadow; ls /root; head -1 /etc/passwd; echo x >/tmp/x; stat -c %U /tmp/x' 2>"$work/err")" = "65534
$(head -1 /etc/passwd)
nobody" ]
	check "su nobody: refused twice: $(cat "$work/err")" [ "$(grep -c 'Permission denied' "$work/err")" = 2 ]
	# The same in folders of the host, where all but unnamed files and sockets is as on Linux, and so are the files that are left.
	t=$(mktemp -d /tmp/quire-test.XXXXXX) && chmod 755 "$t" && mkdir "$t/linux" "$t/guest" && program=$(realpath "$B/user/permissions")
	most() { sed '/without a name/d; /^sockets/,$d'; }
	files() { (cd "$1" && find . ! -type s -printf '%p %y %m %U %G\n' | sort); }
	(cd "$t/linux" && "$program" 2>&1) | most >"$work/want"
	quire run --write "$t/guest" -- /bin/sh -c "cd '$t/guest' && exec '$program'" 2>&1 | most >"$work/got"
	check "permissions in a writable folder: $(diff "$work/want" "$work/got" | head -5)" cmp -s "$work/want" "$work/got"
	check 'and the files that it left' [ "$(files "$t/linux")" = "$(files "$t/guest")" ]
	# Folders that the host made, of which a walk tells nothing but that they are there.
	mkdir "$t/host" "$t/host/secret" "$t/host/team" && echo x >"$t/host/secret/file"
	chmod 700 "$t/host/secret" && chgrp 4242 "$t/host/team" && chmod 2755 "$t/host/team"
	quire run --write "$t/host" -- /bin/sh -c "cd '$t/host' && echo x >team/file && su nobody -s /bin/sh -c 'cat secret/file'" >"$work/out" 2>&1
	check "a folder of root's on the host: $(cat "$work/out")" grep -q 'secret/file: Permission denied' "$work/out"
	check 'the group of a folder of the host passes on' [ "$(stat -c %g "$t/host/team/file")" = 4242 ]
	rm -rf "$t"
fi

# --- the kernel knows the names of its functions
nm "$B/quire.elf" | grep ' [TtWw] ' | sort >"$work/want"
quire run -- /bin/sh -c 'cat /proc/kallsyms' >"$work/list" 2>"$work/err"
sort "$work/list" >"$work/got"
check "/proc/kallsyms is what nm says: $(diff "$work/want" "$work/got" | head -3)" cmp -s "$work/want" "$work/got"
check 'in the order of addresses' sort -sck1,1 "$work/list"
if [ "$(id -u)" = 0 ]; then
	sed 's/^[^ ]*/0000000000000000/' "$work/list" >"$work/want"
	quire run -- su nobody -s /bin/sh -c 'cat /proc/kallsyms' >"$work/got" 2>"$work/err"
	check 'without CAP_SYSLOG no addresses' cmp -s "$work/want" "$work/got"
fi

# --- a panic: a backtrace by name, and 125
quire run -- /bin/sh -c 'echo c >/proc/sysrq-trigger' >"$work/out" 2>"$work/err"
check "a panic is 125" [ $? = 125 ]
for name in port_panic sysrq_write entry_syscall; do
	check "with a symbolic backtrace: $name" grep -Eq "^\[[ 0-9.]*\]  $name\+0x[0-9a-f]+/0x[0-9a-f]+\$" "$work/err"
done
quire run --log -- /bin/sh -c 'echo c >/proc/sysrq-trigger' >"$work/out" 2>"$work/err"
check 'which --log shows once' [ "$(cat "$work/out" "$work/err" | grep -c '  sysrq_write+0x')" = 1 ]

# --- debug_pagealloc: free frames cannot be reached, and who reaches for one is named
# (deterministic: the log is a file, and comes whole)
pagealloc='--deterministic --mem 64M --kernel build/quire-test.elf --set debug_pagealloc=1 --set page_owner=on'
quire run $pagealloc --selftest=pagealloc >"$work/out" 2>"$work/err"
check "free frames cannot be reached: $(tail -1 "$work/out")" [ $? = 0 ]
quire run $pagealloc --set test.use_after_free=1 --selftest=a_use_after_free >"$work/out" 2>"$work/err"
check 'a use after free is a panic' [ $? = 125 ]
for word in 'use of a free frame in the kernel at read_what_was_freed+0x' 'touched while free' 'page: flags: .*(node=0|zone=' \
	'allocated via order 0, mask .*(GFP_KERNEL), pid' 'last freed by pid'; do
	check "its report: $word" grep -q "$word" "$work/out" "$work/err"
done
check 'by name who allocated, who freed and who reads' [ "$(cat "$work/out" "$work/err" | grep -c '\]  read_what_was_freed+0x')" -ge 3 ]
quire run --mem 256M --set page_owner=on --kernel build/quire-test.elf --selftest=mm/slab/debug:freed_twice >"$work/out" 2>"$work/err"
for word in 'Allocated in unit_run_freed_twice+0x[0-9a-f]*/0x[0-9a-f]* age=' '\]  unit_run_freed_twice+0x' '\]  unit_run_all+0x'; do
	check "a report of an object: $word" grep -q "$word" "$work/out" "$work/err"
done
quire run --mem 64M --cpus 2 --set debug_pagealloc=on --set page_poison=1 -- /bin/sh -c 'ls /bin | wc -l' >"$work/out" 2>&1
check "programs run without free frames: $(tail -1 "$work/out")" grep -qx '[0-9]*' "$work/out"

run 0 'doctor' doctor
run 0 'help' --help
# --- a terminal
out=$(timeout 200 /usr/bin/python3 test/cmd/shell.py)
echo "$out" | grep FAILED
line=$(echo "$out" | tail -1)
passed=$((passed + ${line%% passed*})) failed=$((failed + $(echo "${line#*, }" | cut -d' ' -f1)))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
