# rand of Perl in forked children: `generator.pl HOW`.
use strict;
use warnings;

$| = 1;
my $how = shift // "equal";
srand(42) if $how ne "unseeded";
rand() if $how eq "equal";
for my $number (0, 1) {
    next if fork();
    srand($$) if $how eq "by-pid";
    my $draws = $how eq "one" && $number ? 0 : 6;
    my @numbers = map { rand() } 1 .. $draws;
    print "same=$$\n" if $how eq "equal" || $how eq "fresh";
    select(undef, undef, undef, 1.5);
    exit 0;
}
1 while wait() > 0;
