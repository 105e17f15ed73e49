# The firmware tells of two nodes, and numa=off says one.
# options: --cpus 2 --mem 128M --numa 2 --set numa=off
# guest only
cat /sys/devices/system/node/online /sys/devices/system/node/node0/cpulist
grep -h MemTotal /sys/devices/system/node/node*/meminfo | awk '{print ($4 > 120000)}'
