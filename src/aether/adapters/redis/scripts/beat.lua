-- KEYS: taken. ARGV: owner, how long it counts as alive.
redis.call('ZADD', OWNERS, string.format('%.0f', now_ms() + ARGV[2]), ARGV[1])
return 1
