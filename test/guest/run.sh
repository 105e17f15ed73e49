#!/bin/bash
# run.sh [NAME...] - the guest tests: each test/guest/NAME.t is a shell script that is run twice, by Linux on this
# machine and by Quire, and must print the same and end with the same status.
#
# Words in a test's first comment lines:
#   # options: --mem 64M ...   for `quire run`
#   # needs: COMMAND...        skipped, visibly, where one is missing; the word root: where another user runs the tests
#   # guest only               not run on Linux; its output must be NAME.out, or else every line must begin "ok"
#   # timeout: SECONDS         for the guest; default 300: against hanging, on a busy machine too
# GUEST_OPTIONS in the environment: more options for `quire run`, e.g. "--slab slob".
# A test finds the built programs in $USER_BIN and works in a scratch folder of its own.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
B=${B:-build}
case $B in /*) ;; *) B=$top/$B ;; esac
export USER_BIN=$B/user LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset LD_LIBRARY_PATH LD_PRELOAD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

field() { # FILE WORD: the rest of the line "# WORD: ..."
	sed -n "1,8s/^# $2: *//p" "$1" | head -1
}

missing() { # FILE: what it needs first and is not there
	local c
	for c in $(field "$1" needs); do
		case $c in
		root) [ "$(id -u)" = 0 ] || { echo "only root can run it on Linux"; return; } ;;
		*) command -v "$c" >/dev/null 2>&1 || { echo "$c is not installed"; return; } ;;
		esac
	done
}

expect() { # FILE NAME: what the guest must print, with its status as the last line
	if grep -q '^# guest only' "$1"; then
		[ -e "${1%.t}.out" ] && cat "${1%.t}.out"
		return
	fi
	mkdir "$work/$2.d"
	(cd "$work/$2.d" && TMPDIR=$work/$2.d timeout 300 /bin/sh "$top/$1" 2>&1; echo "status $?")
}

one() { # FILE: prints one line of result
	local t=$1 name start limit options status
	name=$(basename "$t" .t)
	start=$(date +%s.%N)
	limit=$(field "$t" timeout)
	options=$(field "$t" options)
	expect "$t" "$name" >"$work/$name.want"
	(cd "$top" && timeout -k 5 "${limit:-300}" "$top/quire" run --kernel "$B/quire.elf" $options ${GUEST_OPTIONS:-} -- /bin/sh -c \
		'mkdir -p /tmp/t && cd /tmp/t && TMPDIR=/tmp/t exec /bin/sh "$0" 2>&1' "$top/$t" \
		</dev/null >"$work/$name.got" 2>&1; echo "status $?" >>"$work/$name.got")
	if [ ! -s "$work/$name.want" ]; then # guest only, and it judges itself
		status=$(grep -v '^ok' "$work/$name.got" | grep -v '^status 0$' | head -20)
		[ "$(wc -l <"$work/$name.got")" -gt 1 ] || status="it printed nothing"
	else
		status=$(diff "$work/$name.want" "$work/$name.got" | head -20)
	fi
	start=$(echo "$(date +%s.%N) $start" | awk '{printf "%.1f s", $1 - $2}')
	if [ -z "$status" ]; then
		echo "ok      $name ($start)"
	else
		printf 'FAILED  %s (%s)\n%s\n' "$name" "$start" "$(echo "$status" | sed 's/^/        /')"
	fi
}

tests=()
if [ $# -gt 0 ]; then
	for n in "$@"; do tests+=("test/guest/$(basename "$n" .t).t"); done
else
	tests=(test/guest/*.t)
fi
: >"$work/results"
running=0
for t in "${tests[@]}"; do
	[ -e "$t" ] || { echo "FAILED  $t: no such test" | tee -a "$work/results"; continue; }
	m=$(missing "$t")
	if [ -n "$m" ]; then
		echo "skipped $(basename "$t" .t): $m" | tee -a "$work/results"
		continue
	fi
	one "$t" | tee -a "$work/results" &
	running=$((running + 1))
	[ $((running % 2)) = 0 ] && wait -n
done
wait
p=$(grep -c '^ok ' "$work/results")
f=$(grep -c '^FAILED' "$work/results")
s=$(grep -c '^skipped' "$work/results")
[ "$s" = 0 ] || echo "$s skipped"
echo "$p passed, $f failed"
[ "$f" = 0 ]
