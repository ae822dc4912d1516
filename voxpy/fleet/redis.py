"""What hosts share in a Redis: each operation is one run of a script there, on its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from coredis import Redis
from coredis.exceptions import RedisError
from coredis.retry import NoRetryPolicy

from voxpy.engine.faults import explain
from voxpy.fleet.port import DEADLINE_S, Store, StoreAway

if TYPE_CHECKING:
    from coredis.commands import Script

CONNECTIONS = 8

# Keys below KEYS[1]: e:KEY is the hash of an entry (value, token, owner, owner's token, end),
# i:FOLDER the names in a folder by their end, q:NAME a queue by when its members are due, c:NAME
# counts by owner. The braces of KEYS[1] put all of them on one node of a cluster.
_SCRIPT = """
local P, op = KEYS[1], ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local call = redis.call
local whole = function(n) return string.format('%.0f', n) end

local function place(key) return P .. ':e:' .. key end
local function folder(key) return P .. ':i:' .. (string.match(key, '^([^/]*)/') or '') end

local function drop(key)
  call('DEL', place(key))
  call('ZREM', folder(key), key)
end

local function living(key)
  local e = call('HMGET', place(key), 'v', 't', 'o', 'ot', 'x')
  if not e[1] or tonumber(e[5]) <= now then return nil end
  if e[3] ~= '' then
    local owner = call('HMGET', place(e[3]), 't', 'o')
    if owner[1] ~= e[4] or owner[2] ~= '' then
      drop(key)
      return nil
    end
  end
  return e
end

local function holds(key, token)
  if key == '' then return true end
  local e = living(key)
  return e and e[2] == token and token ~= '0'
end

local function carries(owner, ot)
  return owner == '' or (holds(owner, ot) and call('HGET', place(owner), 'o') == '')
end

local function write(key, value, token, ttl, owner, ot)
  local ends = now + tonumber(ttl)
  call('HSET', place(key), 'v', value, 't', token, 'o', owner, 'ot', ot, 'x', whole(ends))
  call('PEXPIRE', place(key), ttl)
  call('ZREMRANGEBYSCORE', folder(key), '-inf', now)
  call('ZADD', folder(key), whole(ends), key)
end

-- After a Redis that lost everything tokens go on from a later time, never from one.
local function token()
  call('SET', P .. ':token', whole(now * 1000), 'NX')
  return whole(call('INCR', P .. ':token'))
end

local function shown(key, e)
  return {key, e[1], e[2], whole(tonumber(e[5]) - now), e[5]}
end

local function names(prefix)
  local at = folder(prefix)
  call('ZREMRANGEBYSCORE', at, '-inf', now)
  local found = {}
  for _, key in ipairs(call('ZRANGE', at, 0, -1)) do
    if string.sub(key, 1, #prefix) == prefix then found[#found + 1] = key end
  end
  return found
end

local O = {}

function O.get(key)
  local e = living(key)
  return e and shown(key, e)
end

function O.names(prefix) return names(prefix) end

function O.find(prefix)
  local found = {}
  for _, key in ipairs(names(prefix)) do
    local e = living(key)
    if e then found[#found + 1] = shown(key, e) end
  end
  return found
end

function O.put(key, value, ttl, owner, ot, fence, ft)
  local e = living(key)
  if not carries(owner, ot) or not holds(fence, ft) or (e and e[2] ~= '0') then return false end
  write(key, value, '0', ttl, owner, ot)
  return {key, value, '0', ttl, whole(now + ttl)}
end

function O.remove(key, fence, ft)
  local e = living(key)
  if not e or e[2] ~= '0' or not holds(fence, ft) then return false end
  local was = shown(key, e)
  drop(key)
  return was
end

function O.claim(key, value, ttl, owner, ot)
  if not carries(owner, ot) then return false end
  local e, mine = living(key), nil
  if e then
    if owner == '' or e[1] ~= value or e[2] == '0' or e[3] ~= owner or e[4] ~= ot then
      return false
    end
    mine = e[2]
  end
  mine = mine or token()
  write(key, value, mine, ttl, owner, ot)
  return mine
end

function O.renew(key, mine, ttl, owner, ot, value)
  if not holds(key, mine) or not carries(owner, ot) or key == owner then return 0 end
  local e = living(key)
  if owner == '' then owner, ot = e[3], e[4] end
  write(key, value or e[1], mine, ttl, owner, ot)
  return 1
end

function O.release(key, mine, queue, member, again)
  if not holds(key, mine) then return 0 end
  drop(key)
  if queue ~= '' then
    if again == '' then call('ZREM', P .. ':q:' .. queue, member)
    else call('ZADD', P .. ':q:' .. queue, whole(now + again), member) end
  end
  return 1
end

function O.queue(name, ...)
  local told = {...}
  for n = 1, #told, 2 do
    call('ZADD', P .. ':q:' .. name, whole(now + told[n + 1]), told[n])
  end
  return 1
end

function O.take(name, value, ttl)
  local at, seen = P .. ':q:' .. name, 0
  while true do
    local due = call('ZRANGEBYSCORE', at, '-inf', now, 'LIMIT', seen, 64)
    if #due == 0 then return false end
    for _, member in ipairs(due) do
      local key = name .. '/' .. member
      if not living(key) then
        local mine = token()
        write(key, value, mine, ttl, '', '0')
        return {member, mine}
      end
    end
    seen = seen + #due
  end
end

function O.forget(name)
  call('DEL', P .. ':q:' .. name)
  return 1
end

function O.length(name) return call('ZCARD', P .. ':q:' .. name) end

function O.occupy(name, count, owner, ot, most)
  if not carries(owner, ot) then return false end
  local at, others, mine = P .. ':c:' .. name, 0, 0
  local all = call('HGETALL', at)
  for n = 1, #all, 2 do
    local its, has = string.match(all[n + 1], '^(%d+):(%d+)$')
    if all[n] == owner then
      if its == ot then mine = tonumber(has) end
    elseif carries(all[n], its) then
      others = others + tonumber(has)
    else
      call('HDEL', at, all[n])
    end
  end
  count = tonumber(count)
  if most ~= '' and count > mine and count + others > tonumber(most) then return {0, others} end
  call('HSET', at, owner, ot .. ':' .. whole(count))
  call('PEXPIRE', at, 86400000)
  return {1, others}
end

return O[op](unpack(ARGV, 2))
"""


class RedisStore(Store):
    """Implements ``Store``. ``url`` as every Redis client has it: ``redis://:secret@host:6379/0``.

    Fleets with different names do not see each other. ``run`` must be running.
    """

    def __init__(self, url: str, *, name: str = "voxpy", deadline_s: float = DEADLINE_S) -> None:
        super().__init__()
        self.deadline_s = deadline_s
        self._url = url
        self.name = name
        self._prefix = f"{{{name}}}"
        self._script: Script[bytes] | None = None
        self._ready = trio.Event()
        self._broken = trio.Event()

    async def run(self) -> None:
        """Hold connections until cancelled, new ones after a failure: a pool may lose some."""
        while True:
            client = Redis.from_url(
                self._url,
                decode_components=True,
                max_connections=CONNECTIONS,
                connect_timeout=self.deadline_s,
                retry_policy=NoRetryPolicy(),
                verify_version=False,
            )
            async with client:
                self._broken = trio.Event()
                self._script = client.register_script(_SCRIPT)
                self._ready.set()
                await self._broken.wait()

    def _note(self, up: bool) -> None:
        if not up and self._ready.is_set():
            self._ready = trio.Event()
            self._broken.set()
        super()._note(up)

    async def do(self, operation: str, args: tuple[str | int, ...]) -> Any:
        await self._ready.wait()
        assert self._script is not None
        try:
            return await self._script(keys=[self._prefix], args=[operation, *args])
        except (RedisError, OSError, RuntimeError) as error:  # the last: its pool is closed by now
            raise StoreAway(f"Redis: {explain(error).message}") from error
