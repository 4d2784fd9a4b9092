local LOOKED_AT = 1000
local KEPT_REJECTED = 1000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What is left of a job's time; `bare_ms` for one without a deadline; nil for what is no job.
local function remaining_ms(raw, now, bare_ms)
  local read, job = pcall(cjson.decode, raw)
  if not read or type(job) ~= 'table' then return nil end
  if type(job.remaining_ms) ~= 'number' then return bare_ms, true end
  if type(job.enqueued_at) ~= 'number' then return job.remaining_ms, true end
  return job.remaining_ms - (now - job.enqueued_at), false
end

-- The job with its deadline in it: putting it back must not prolong it.
local function stamped(raw, now, left)
  local object = string.match(raw, '^%s*({.*)}%s*$')
  if not object then return raw end
  local comma = string.match(object, '^{%s*$') and '' or ','
  return object .. comma .. string.format('"remaining_ms":%.0f,"enqueued_at":%.0f}', left, now)
end

local function reject(raw)
  redis.call('LPUSH', REJECTED, raw)
  redis.call('LTRIM', REJECTED, 0, KEPT_REJECTED - 1)
end

-- To the end that is taken from.
local function give_back(taken, claim_id)
  local raw = redis.call('HGET', taken, claim_id)
  if not raw then return 0 end
  redis.call('HDEL', taken, claim_id)
  redis.call('RPUSH', SHARED, raw)
  return 1
end

-- What a worker took and has not done goes back, and so does what was placed on it, unless it lives on
-- under another name.
local function retire(owner)
  local taken, returned = TAKEN .. owner, 0
  for _, claim_id in ipairs(redis.call('HKEYS', taken)) do
    returned = returned + give_back(taken, claim_id)
  end
  redis.call('ZREM', OWNERS, owner)
  local worker_id = string.match(owner, '^(.*)/[^/]*$')
  for _, other in ipairs(redis.call('ZRANGE', OWNERS, 0, -1)) do
    if string.match(other, '^(.*)/[^/]*$') == worker_id then return returned end
  end
  local queue = SHARED .. ':' .. worker_id
  local raw = redis.call('LPOP', queue)
  while raw do
    redis.call('RPUSH', SHARED, raw)
    returned = returned + 1
    raw = redis.call('LPOP', queue)
  end
  redis.call('SREM', PLACED, worker_id)
  return returned
end

-- What functions print: the bytes of each stream are noted, and their sum.
local function log_bytes(stream)
  return redis.call('MEMORY', 'USAGE', stream) or 0
end

local function note_log_bytes(id, size)
  local before = tonumber(redis.call('HGET', LOG_BYTES, id) or '0')
  redis.call('HSET', LOG_BYTES, id, size)
  redis.call('INCRBY', LOG_TOTAL, size - before)
end

local function forget_log(id)
  note_log_bytes(id, 0)
  redis.call('HDEL', LOG_BYTES, id)
  redis.call('ZREM', LOG_USE, id)
  redis.call('DEL', LOGS .. id)
end
