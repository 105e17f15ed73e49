# Programs, threads, signals, timers, mappings: with allocation 1, 2, 3 ... failing, nothing crashes and nothing is kept.
# guest only
# options: --cpus 1 --mem 128M
"$USER_BIN"/failing_tasks
