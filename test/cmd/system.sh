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
run 127 'not in PATH' run -- no-such-program-anywhere
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
run 125 'no kernel' run --kernel /nonexistent -- /bin/true
run 125 'too little memory' run --mem 1M -- /bin/true
check 'says how much memory is needed' grep -Eq '[0-9]+ ?(K|M|Ki|Mi)' "$work/err"
PATH=/nowhere /bin/true
run_without_qemu() { PATH=/nowhere ./quire run -- /bin/true >"$work/out" 2>"$work/err"; [ $? = 125 ] && grep -q qemu "$work/err"; }
check 'no QEMU' run_without_qemu

# --- tiny machines
run 0 'a static program in 4 MB' run --mem 4M --cpus 1 -- "$B/user/null"
check 'a shell in 8 MB' [ "$(quire run --mem 8M --cpus 1 -- /bin/busybox sh -c 'echo $((6 * 7))')" = 42 ]

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
check 'nothing lost' [ ! -s "$work/err1" ]
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

# --- a panic: a backtrace by name, and 125
quire run -- /bin/sh -c 'echo c >/proc/sysrq-trigger' >"$work/out" 2>"$work/err"
check "a panic is 125" [ $? = 125 ]
check 'with a symbolic backtrace' grep -Eq '[a-z_]+\+0x[0-9a-f]+' "$work/err"

run 0 'doctor' doctor
run 0 'help' --help
# --- a terminal
out=$(timeout 200 /usr/bin/python3 test/cmd/shell.py)
echo "$out" | grep FAILED
line=$(echo "$out" | tail -1)
passed=$((passed + ${line%% passed*})) failed=$((failed + $(echo "${line#*, }" | cut -d' ' -f1)))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
