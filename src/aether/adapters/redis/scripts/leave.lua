-- ARGV: owner. How many jobs went back.
return retire(ARGV[1])
