# Who may do what to a file: mode bits, groups, capabilities, owners' rights, set-id bits, access(2), programs, /proc. Run by root;
# it becomes other users itself.
# needs: root
cd /dev/shm && mkdir permissions.$$ && cd permissions.$$ && chmod 755 . || exit 1
"$USER_BIN"/permissions
cd .. && rm -rf permissions.$$
