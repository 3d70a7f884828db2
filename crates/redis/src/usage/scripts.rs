//! What a server does with rows.

use std::sync::LazyLock;

use crate::Script;

/// Writes rows, and an instance as known if it is their last. The keys are that of the instances and
/// those of minutes; the arguments are the instance, for how many seconds all is kept, how many rows
/// of a minute and how many instances are, whether it is the last, and for each row the place of its
/// key, its name and itself.
pub(super) static PUSH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kept, most = tonumber(ARGV[2]), tonumber(ARGV[3])
         local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
         local sizes, left = {}, 0
         for at = 6, #ARGV, 3 do
             local key = KEYS[tonumber(ARGV[at])]
             local size = sizes[key] or redis.call('HLEN', key)
             if size < most or redis.call('HEXISTS', key, ARGV[at + 1]) == 1 then
                 size = size + redis.call('HSET', key, ARGV[at + 1], ARGV[at + 2])
             else
                 left = left + 1
             end
             sizes[key] = size
         end
         for at = 2, #KEYS do redis.call('EXPIRE', KEYS[at], kept) end
         if ARGV[5] == '1' then
             local now = tonumber(redis.call('TIME')[1])
             redis.call('ZADD', KEYS[1], now, ARGV[1])
             redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - kept)
             redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
             redis.call('EXPIRE', KEYS[1], kept)
         end
         return {known and 1 or 0, left}",
    )
});

/// Reads minutes, each whole, one at least and no more than have about so many rows. The keys are those
/// of minutes; the arguments are that number, how long a row may be, and what the names of the
/// instance begin with that is left out, which may be nothing. Says how many minutes it has read.
pub(super) static FETCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local most, longest, but = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
         local rows, seen = {}, 0
         for at = 1, #KEYS do
             seen = seen + redis.call('HLEN', KEYS[at])
             if at > 1 and seen > most then return {at - 1, rows} end
             local all = redis.call('HGETALL', KEYS[at])
             for i = 1, #all, 2 do
                 local mine = #but > 0 and string.sub(all[i], 1, #but) == but
                 if not mine and #all[i + 1] <= longest then rows[#rows + 1] = all[i + 1] end
             end
         end
         return {#KEYS, rows}",
    )
});
