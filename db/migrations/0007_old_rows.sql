-- no transaction
-- What rows of the service before may hold and nothing here expects, mended by a procedure that may be called at any
-- time: `call mend_old_rows()`. Once here, and again when that service has gone on writing after this migration.
--
--   times that are null    The columns allow it. Lists go from row to row by (time, id), and a null is behind no row:
--                          what it stands in would be in no list at all. It becomes the time of the row before it,
--                          because ids grow with time, so that a conversation keeps its order.
--   flags that are null    Where the column allows it: as its default.
--   users.device_count     Drifted. A change of devices sets it anew, but clients read it, and a user who changes none
--                          would be told a wrong number for ever.
--
-- A thousand rows a transaction: ROW EXCLUSIVE on the table, and only rows that change are locked, for milliseconds. What
-- is in order costs one scan (ACCESS SHARE). Being interrupted loses one batch, and another call does what is left.

-- Runs a statement for each thousand rows of a table: $1 < key <= $2 are theirs.
create or replace procedure run_in_batches(of_table text, key text, statement text) language plpgsql as $$
declare
    low integer := -2147483648;
    high integer;
begin
    loop
        execute format('select max(%1$I) from (select %1$I from %2$I where %1$I > $1 order by 1 limit 1000) as batch',
                       key, of_table) into high using low;
        exit when high is null;
        execute statement using low, high;
        perform set_config('synchronous_commit', 'off', true); -- a batch that a crash undoes is done again
        commit;
        low := high;
    end loop;
end
$$;

-- Where a column is null anywhere: fills it, a batch at a time.
create or replace procedure fill_nulls(of_table text, key text, of_column text, value text) language plpgsql as $$
declare
    is_needed boolean;
begin
    execute format('select exists (select from %I where %I is null)', of_table, of_column) into is_needed;
    if is_needed then
        call run_in_batches(of_table, key, format(
            'update %1$I as own set %2$I = %3$s where %4$I > $1 and %4$I <= $2 and %2$I is null',
            of_table, of_column, value, key));
    end if;
end
$$;

-- The same for a time: that of the row before it in the batch, else of the last one before the batch, else the first of all.
create or replace procedure fill_times(of_table text) language plpgsql as $$
declare
    is_needed boolean;
begin
    execute format('select exists (select from %I where created_at is null)', of_table) into is_needed;
    if is_needed then
        call run_in_batches(of_table, 'id', format($batch$
            update %1$I as own
               set created_at = coalesce(before,
                       (select created_at from %1$I where id <= $1 and created_at is not null order by id desc limit 1),
                       (select created_at from %1$I where created_at is not null order by id limit 1), now())
              from (select id, first_value(created_at) over (partition by run order by id) as before
                      from (select id, created_at, count(created_at) over (order by id) as run
                              from %1$I where id > $1 and id <= $2) as numbered) as times
             where own.id = times.id and own.created_at is null
        $batch$, of_table));
    end if;
end
$$;

-- The users are locked before their devices are counted, so that a change of devices meanwhile is not overwritten.
create or replace procedure count_devices() language plpgsql as $$
declare
    low integer := -2147483648;
    high integer;
begin
    loop
        select max(id) into high from (select id from users where id > low order by id limit 1000) as batch;
        exit when high is null;
        perform from users
          where id > low and id <= high
            and device_count is distinct from greatest(1, (select count(*) from user_devices where user_id = users.id))
          order by id for no key update;
        if found then
            update users set device_count = greatest(1, (select count(*) from user_devices where user_id = users.id))
             where id > low and id <= high
               and device_count is distinct from greatest(1, (select count(*) from user_devices where user_id = users.id));
        end if;
        commit;
        low := high;
    end loop;
end
$$;

create or replace procedure mend_old_rows() language plpgsql as $$
begin
    call fill_times('users');
    call fill_times('saved_passages');
    call fill_times('saved_insights');
    call fill_times('saved_definitions');
    call fill_times('chat_messages');
    call fill_times('standalone_chats');
    call fill_times('standalone_chat_messages');
    call fill_times('conversation_summaries');
    call fill_times('user_devices');
    call fill_times('device_link_codes');
    call fill_times('usage_tracking');
    call fill_nulls('user_insights', 'user_id', 'created_at',
                    '(select created_at from saved_insights where id = own.insight_id)');
    call fill_nulls('user_definitions', 'user_id', 'created_at',
                    '(select created_at from saved_definitions where id = own.definition_id)');
    call fill_nulls('standalone_chats', 'id', 'updated_at', 'created_at');
    call fill_nulls('conversation_summaries', 'id', 'updated_at', 'created_at');
    call fill_nulls('user_devices', 'id', 'last_active', 'created_at');
    call fill_nulls('usage_tracking', 'id', 'updated_at', 'created_at');
    call fill_nulls('chat_messages', 'id', 'was_truncated', 'false');
    call fill_nulls('standalone_chat_messages', 'id', 'was_truncated', 'false');
    call fill_nulls('users', 'id', 'pro_subscription', 'false');
    call fill_nulls('usage_tracking', 'id', 'llm_calls', '0');
    call count_devices();
end
$$;

call mend_old_rows();
