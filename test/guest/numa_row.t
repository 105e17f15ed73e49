# Three nodes in a row, 30 from neighbour to neighbour: who has no memory left takes it from the nearest.
# guest only
# options: --cpus 3 --numa 40M,32M,64M:30
cat /sys/devices/system/node/node*/distance
"$USER_BIN"/numa fill 2 80 | sed 's/has [0-9]*/has some/g'
"$USER_BIN"/numa fill 0 44 | sed 's/has [0-9]*/has some/g'
grep -h other_node /sys/devices/system/node/node*/numastat | awk '{print ($2 > 1000)}'
