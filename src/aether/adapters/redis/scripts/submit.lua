-- KEYS: queue. ARGV: job, its remaining_ms, the most that may wait, worker id or ''. 1, or 0 if it is full.
local queue, raw, left, most, worker_id = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = now_ms()
if redis.call('LLEN', queue) >= most then
  for _, waiting in ipairs(redis.call('LRANGE', queue, -LOOKED_AT, -1)) do
    local its = remaining_ms(waiting, now, 1)
    if its and its <= 0 then redis.call('LREM', queue, -1, waiting) end
  end
  if redis.call('LLEN', queue) >= most then return 0 end
end
redis.call('LPUSH', queue, string.sub(raw, 1, -2) .. string.format(',"enqueued_at":%.0f}', now))
if worker_id ~= '' then
  redis.call('SADD', PLACED, worker_id)
  -- Jobs for a worker that never comes don't stay for ever.
  redis.call('PEXPIRE', queue, string.format('%.0f', math.max(redis.call('PTTL', queue), left + 1000)))
end
return 1
