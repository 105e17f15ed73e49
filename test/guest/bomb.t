# A fork bomb within a user's limit. One without: test/cmd/system.sh.
# guest only
# options: --mem 32M --cpus 2
# needs: bash perl
cat >limited <<'END'
$( = $) = 65534; $< = $> = 65534;
my ($made, $why);
while ($made < 100) {
	my $pid = fork;
	if (!defined $pid) { $why = "$!"; last; }
	if (!$pid) { sleep 100; exit; }
	push @pids, $pid;
	$made++;
}
print "made $made: $why\n";
kill 9, @pids;
waitpid $_, 0 for @pids;
print defined(fork) ? "ok again\n" : "no: $!\n";
END
bash -c 'ulimit -u 20; exec perl limited' | sort -u | sed 's/^made 19: Resource temporarily unavailable$/ok 20 at most/'
