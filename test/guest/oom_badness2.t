# Who dies when memory runs out, on 2 CPUs.
# guest only
# options: --mem 32M --cpus 2
# The shell has more than most of the children, and would be next when a victim that sleeps is passed over.
echo -1000 >/proc/$$/oom_score_adj
"$USER_BIN"/oom
