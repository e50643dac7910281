-- KEYS[1]: a number, or nothing. ARGV: what is added, milliseconds it lives if it begins now (0: for ever).
-- Returns the sum as text; nothing when the value is no number.
local old = redis.call('GET', KEYS[1])
local function whole(text) return string.match(text, '^%-?%d+$') ~= nil end
if old and not (whole(old) or tonumber(old) and string.match(old, '^%-?%d[%d.eE+-]*$')) then return false end
if (not old or whole(old)) and whole(ARGV[1]) then
  redis.call('INCRBY', KEYS[1], ARGV[1])
else
  redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])
end
if not old and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
