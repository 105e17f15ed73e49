# busybox sh: pipes, redirections, background jobs, here documents, traps, fork loops.
# needs: busybox
cat >script <<'S'
set -u
echo one | cat | tr a-z A-Z
for i in 1 2 3 4 5; do echo $i; done | busybox sort -r | busybox head -3
echo out >file; echo more >>file; cat <file
ls /nonexistent 2>err; echo "status $?"; wc -l <err
(sleep 0.1; echo late >late) & wait; cat late
(exit 3) & p=$!; wait $p; echo "waited $?"
cat <<EOF
here $((6 * 7))
EOF
trap 'echo trapped' USR1; kill -USR1 $$; echo after
n=0; while [ $n -lt 300 ]; do n=$((n + 1)); (exit 0); done; echo "forked $n"
seq 1 2000 | while read x; do echo $((x * 2)); done | busybox md5sum
x=$(busybox find /usr/share/doc -name copyright | busybox sort | busybox md5sum); echo "$x"
busybox dd if=/dev/zero bs=4096 count=500 2>/dev/null | busybox sha256sum
mkdir -p a/b/c && touch a/b/c/d && ln -s b a/link && ls -R a && rm -r a && ls
sh -c 'kill -9 $$'; echo "killed $?"
yes | head -1000000 | busybox wc
printf 'x%.0s' 1 2 3 | busybox od -c
mkfifo pipe; (echo through >pipe) & cat pipe; wait
echo "$0" "$#"
S
busybox sh script
