# Signals: masks, queues, what a handler is told and finds, timers, robust locks, defaults: as on Linux.
# options: --mem 64M --cpus 2
"$USER_BIN"/signals
