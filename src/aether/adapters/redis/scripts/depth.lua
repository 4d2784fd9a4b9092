-- ARGV: the time of a bare job. Jobs that wait and have time left; of a long queue, the oldest are looked at.
local now, bare_ms = now_ms(), tonumber(ARGV[1])
local function waiting(queue)
  local length = redis.call('LLEN', queue)
  local looked_at = redis.call('LRANGE', queue, -LOOKED_AT, -1)
  for _, raw in ipairs(looked_at) do
    local left = remaining_ms(raw, now, bare_ms)
    if left == nil or left <= 0 then length = length - 1 end
  end
  return length
end
local total = waiting(SHARED)
for _, worker_id in ipairs(redis.call('SMEMBERS', PLACED)) do
  local here = waiting(SHARED .. ':' .. worker_id)
  if here == 0 then redis.call('SREM', PLACED, worker_id) end
  total = total + here
end
return total
