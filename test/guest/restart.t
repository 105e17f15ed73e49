# Which calls go on after a signal's handler, with SA_RESTART and without: as on Linux.
# options: --mem 64M
"$USER_BIN"/restart
