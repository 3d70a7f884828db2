-- Keeps what an instance tells of a gate, sets a part of its capacity aside for it, and tells what
-- the others have told whose time is not up.
--
-- KEYS[1]  a hash: for each instance until when that holds, when it was told, what is set aside, and
--          what it told
-- ARGV     instance, lease in milliseconds, whole, wants, in use, what it tells, how many instances
--          there may be, the longest lease
-- Answers  what is set aside, the time, and for each other instance its name, how long ago it told, what
--          is set aside for it, and what it told; nothing if there are too many
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me, lease, longest = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[8])
local all = redis.call('HGETALL', KEYS[1])
local others, taken = { 0, now }, 0
for i = 1, #all, 2 do
  local name = all[i]
  if name ~= me then
    local till, at, held, told = string.match(all[i + 1], '^(%d+) (%d+) (%d+) (.*)$')
    local left = till and tonumber(till) - now
    if not left or left <= 0 or left > longest then
      redis.call('HDEL', KEYS[1], name)
    else
      local n = #others
      others[n + 1] = name
      others[n + 2] = math.max(now - tonumber(at), 0)
      others[n + 3] = tonumber(held)
      others[n + 4] = told
      taken = taken + tonumber(held)
    end
  end
end
if #others >= 2 + 4 * tonumber(ARGV[7]) then
  return false
end
local free = tonumber(ARGV[3]) - taken
local held = math.max(math.min(tonumber(ARGV[4]), free), tonumber(ARGV[5]))
others[1] = held
if lease == 0 then
  redis.call('HDEL', KEYS[1], me)
else
  local row = string.format('%.0f %.0f %.0f ', now + lease, now, held)
  redis.call('HSET', KEYS[1], me, row .. ARGV[6])
  redis.call('PEXPIRE', KEYS[1], longest)
end
return others
