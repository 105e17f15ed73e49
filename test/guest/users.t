# What one user may do to another's processes, and what a set-user-ID program is told: as on Linux.
# options: --mem 64M
# needs: mount
# /tmp of the guest has no set-user-ID programs: a file system of its own has; Linux's scratch folder need not be one.
mkdir m
chmod 755 . ..  m 2>/dev/null
[ "$(uname -r)" = 6.1.0-quire ] && mount -t tmpfs none m
cp "$USER_BIN"/users m/users
"$USER_BIN"/users ./m/users
