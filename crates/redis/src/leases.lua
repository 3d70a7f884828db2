-- Does what `MemoryLeases` of the crate ziggurat-rate-limit does, number by number.
--
-- KEYS[1]  all that is known of one key, packed
-- ARGV     now (0: by this server's clock), instance, number, batch, born, lease, and for each limit
--          name, amount, hold, used, own, ends, least, largest, needed, stock, reset at, resets,
--          how many refunds, and for each of them its place and amount
-- Answers  born, instances, and for each limit granted, used, leased, place, room in, whole in, ends,
--          reset at; -1 is never, or not known
local NEVER = 9007199254740991
local SLICES = 60
local DAY, HOUR, GRACE, LEAST_KEPT = 86400000, 3600000, 60000, 10000
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local at = 0
local function text()
  at = at + 1
  return ARGV[at]
end
local function number()
  return tonumber(text())
end

local now = number()
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
end

-- How a limit is counted, by its name: the kind of its window, and the period.
local kinds = {}
local function kind_of(name)
  local known = kinds[name]
  if not known then
    local kind, per = string.match(name, ':(%a)(%d*)$')
    per = tonumber(per) or 0
    known = { kind, per, max(floor(per / SLICES), 1) }
    kinds[name] = known
  end
  return known[1], known[2], known[3]
end

-- The day of the month, from one; days are counted from the beginning of 1970. The algorithm is
-- `civil_from_days` of Howard Hinnant.
local function day_of_month(days)
  local z = days + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  return doy - floor((153 * mp + 2) / 5) + 1
end

-- When the period ends in which a time is.
local function period_end(name, time)
  local kind, per = kind_of(name)
  local days = floor(time / DAY)
  if kind == 'r' then
    return time + per
  elseif kind == 'd' then
    return (days + 1) * DAY
  elseif kind == 'w' then
    return (days - (days + 3) % 7 + 7) * DAY
  elseif kind == 'm' then
    local later = days - day_of_month(days) + 1 + 31
    return (later - day_of_month(later) + 1) * DAY
  end
  return NEVER
end

-- Until when what is held counts, if the lease expired then.
local function counts_until(name, expired)
  local kind, per = kind_of(name)
  if kind == 'a' then
    return expired
  elseif per > 0 then
    return expired + per
  end
  return period_end(name, expired)
end

-- ===== what is used of a limit =====
-- a: the limit; s: slices; l, t: the level of a bucket, and when; n, e: used, and the period's end;
-- z: when it was reset last

local function new_count()
  return { a = 0, s = {}, l = 0, t = now, n = 0, e = 0, z = 0 }
end

local function advance(name, it)
  local kind, per, width = kind_of(name)
  if kind == 's' then
    local current, ahead = floor(now / width), 0
    for slice, amount in pairs(it.s) do
      if slice > current then
        ahead = ahead + amount
        it.s[slice] = nil
      elseif (slice + 1) * width + per <= now then
        it.s[slice] = nil
      end
    end
    if ahead > 0 then
      it.s[current] = (it.s[current] or 0) + ahead
    end
  elseif kind == 'g' then
    if now > it.t then
      it.l = max(it.l - (now - it.t) * it.a / per, 0)
    end
    it.t = now
  elseif it.e ~= 0 and it.e <= now then
    it.n, it.e = 0, 0
  end
end

local function used_of(name, it)
  local kind = kind_of(name)
  if kind == 's' then
    local sum = 0
    for _, amount in pairs(it.s) do
      sum = sum + amount
    end
    return sum
  elseif kind == 'g' then
    return ceil(it.l)
  end
  return it.n
end

local function charge(name, it, amount)
  local kind, per, width = kind_of(name)
  if kind == 's' then
    local slice = floor(now / width)
    it.s[slice] = min((it.s[slice] or 0) + amount, NEVER)
    return slice
  elseif kind == 'g' then
    it.l = min(it.l + amount, 2 * it.a)
    return now + floor(it.l * per / max(it.a, 1))
  elseif kind == 'a' then
    return 0
  end
  if it.e == 0 then
    it.e = period_end(name, now)
  end
  it.n = min(it.n + amount, NEVER)
  return it.e
end

local function refund(name, it, place, amount)
  local kind, per, width = kind_of(name)
  if kind == 's' then
    place = min(place, floor(now / width))
    if it.s[place] then
      it.s[place] = max(it.s[place] - amount, 0)
      if it.s[place] == 0 then
        it.s[place] = nil
      end
    end
  elseif kind == 'g' then
    local left = max(place - now, 0) * it.a / per
    it.l = max(it.l - min(left, amount), 0)
  elseif it.e == place then
    it.n = max(it.n - amount, 0)
  end
end

local function tolerance(it)
  return 1e-6 + it.a * 1e-15
end

local function room_of(name, it, leased)
  if kind_of(name) == 'g' then
    return max(floor(it.a - it.l - leased + tolerance(it)), 0)
  end
  return max(it.a - (used_of(name, it) + leased), 0)
end

local function period_left(name, it)
  local ends = it.e
  if ends == 0 then
    ends = period_end(name, now)
  end
  if ends == NEVER then
    return -1
  end
  return max(ends - now, 0)
end

local function wait(name, it, need, leased)
  local kind, per, width = kind_of(name)
  if it.a == 0 or need > it.a or kind == 'a' then
    return -1
  end
  if kind == 'g' then
    local excess = it.l + leased + need - it.a
    if excess <= tolerance(it) then
      return 0
    end
    return min(ceil(excess * per / it.a), NEVER)
  end
  local excess = max(used_of(name, it) + leased + need - it.a, 0)
  if excess == 0 then
    return 0
  end
  if kind == 's' then
    local slices = {}
    for slice in pairs(it.s) do
      slices[#slices + 1] = slice
    end
    table.sort(slices)
    for _, slice in ipairs(slices) do
      excess = max(excess - it.s[slice], 0)
      if excess == 0 then
        return (slice + 1) * width + per - now
      end
    end
    return (floor(now / width) + 1) * width + per - now
  end
  return period_left(name, it)
end

local function whole(name, it, leased)
  local kind, per, width = kind_of(name)
  if kind == 'a' then
    return -1
  elseif used_of(name, it) + leased == 0 then
    return 0
  elseif kind == 's' then
    local newest
    if leased == 0 then
      for slice in pairs(it.s) do
        newest = max(newest or 0, slice)
      end
    end
    newest = newest or floor(now / width)
    return max((newest + 1) * width + per - now, 0)
  elseif kind == 'g' then
    if it.a == 0 then
      return -1
    end
    return min(ceil((it.l + leased) * per / it.a), NEVER)
  end
  return period_left(name, it)
end

-- Until when it has to be remembered.
local function remembered(name, it)
  local kind = kind_of(name)
  local time
  if kind ~= 's' and kind ~= 'g' and kind ~= 'a' and it.n > 0 then
    time = it.e == NEVER and NEVER or it.e + GRACE
  else
    time = now + max(whole(name, it, 0), 0)
  end
  if (it.z or 0) > 0 then
    time = max(time, counts_until(name, it.z))
  end
  return time
end

-- ===== what an instance holds =====
-- n, b: the last number and batch; x: when it expires; l: for each limit the amount and the last place

local function kept(it)
  local most = LEAST_KEPT
  for name in pairs(it.l) do
    local kind, per = kind_of(name)
    if kind ~= 'a' then
      most = max(most, per == 0 and HOUR or min(per, HOUR))
    end
  end
  return it.x + most
end

local function holds(it, name)
  local lease = it.l[name]
  if lease and (now < it.x or now < counts_until(name, it.x)) then
    return lease[1]
  end
  return 0
end

-- ===== the request =====

local packed = redis.call('GET', KEYS[1])
local known
if packed then
  local is_good, state = pcall(cmsgpack.unpack, packed)
  if is_good and type(state) == 'table' and state.v == 1 and state.u > now then
    known = state
  end
end
known = known or { v = 1, b = now, u = 0, c = {}, i = {} }
local counts, instances = known.c, known.i

-- Who has not been heard of for long goes. What still counts of what they held is charged.
for id, it in pairs(instances) do
  if kept(it) <= now then
    for name in pairs(it.l) do
      local amount = holds(it, name)
      if amount > 0 then
        counts[name] = counts[name] or new_count()
        advance(name, counts[name])
        charge(name, counts[name], amount)
      end
    end
    instances[id] = nil
  end
end

local id, its_number, batch, born, lease = text(), number(), number(), number(), number()
local own = instances[id]
local is_known = own ~= nil
if not own then
  own = { n = 0, b = 0, x = 0, l = {} }
  instances[id] = own
end
local is_new = not is_known or its_number > own.n
local is_fresh = is_new and (not is_known or batch > own.b)
local is_lost = not is_known and born ~= known.b

local limits = {}
while at < #ARGV do
  local it = {
    name = text(), amount = number(), hold = number(), used = number(), own = number(),
    ends = number(), least = number(), largest = number(), needed = number(), stock = number(),
    reset_at = number(), resets = number(), refunds = {},
  }
  for _ = 1, number() do
    it.refunds[#it.refunds + 1] = { number(), number() }
  end
  limits[#limits + 1] = it
end

if is_new then
  own.n, own.b, own.x = its_number, max(own.b, batch), now + lease
  local leases = {}
  for _, it in ipairs(limits) do
    leases[it.name] = own.l[it.name]
  end
  own.l = leases
end
local alive = 0
for _, it in pairs(instances) do
  if it.x > now then
    alive = alive + 1
  end
end

local answer = { known.b, alive }
for _, asked in ipairs(limits) do
  local name = asked.name
  counts[name] = counts[name] or new_count()
  local count = counts[name]
  count.a, count.z = asked.amount, count.z or 0
  advance(name, count)
  local others = 0
  for other, it in pairs(instances) do
    if other ~= id then
      others = others + holds(it, name)
    end
  end
  own.l[name] = own.l[name] or { 0, 0 }
  local held = own.l[name]
  if is_lost and kind_of(name) == 'r' and count.e == 0 and asked.ends > now then
    local _, per = kind_of(name)
    if asked.ends <= now + per then
      count.e = asked.ends
    end
  end
  if is_fresh then
    local used = asked.own
    if not is_lost then
      used = asked.used
      for _, it in ipairs(asked.reset_at == count.z and asked.refunds or {}) do
        refund(name, count, it[1], it[2])
      end
    end
    if used > 0 then
      held[2] = charge(name, count, used)
    end
  end
  if is_new and asked.resets == 1 and asked.reset_at == count.z and kind_of(name) ~= 'a' then
    local reset = new_count()
    reset.a, reset.z = count.a, max(now, count.z + 1)
    counts[name], count = reset, reset
  end
  local granted = 0
  if is_new then
    held[1] = asked.hold
    local room = room_of(name, count, others + held[1])
    if room >= asked.least then
      granted = min(asked.needed, room)
      granted = granted + min(asked.stock, floor((room - granted) / (2 * max(alive, 1))))
    end
    held[1] = held[1] + granted
  end
  local leased = others + held[1]
  for _, it in ipairs({
    granted, used_of(name, count), leased, held[2],
    wait(name, count, asked.largest, leased), whole(name, count, leased), count.e,
    count.z,
  }) do
    answer[#answer + 1] = it
  end
end

-- ===== what is kept =====

local keep_until = now
for name, it in pairs(counts) do
  local time = remembered(name, it)
  if time > now then
    keep_until = max(keep_until, time)
  else
    counts[name] = nil
  end
end
for _, it in pairs(instances) do
  keep_until = max(keep_until, kept(it))
  for name, held in pairs(it.l) do
    if held[1] > 0 then
      keep_until = max(keep_until, counts_until(name, it.x))
    end
  end
end
known.u = min(keep_until, NEVER)
packed = cmsgpack.pack(known)
if known.u == NEVER then
  redis.call('SET', KEYS[1], packed)
else
  redis.call('SET', KEYS[1], packed, 'PX', string.format('%.0f', known.u - now))
end
return answer
