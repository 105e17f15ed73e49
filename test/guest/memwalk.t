# Random walks of the memory calls; every answer and all contents as on Linux.
# options: --mem 96M --cpus 2
for seed in 1 2 3 4 5 6; do
	echo "== $seed"
	"$USER_BIN"/memwalk $seed 1000
done
