-- no transaction
-- Indexes for what would read ever more as tables grow. CONCURRENTLY takes SHARE UPDATE EXCLUSIVE: reads and writes go on
-- meanwhile. What an interrupted attempt has left behind is dropped first (ACCESS EXCLUSIVE, for a moment).

do $$
declare
    left_over regclass;
begin
    for left_over in
        select indexrelid from pg_index join pg_class on pg_class.oid = indexrelid
        where not indisvalid and relnamespace = current_schema()::regnamespace
          and relname in ('idx_device_link_codes_pending', 'idx_standalone_chat_messages_chat_created',
                          'idx_chat_messages_insight_user_created_id', 'idx_users_pro')
    loop
        execute format('drop index %s', left_over);
    end loop;
end
$$;

-- Each minute those are looked for whose time has passed; all others have been settled long ago.
create index concurrently if not exists idx_device_link_codes_pending
    on device_link_codes (expires_at) where status = 'pending';

-- A long conversation is read in pages, each from where the one before ended: in the very order, or each page would read
-- and sort all of it.
create index concurrently if not exists idx_chat_messages_insight_user_created_id
    on chat_messages (insight_id, user_id, created_at, id);
create index concurrently if not exists idx_standalone_chat_messages_chat_created
    on standalone_chat_messages (chat_id, created_at, id);

-- Those who pay are listed; they are few among all users.
create index concurrently if not exists idx_users_pro on users (id) where pro_subscription;
