# Work for the allocator through Perl: prints check sums that depend on every value that was computed.
use strict;
use warnings;
use threads;
use Thread::Queue;

my ($mode, $rounds) = @ARGV;

sub checksum {
  my ($sum) = (0);
  $sum = ($sum * 33 + $_) % 4294967291 for unpack 'C*', $_[0];
  return $sum;
}

sub generator {
  my $state = shift;
  return sub { $state = ($state * 1103515245 + 12345) % 2147483648; return int($state / 65536) % $_[0]; };
}

# Words counted, rewritten by regular expressions, sorted, joined; nested structures built and dropped.
sub labour {
  my ($seed, $size) = @_;
  my $random = generator($seed);
  my (%count, @lines);
  for my $i (1 .. $size) {
    my $word = join '', map { chr 97 + $random->(26) } 1 .. 1 + $random->(12);
    $count{substr $word, 0, 3}{$word} .= "$i,";
    push @lines, "$word " x (1 + $random->(9));
  }
  my $text = join "\n", @lines;
  $text =~ s/(\w)(\w+)/$2$1ay/g;
  $text =~ s/(a+)/"<" . length($1) . ">"/ge;
  my @sorted = sort { length $a <=> length $b || $a cmp $b } split /\s+/, $text;
  my $nested = join ';', map { my $key = $_; "$key=" . join '+', map { "$_:$count{$key}{$_}" } sort keys %{$count{$key}} }
      sort keys %count;
  return checksum(join ' ', @sorted) . '/' . checksum($nested);
}

if ($mode eq 'alone') {
  print "$_ ", labour($_, 30000), "\n" for 1 .. $rounds;
} elsif ($mode eq 'threads') {
  # An interpreter is cloned for each thread; texts go from one to the other through a queue.
  my ($work, $done) = (Thread::Queue->new, Thread::Queue->new);
  my @workers = map {
    threads->create(sub { while (defined(my $seed = $work->dequeue)) { $done->enqueue("$seed " . labour($seed, 6000)); } })
  } 1 .. 4;
  $work->enqueue($_) for 1 .. 4 * $rounds;
  $work->end;
  $_->join for @workers;
  print "$_\n" for sort map { $done->dequeue } 1 .. 4 * $rounds;
} elsif ($mode eq 'forks') {
  my @kept = map { 'x' x $_ } 1 .. 3000;
  for my $round (1 .. 2 * $rounds) {
    pipe my $in, my $out or die "pipe: $!";
    my $child = fork // die "fork: $!";
    if (!$child) {
      print $out labour($round, 5000), ' ', length join('', @kept), "\n";
      close $out;
      exit 0;
    }
    close $out;
    print "$round ", <$in>;
    waitpid $child, 0;
    die "child ended with $?" if $?;
  }
} else {
  die "unknown mode\n";
}
