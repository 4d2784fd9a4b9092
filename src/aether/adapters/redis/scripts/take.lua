-- KEYS: the worker's queue, the shared one, taken. ARGV: claim id, owner, how long it counts as alive,
-- the time of a bare job; then, unless anything will do, MiB that are free, MiB beside each instance,
-- instances at most, and runtimes: what of the shared queue needs more is left where it is.
-- {job or false, its remaining_ms, the rejected, 1 if it was the worker's own, how many were left}.
local own, shared, taken = KEYS[1], KEYS[2], KEYS[3]
local claim_id, owner, alive_ms, bare_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local free, beside, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now, rejected, left_there = now_ms(), {}, 0
redis.call('ZADD', OWNERS, string.format('%.0f', now + alive_ms), owner)

local function fits(raw)
  local job = cjson.decode(raw)
  local count, memory_mb = tonumber(job.count) or 1, tonumber(job.memory_mb) or 128
  if count < 1 then count = 1 end
  -- More than any function may have is garbage, and for the reader to reject.
  if count > 1000 or memory_mb > 16384 then return true end
  if count > most or count * (memory_mb + beside) > free then return false end
  local runtime = type(job.runtime) == 'string' and job.runtime or 'node'
  for place = 8, #ARGV do
    if ARGV[place] == runtime then return true end
  end
  return false
end

local function remove(queue, raw, place)
  if place == 0 then redis.call('RPOP', queue) else redis.call('LREM', queue, -1, raw) end
end

for _, queue in ipairs({own, shared}) do
  local place = 0
  local raw = redis.call('LINDEX', queue, -1)
  while raw and place < LOOKED_AT do
    local left, bare = remaining_ms(raw, now, bare_ms)
    if left == nil then
      remove(queue, raw, place)
      reject(raw)
      rejected[#rejected + 1] = raw
    elseif left <= 0 then
      remove(queue, raw, place)
    elseif free and queue == shared and not fits(raw) then
      -- With its time in it: what nobody can do has to vanish at last.
      if bare then redis.call('LSET', queue, -1 - place, stamped(raw, now, left)) end
      place = place + 1
      left_there = left_there + 1
    else
      remove(queue, raw, place)
      if bare then raw = stamped(raw, now, left) end
      redis.call('HSET', taken, claim_id, raw)
      return {raw, math.floor(left), rejected, queue == own and 1 or 0, left_there}
    end
    raw = redis.call('LINDEX', queue, -1 - place)
  end
end
return {false, 0, rejected, 0, left_there}
