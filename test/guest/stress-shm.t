# stress-ng shm with verification, 10 s on 2 CPUs.
# guest only
# options: --mem 512M --cpus 2
# needs: stress-ng
# timeout: 240
stress-ng --shm 2 --shm-bytes 2M --verify --timeout 10 --temp-path /tmp >log 2>&1
s=$?
grep -Ei 'fail|error|warn' log | head -5
grep -q 'successful run completed' log && [ $s = 0 ] && echo ok || { echo "status $s"; tail -20 log; }
