-- Counts against limits, in one step: either all of them are charged or none.
--
-- KEYS: a counter each. ARGV: "check" (charge if all have room), "peek" (charge nothing) or "debit" (charge in any case),
-- then for each counter: how many rates, what there must be room for, what is charged; and for each of its rates: window,
-- limit, count, period in microseconds, four edges of calendar windows around now.
-- Returns the place of the first rate without room (-1: none), then for each rate: left, microseconds until all of it is
-- there again, microseconds until there would be room.
--
-- A counter is one text, a part for each rate: "window number number …". It says what was used, so that a rate may
-- change. A bucket is the generic cell rate algorithm; it keeps how much is in it and since when, which is the time of
-- arrival that GCRA keeps divided by the interval. Time is the server's, never a gateway's.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
-- Uses of a sliding window told apart; beyond, neighbours become one, as late as the later.
local FINE = 64
-- What arithmetic on fractions may leave over.
local DUST = 0.000001

local verb, at = ARGV[1], 1
local function argument()
  at = at + 1
  return ARGV[at]
end
local function number() return tonumber(argument()) end

-- The window of the calendar that now is in.
local function place(rate)
  local edges = rate.edges
  if now < edges[2] then return edges[1], edges[2] end
  if now >= edges[3] then return edges[3], edges[4] end
  return edges[2], edges[3]
end

local function used(state, rate)
  if rate.window == 'sliding' then
    local sum = 0
    for i = 2, #state, 2 do sum = sum + state[i] end
    return sum
  end
  return math.max(0, math.ceil(state[2] - DUST))
end

-- What a state written for another kind of window comes to in this one.
local function adopt(parts)
  local sum = 0
  if parts.window == 'sliding' then
    for i = 2, #parts, 2 do sum = sum + parts[i] end
  elseif #parts == 2 then
    sum = math.ceil(parts[2] - DUST)
  end
  return math.max(0, sum)
end

local function fresh(rate, amount)
  if rate.window == 'calendar' then return { (place(rate)), amount } end
  if rate.window == 'sliding' and amount == 0 then return {} end
  return { now, amount }
end

-- Forgets what is over.
local function settle(parts, rate)
  if not parts then return fresh(rate, 0) end
  if parts.window ~= rate.window then return fresh(rate, adopt(parts)) end
  local state = {}
  if rate.window == 'sliding' then
    for i = 1, #parts, 2 do
      if now - parts[i] < rate.period then
        state[#state + 1] = parts[i]
        state[#state + 1] = parts[i + 1]
      end
    end
    return state
  end
  local since, amount = parts[1], parts[2]
  if rate.window == 'bucket' then
    return { math.max(since, now), math.max(0, amount - math.max(0, now - since) * rate.count / rate.period) }
  end
  if rate.window == 'fixed' then
    if now - since >= rate.period then return { now, 0 } end
    return { since, amount }
  end
  local begin = place(rate)
  if begin > since then return { begin, 0 } end
  return { since, amount }
end

local function charge(state, rate, cost)
  if cost == 0 then return end
  if rate.window ~= 'sliding' then
    state[2] = state[2] + cost
    return
  end
  local last = #state - 1
  if last > 0 and state[last] >= now then
    state[last + 1] = state[last + 1] + cost
    return
  end
  state[#state + 1] = now
  state[#state + 1] = cost
  if #state <= 2 * FINE then return end
  local slot, into = rate.period / (FINE - 1), 0
  for i = 1, #state, 2 do
    if into > 0 and math.floor(state[into] / slot) == math.floor(state[i] / slot) then
      state[into] = state[i]
      state[into + 1] = state[into + 1] + state[i + 1]
    else
      into = into == 0 and 1 or into + 2
      state[into] = state[i]
      state[into + 1] = state[i + 1]
    end
  end
  for i = #state, into + 2, -1 do state[i] = nil end
end

-- Until nothing of it is used.
local function empty(state, rate)
  if used(state, rate) == 0 and rate.window ~= 'bucket' then return 0 end
  if rate.window == 'bucket' then return math.ceil(state[2] * rate.period / rate.count) end
  if rate.window == 'sliding' then return math.max(0, state[#state - 1] + rate.period - now) end
  if rate.window == 'fixed' then return math.max(0, state[1] + rate.period - now) end
  local _, finish = place(rate)
  return math.max(0, finish - now)
end

-- Until there is room for `cost`; one above the limit waits until all is there.
local function room(state, rate, cost)
  cost = math.min(cost, rate.limit)
  if rate.window == 'bucket' then
    return math.max(0, math.ceil((state[2] + cost - rate.limit) * rate.period / rate.count))
  end
  if rate.window == 'sliding' then
    local over, sum = used(state, rate) + cost - rate.limit, 0
    for i = 1, #state, 2 do
      sum = sum + state[i + 1]
      if sum >= over then return math.max(0, state[i] + rate.period - now) end
    end
  end
  return empty(state, rate)
end

local function read(text)
  local counter = {}
  for part in string.gmatch(text or '', '[^|]+') do
    local state = {}
    for word in string.gmatch(part, '%S+') do
      if state.window then state[#state + 1] = tonumber(word) or 0 else state.window = word end
    end
    counter[#counter + 1] = state
  end
  return counter
end

local asks, counters, told = {}, {}, { -1 }
for i = 1, #KEYS do
  local ask = { key = KEYS[i], rates = {} }
  local rates = number()
  ask.need, ask.cost = number(), number()
  counters[ask.key] = counters[ask.key] or { states = read(redis.call('GET', ask.key)), asked = 0 }
  for j = 1, rates do
    local rate = { window = argument(), limit = number(), count = number(), period = number() }
    rate.edges = { number(), number(), number(), number() }
    ask.rates[j] = rate
  end
  asks[i] = ask
end

-- Says what every rate has to say of `cost(ask)`.
local function decide(cost)
  told = { -1 }
  for _, ask in ipairs(asks) do
    local states, wanted = counters[ask.key].states, cost(ask)
    for j, rate in ipairs(ask.rates) do
      local state = states[j]
      local taken = used(state, rate)
      local ok = taken <= rate.limit and wanted <= rate.limit - taken
      if not ok and told[1] < 0 then told[1] = (#told - 1) / 3 end
      told[#told + 1] = math.max(0, rate.limit - taken)
      told[#told + 1] = empty(state, rate)
      told[#told + 1] = ok and 0 or room(state, rate, wanted)
    end
  end
end

for _, ask in ipairs(asks) do
  local states = counters[ask.key].states
  for j, rate in ipairs(ask.rates) do
    local settled = settle(states[j], rate)
    settled.window = rate.window
    states[j] = settled
  end
end

-- The same counter asked twice must have room for both.
decide(function(ask)
  local counter = counters[ask.key]
  counter.asked = counter.asked + ask.need
  return counter.asked
end)

if verb == 'debit' or verb == 'check' and told[1] < 0 then
  for _, ask in ipairs(asks) do
    local counter = counters[ask.key]
    for j, rate in ipairs(ask.rates) do
      charge(counter.states[j], rate, ask.cost)
      counter.lives = math.max(counter.lives or 0, empty(counter.states[j], rate))
    end
  end
  decide(function() return 0 end)
  told[1] = -1
  for key, counter in pairs(counters) do
    local parts = {}
    for j, state in ipairs(counter.states) do
      local words = { state.window }
      for _, value in ipairs(state) do
        words[#words + 1] = string.format(value == math.floor(value) and '%.0f' or '%.6f', value)
      end
      parts[j] = table.concat(words, ' ')
    end
    local lives = math.ceil((counter.lives or 0) / 1000)
    if lives > 0 then
      redis.call('SET', key, table.concat(parts, '|'), 'PX', string.format('%.0f', lives + 1))
    else
      redis.call('DEL', key)
    end
  end
end

for i, value in ipairs(told) do told[i] = string.format('%.0f', value) end
return told
