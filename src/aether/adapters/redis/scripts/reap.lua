-- Jobs of the dead go back. ARGV: owners at most. How many jobs.
local returned = 0
local now = string.format('%.0f', now_ms())
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', OWNERS, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  returned = returned + retire(owner)
end
return returned
