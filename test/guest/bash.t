# bash: process substitution, coprocesses, traps, jobs, arrays, here strings, file descriptors by number.
# needs: bash
cat >script <<'S'
diff <(echo a) <(echo b); echo "diff $?"
exec 3< <(echo left behind); sleep 0.3
cat /dev/fd/3; echo "writer gone, opened again: $?"
exec 3<&-
seq 1 5 | { read first; cat /dev/fd/0; echo "first $first"; }
seq 1 1000 > >(cksum >sum); until [ "$(wc -l <sum)" = 1 ]; do sleep 0.1; done; cat sum
coproc cat; echo hi >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo "coproc $x"; eval "exec ${COPROC[1]}>&-"; wait
trap 'echo usr1' USR1; kill -USR1 $$; trap - USR1
(trap 'echo leaving' EXIT)
(trap '' TERM; kill -TERM $BASHPID; echo "ignored") ; (kill -TERM $BASHPID; echo not reached); echo "term $?"
cat <<<"here $((6 * 7))"
a=(one two three); a+=(four); echo "${#a[@]} ${a[-1]} ${a[@]:1:2}"
declare -A m=([k]=v [l]=w); for k in k l; do echo "$k=${m[$k]}"; done
sleep 0.2 & sleep 5 & kill $!; wait $!; echo "killed $?"; wait; jobs | wc -l
for i in 1 2 3 4 5 6 7 8; do (exit $i) & p[i]=$!; done; for i in 1 2 3 4 5 6 7 8; do wait ${p[i]}; printf '%s ' $?; done; echo
set -o pipefail; false | true; echo "pipefail $?"; true | sh -c 'exit 7' | cat; echo "${PIPESTATUS[*]}"
read -t 0.1 -r y < <(sleep 1); echo "timed out $(($? > 128))"
printf '%s\n' {a..c}{1..2} | paste -sd ' '
mapfile -t lines < <(seq 10 13); echo "${lines[@]}"
(ulimit -n 20; exec 19</dev/null && echo "19 open"; { exec 21</dev/null; } 2>/dev/null || echo "21 refused")
S
bash script
