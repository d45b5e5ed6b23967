# The mechanism of https://github.com/genehack/Git-Wrapper/issues/100, with IPC::Open3 itself: a command's
# output is read to its end before its errors. The command writes more errors than their pipe holds, and
# waits for room; the caller waits for the end of the output.
# The tracer must say: deadlock.
#
# gitwrapper100.pl [SECONDS]
use strict;
use warnings;
use IPC::Open3;
use Symbol 'gensym';

my $seconds = shift // $ENV{WORKLOAD_SECONDS} // 6;
my $command = 'alarm shift; syswrite STDERR, "x" x (1 << 20); print "done\n"';
my $pid = open3(my $in, my $out, my $err = gensym, $^X, '-e', $command, $seconds);
syswrite STDOUT, "stuck=$pid\n";
my @output = <$out>;
my @errors = <$err>;
waitpid $pid, 0;
