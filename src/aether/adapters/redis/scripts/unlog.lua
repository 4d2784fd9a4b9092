-- ARGV: function id.
forget_log(ARGV[1])
return 1
