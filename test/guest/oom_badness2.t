# Who dies when memory runs out, on 2 CPUs.
# guest only
# options: --mem 32M --cpus 2
"$USER_BIN"/oom
