# Who dies when memory runs out, on 1 CPU.
# guest only
# options: --mem 32M --cpus 1
"$USER_BIN"/oom
