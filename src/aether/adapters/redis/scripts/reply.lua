-- KEYS: the stream. ARGV: reply, how many are kept, for how many seconds after the last.
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'reply', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
