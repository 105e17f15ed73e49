#!/bin/bash
# run.sh - every test of the tree. Closes with one line "N passed, N failed" and fails if any did.
#
# Suites print their own closing line of that form; this adds them up.
set -u
cd "$(dirname "$0")/.."
B=${B:-build}
passed=0 failed=0

# suite NAME COMMAND...: run, show, and count. A kernel's log, to which tests that provoke errors add much, is shown only on failure.
suite() {
	local name=$1 out status line
	shift
	echo "== $name"
	out=$(mktemp)
	"$@" 2>&1 | tee "$out" | grep --line-buffered -v '^\[ *[0-9]*\.[0-9]*\] '
	status=${PIPESTATUS[0]}
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$out" | tail -1)
	[ "$status" = 0 ] || grep '^\[ *[0-9]*\.[0-9]*\] ' "$out" | tail -200
	rm -f "$out"
	if [ -z "$line" ]; then
		echo "suite $name ended without a result (status $status)"
		failed=$((failed + 1))
		return
	fi
	passed=$((passed + ${line%% passed*}))
	line=${line#*, }
	failed=$((failed + ${line%% failed*}))
	if [ "$status" != 0 ] && [ "${line%% failed*}" = 0 ]; then
		echo "suite $name: status $status"
		failed=$((failed + 1))
	fi
}

suite 'unit tests, hosted, under ASan and UBSan' timeout 900 "$B/unit"
for slab in slab slob; do
	suite "unit tests, hosted, slab=$slab" timeout 900 "$B/unit" --boot slab=$slab
done
suite 'unit tests of frames, hosted, with every check of frames' timeout 900 "$B/unit" \
	--boot 'page_owner=on page_poison=1 debug_guardpage_minorder=1' mm/frame
for minorder in 2 3; do
	suite "frames, hosted, guards beside blocks up to order $minorder" timeout 300 "$B/unit" \
		--boot debug_guardpage_minorder=$minorder mm/frame
done
suite 'frames, hosted, every CPU keeping blocks of all orders' timeout 900 "$B/unit" --boot pcp_blocks=3 mm/frame
suite 'unit tests, hosted, all objects debugged' timeout 900 "$B/unit" --boot slub_debug=FZPU
for slab in slab slob; do
	suite "unit tests of objects, hosted, slab=$slab, all debugged" timeout 900 "$B/unit" \
		--boot "slab=$slab slub_debug=FZPU" mm/slab host/panic
done
suite 'unit tests, hosted, 32 bits with high memory' timeout 900 "$B/unit32"
suite 'CPUs as threads, under TSan' timeout 900 "$B/unit-tsan" host/ mm/
suite 'CPUs by many schedules, a step at every access' timeout 900 "$B/unit-sched" host/
suite 'unit tests, in the kernel' timeout 900 ./quire run --mem 256M --kernel "$B/quire-test.elf" --selftest
suite 'soak of 5 s on 4 CPUs, in the kernel' timeout 300 ./quire run --mem 48M --cpus 4 --kernel "$B/quire-test.elf" \
	--selftest=soak --set soak_seconds=5
suite 'soak of 3 s on 4 CPUs and two nodes, slab=slab, every frame watched' timeout 300 ./quire run --mem 64M --cpus 4 --slab slab \
	--set numa=fake=2 --set page_owner=on --set page_poison=1 --kernel "$B/quire-test.elf" --selftest=soak --set soak_seconds=3
suite 'virtqueues, in the kernel, 1 CPU' timeout 300 ./quire run --mem 256M --cpus 1 --kernel "$B/quire-test.elf" --selftest=virtqueue
suite 'kernel addresses, 4 CPUs' timeout 300 ./quire run --mem 256M --cpus 4 --kernel "$B/quire-test.elf" --selftest=kva
for slab in slub slab slob; do
	suite "unit tests of objects, in the kernel, 2 CPUs, slab=$slab" timeout 600 ./quire run --mem 256M --cpus 2 --slab $slab \
		--kernel "$B/quire-test.elf" --selftest=mm/slab
done
suite 'frames, in a kernel of two nodes' timeout 600 ./quire run --mem 256M --cpus 2 --set numa=fake=2 \
	--set movablecore=25% --set pcp_blocks=3 --kernel "$B/quire-test.elf" --selftest=mm/frame
for t in test/cmd/*.sh; do
	[ -e "$t" ] && suite "$t" timeout 600 bash "$t"
done
suite 'programs in the guest' timeout 1500 test/guest/run.sh
for slab in slab slob; do
	suite "programs in the guest, slab=$slab" env GUEST_OPTIONS="--slab $slab" timeout 600 test/guest/run.sh \
		busybox hello slabinfo threads
done
suite 'programs in the guest, all objects debugged' env GUEST_OPTIONS="--set slub_debug=FZPU" timeout 600 test/guest/run.sh \
	hello threads files
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
