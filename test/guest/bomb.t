# Fork bombs: a user's limit holds; without one memory runs out, those that ask for it die, and the rest lives and ends.
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
# This one only sleeps, and needs no memory for that.
exec perl -e '$| = 1; if (!fork) { open STDERR, ">/dev/null"; exec "bash", "-c", "b() { b | b & }; b" } sleep 5; print "ok alive\n"'
