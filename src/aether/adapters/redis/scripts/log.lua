-- KEYS: stream. ARGV: function id, most lines, most bytes, most bytes of all functions; five for each line.
local stream, id = KEYS[1], ARGV[1]
local most_bytes, most_of_all = tonumber(ARGV[3]), tonumber(ARGV[4])
for at = 5, #ARGV, 5 do
  redis.call('XADD', stream, 'MAXLEN', '~', ARGV[2], '*', 'at', ARGV[at], 'instance', ARGV[at + 1],
    'stream', ARGV[at + 2], 'call', ARGV[at + 3], 'text', ARGV[at + 4])
end
-- What is over is told by proportion: lines are not all of a length.
local size = log_bytes(stream)
for _ = 1, 10 do
  if size <= most_bytes then break end
  local length = redis.call('XLEN', stream)
  redis.call('XTRIM', stream, 'MAXLEN', math.max(1, math.floor(length * most_bytes / size * 0.9)))
  if length <= 1 then break end
  size = log_bytes(stream)
end
note_log_bytes(id, size)
redis.call('ZADD', LOG_USE, now_ms(), id)
-- Who printed longest ago loses its older half.
for _ = 1, 100 do
  if tonumber(redis.call('GET', LOG_TOTAL) or '0') <= most_of_all then break end
  local quiet = redis.call('ZRANGE', LOG_USE, 0, 0)[1]
  if not quiet then
    redis.call('DEL', LOG_TOTAL)
    break
  end
  local length = redis.call('XLEN', LOGS .. quiet)
  if length > 1 then
    redis.call('XTRIM', LOGS .. quiet, 'MAXLEN', math.floor(length / 2))
    note_log_bytes(quiet, log_bytes(LOGS .. quiet))
  else
    forget_log(quiet)
  end
end
return 1
