# /proc/self/maps and smaps of a process with a thousand areas: as on Linux, a read gives whole records.
"$USER_BIN"/maps
