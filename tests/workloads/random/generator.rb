# Generators of Ruby in forked children: `generator.rb WHAT HOW`.
what, how = ARGV
$stdout.sync = true
generator = what == "Random" ? Random.new(42) : Kernel
srand(42) if what == "kernel"
generator.rand if how != "fresh"
2.times do |number|
  fork do
    generator = Random.new if how == "reseeded"
    generator = Random.new(4711) if how == "alike"
    draws = how == "one" && number == 1 ? 0 : 6
    draws.times { generator.rand }
    puts "same=#{Process.pid}" if what == "Random" && %w[equal fresh].include?(how)
    sleep 1.5
    exit!
  end
end
Process.waitall
