-- KEYS: the worker's queue, the shared one, taken. ARGV: claim id, owner, how long it counts as alive,
-- the time of a bare job. {job or false, its remaining_ms, the rejected, 1 if it was the worker's own}.
local taken, claim_id, owner, alive_ms, bare_ms = KEYS[3], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local now, rejected = now_ms(), {}
redis.call('ZADD', OWNERS, string.format('%.0f', now + alive_ms), owner)
for _, queue in ipairs({KEYS[1], KEYS[2]}) do
  local raw = redis.call('RPOP', queue)
  while raw do
    local left, bare = remaining_ms(raw, now, bare_ms)
    if left == nil then
      reject(raw)
      rejected[#rejected + 1] = raw
    elseif left > 0 then
      if bare then raw = stamped(raw, now, left) end
      redis.call('HSET', taken, claim_id, raw)
      return {raw, math.floor(left), rejected, queue == KEYS[1] and 1 or 0}
    end
    raw = redis.call('RPOP', queue)
  end
end
return {false, 0, rejected, 0}
