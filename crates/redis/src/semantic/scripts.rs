//! What a server does with a partition: a hash of vectors, numbered in the order in which they came,
//! and one of answers.
//!
//! The first hash says of itself which one it is (`epoch`, anew whenever it begins empty), and which
//! numbers there are (`first`, `last`). A vector has before it when it was kept, until when it holds,
//! both in milliseconds, how many bytes it takes with its answer, and the name of its answer. Names
//! are random: after a fail-over that has lost the last writes, a number comes again, and a name does
//! not.

use std::sync::LazyLock;

use crate::Script;

/// Keeps an answer, and drops the oldest for it. The arguments are a name, which a new partition takes
/// for its epoch too, the vector, the answer, for how many milliseconds, and how many answers and
/// bytes there may be.
pub(super) static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local vectors, answers = KEYS[1], KEYS[2]
         local time = redis.call('TIME')
         local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
         local ttl, most = tonumber(ARGV[4]), tonumber(ARGV[5])
         local head = redis.call('HMGET', vectors, 'epoch', 'first', 'last', 'bytes')
         local epoch, first = head[1], tonumber(head[2] or '')
         local last, bytes = tonumber(head[3] or ''), tonumber(head[4] or '')
         if not (epoch and first and last and bytes) or last - first >= most then
             redis.call('DEL', vectors, answers)
             epoch, first, last, bytes = ARGV[1], 1, 0, 0
         end
         local size = #ARGV[2] + #ARGV[3]
         last, bytes = last + 1, bytes + size
         while first < last do
             local till, taken, name
             local old = redis.call('HGET', vectors, first)
             if old then till, taken, name = string.match(old, '^%d+ (%d+) (%d+) (%d+) ') end
             local fits = last - first < most and bytes <= tonumber(ARGV[6])
             if fits and till and tonumber(till) > now then break end
             bytes = bytes - tonumber(taken or 0)
             redis.call('HDEL', vectors, first)
             if name then redis.call('HDEL', answers, name) end
             first = first + 1
         end
         local item = string.format('%.0f %.0f %.0f ', now, now + ttl, size)
         item = item .. ARGV[1] .. ' ' .. ARGV[2]
         redis.call('HSET', vectors, 'epoch', epoch, 'first', first, 'last', last,
             'bytes', bytes, last, item)
         redis.call('HSET', answers, ARGV[1], ARGV[3])
         local left = math.max(ttl, redis.call('PTTL', vectors))
         for i = 1, 2 do redis.call('PEXPIRE', KEYS[i], string.format('%.0f', left)) end
         return last",
    )
});

/// Tells what has come to a partition. The arguments are the epoch and the last number that is known,
/// and how many vectors are wanted.
pub(super) static NEWS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local head = redis.call('HMGET', KEYS[1], 'epoch', 'first', 'last')
         local epoch, first, last = head[1], tonumber(head[2] or ''), tonumber(head[3] or '')
         if not (epoch and first and last) then return false end
         local from = first
         if epoch == ARGV[1] then from = math.max(first, tonumber(ARGV[2]) + 1) end
         local to = math.min(last, from + tonumber(ARGV[3]) - 1)
         local numbers, vectors = {}, {}
         for number = from, to do numbers[#numbers + 1] = number end
         if #numbers > 0 then vectors = redis.call('HMGET', KEYS[1], unpack(numbers)) end
         local time = redis.call('TIME')
         local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
         return {epoch, first, last, from, now, vectors}",
    )
});

/// Tells an answer. The arguments are its name, and how long it may be.
pub(super) static ANSWER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HSTRLEN', KEYS[1], ARGV[1]) > tonumber(ARGV[2]) then return false end
         return redis.call('HGET', KEYS[1], ARGV[1])",
    )
});
