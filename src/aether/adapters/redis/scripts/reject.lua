-- KEYS: taken. ARGV: claim id.
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if raw then
  redis.call('HDEL', KEYS[1], ARGV[1])
  reject(raw)
end
return 1
