-- Fills an empty, migrated database: `users` of them (at least 1,000), ten links and ten messages each on average, and
-- what belongs to these; everything by formulas of the ids, so that each run makes the same.
--   psql -v users=100000 -f population.sql
--
-- Skew as in life: user 1 is heavy (3,000 links of each kind, 500 conversations, 3,000 messages in one), the passages
-- that everybody knows are insights 1 to 20, which all users have linked and talked about, and one reference was saved
-- hundreds of times. What one user has does not depend on how many there are; so a statement for user 1, or for user 500,
-- who is like most, meets the same rows at any size of the database.
\set ON_ERROR_STOP on
\set heavy 3000
\set known 20

begin;
set local synchronous_commit = off;
set local session_replication_role = replica; -- foreign keys hold by construction; checking each takes minutes
set local work_mem = '64MB';

insert into users (id, anonymous_id, created_at, device_count, pro_subscription)
select id, format('00000000-0000-4000-8000-%s', lpad(id::text, 12, '0')),
       now() - (:users - id + 1) * interval '1 minute', 1 + (id % 10 < 3)::int, id % 50 = 0
  from generate_series(1, :users) as id;

insert into merged_users (anonymous_id, user_id)
select format('00000000-0000-4000-9000-%s', lpad(id::text, 12, '0')), 2 * id
  from generate_series(1, :users / 2) as id;

-- ---- texts ----

insert into saved_insights (id, passage_reference, passage_text, historical_context, theological_significance,
                            practical_application, created_at)
select id, format('Genesis %s:%s', 1 + id / 60, 1 + id % 60), id || repeat(' and there was light', 15),
       id || repeat(' written in the evening', 20), id || repeat(' of one who speaks', 22),
       id || repeat(' and of him who hears', 20), now() - id * interval '1 minute'
  from generate_series(1, 3500 + :users / 2) as id;

insert into saved_definitions (id, word, passage_reference, verse_text, definition, biblical_usage, original_language,
                               created_at)
select id, format('word%s', id % 2000), format('Genesis %s:%s', 1 + id / 60, 1 + id % 60),
       id || repeat(' and there was light', 6), id || repeat(' what is seen', 10), id || repeat(' as is said', 10),
       id || repeat(' or', 10), now() - id * interval '1 minute'
  from generate_series(1, 3500 + :users / 4) as id;

-- Every tenth user has imported one of each, which only he has linked.
insert into saved_insights (id, passage_reference, passage_text, historical_context, theological_significance,
                            practical_application, imported_by)
select 3500 + :users / 2 + u / 10, 'John 3:16', u || ' imported', 'then', 'what', 'how', u
  from generate_series(10, :users, 10) as u;
insert into user_insights (user_id, insight_id) select imported_by, id from saved_insights where imported_by is not null;

insert into saved_definitions (id, word, passage_reference, verse_text, definition, biblical_usage, original_language,
                               imported_by)
select 3500 + :users / 4 + u / 10, 'world', 'John 3:16', u || ' imported', 'what', 'where', 'how', u
  from generate_series(10, :users, 10) as u;
insert into user_definitions (user_id, definition_id)
select imported_by, id from saved_definitions where imported_by is not null;

-- ---- links: the first is to what everybody knows ----

insert into user_insights (user_id, insight_id, created_at)
select u, case when k = 0 then 1 + u % :known
               else :known + 2 + ((u * 7919::bigint + k * 104729::bigint) % (3479 + :users / 2))::int end,
       now() - (u % 1000 + k * 37) * interval '1 minute'
  from generate_series(1, :users) as u,
       lateral generate_series(0, case when u = 1 then :heavy else 3 + u % 7 end) as k;

insert into user_definitions (user_id, definition_id, created_at)
select u, case when k = 0 then 1 + u % :known
               else :known + 2 + ((u * 7919::bigint + k * 104729::bigint) % (3479 + :users / 4))::int end,
       now() - (u % 1000 + k * 37) * interval '1 minute'
  from generate_series(1, :users) as u,
       lateral generate_series(0, case when u = 1 then :heavy else 1 + u % 3 end) as k;

insert into user_insights (user_id, insight_id) select u, 21 from generate_series(101, 110) as u;
insert into user_definitions (user_id, definition_id) select u, 21 from generate_series(101, 110) as u;

-- ---- messages ----

insert into chat_messages (insight_id, user_id, role, content, created_at)
select 1 + u % :known, u, case when k % 2 = 1 then 'user' else 'assistant' end,
       format('%s.%s', u, k) || repeat(' what does it mean', 3), now() - ((:heavy - k + 1) / 2) * interval '1 minute'
  from generate_series(1, :users) as u,
       lateral generate_series(1, case when u = 1 then :heavy else 2 * (1 + u % 3) end) as k;

insert into insight_chat_summaries (user_id, insight_id, summary_text, message_count)
select u, 1 + u % :known, repeat('what was said ', 5), 4 from generate_series(1, :users, 3) as u;

insert into standalone_chats (user_id, title, passage_reference, passage_text, created_at, updated_at)
select u, format('What does %s.%s mean?', u, k), 'John 3:16', repeat('For God so loved the world. ', 3),
       now() - (k + 1) * interval '1 hour', now() - k * interval '1 hour'
  from generate_series(1, :users) as u,
       lateral generate_series(1, case when u = 1 then 500 else 1 + u % 2 end) as k;

insert into standalone_chat_messages (chat_id, role, content, created_at)
select id, case when k % 2 = 1 then 'user' else 'assistant' end,
       format('%s.%s', id, k) || repeat(' what does it mean', 3), now() - ((:heavy - k + 1) / 2) * interval '1 minute'
  from standalone_chats,
       lateral generate_series(1, case when id = 1 then :heavy else 4 end) as k;

insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)
select 'standalone', id, repeat('what was said ', 5), 4 from standalone_chats where id % 3 = 1;

-- ---- devices, and what else a user leaves ----

insert into user_devices (user_id, device_name, device_type, user_agent, created_at, last_active)
select u, format('device %s', k), 'desktop', format('Mozilla/5.0 (device %s of a reader)', k),
       now() - u * interval '1 minute', now() - (u % 1000 + k) * interval '1 minute'
  from generate_series(1, :users) as u,
       lateral generate_series(1, case when u = 1 then 20 else 1 + (u % 10 < 3)::int end) as k;

-- Three of four belong to the past; user 1 has two that wait.
insert into device_link_codes (code, display_code, source_user_id, source_device_id, target_user_id, target_device_id,
                               created_at, expires_at, used_at, status)
select encode(sha256(id::text::bytea), 'hex'), format('CODE-%s', id), 1 + id % (:users - 1), 20 + id % (:users - 1),
       case when id % 4 = 0 then 2 + id % (:users - 2) end, case when id % 4 = 0 then 30 + id % (:users - 2) end,
       now() - id * interval '1 minute',
       case when id % (:users / 10) = 0 then now() + interval '5 minutes' else now() - id * interval '1 minute' end,
       case when id % 4 = 0 then now() - id * interval '1 minute' end,
       case when id % (:users / 10) = 0 then 'pending' when id % 4 = 0 then 'used' when id % 4 = 1 then 'revoked'
            else 'expired' end
  from generate_series(1, :users / 2) as id;

insert into usage_tracking (user_id, date, llm_calls)
select u, date_trunc('day', now(), 'UTC') - day * interval '1 day', (u + day) % 10
  from generate_series(1, :users) as u, lateral generate_series(0, 1 + u % 3) as day;

-- Windows that are open for as long as tests run, and some that have been over for a while.
insert into rate_windows (who, method, began, calls)
select 'u' || u, 'generate_insight',
       date_trunc('minute', now()) + case when u % (:users / 100) = 1 then interval '-5 minutes' else interval '1 hour' end,
       1 + u % 10
  from generate_series(1, :users) as u;

insert into saved_passages (reference, book, chapter, verse_start, translation, text)
select case when id <= 200 then 'John 3:16' else format('Genesis %s:%s', id / 60, 1 + id / 2 % 30) end,
       'Genesis', id / 60, 1 + id / 2 % 30, 'WEB', id || repeat(' and there was light', 5)
  from generate_series(1, 5000 + :users / 2) as id;

-- ---- two translations: as many verses at any size ----

insert into bible_translations (id, code, name, requires_pro, source)
values (1, 'WEB', 'World English Bible', false, 'test'), (2, 'KJV', 'King James Version', false, 'test');

insert into bible_chapters (translation_id, book, chapter, content)
select translation, book, chapter,
       (select jsonb_agg(jsonb_build_object('type', 'verse', 'number', verse, 'content',
                                            jsonb_build_array(verse || repeat(' and there was light', 5))))
          from generate_series(1, 26) as verse)
  from generate_series(1, 2) as translation, generate_series(1, 66) as book, generate_series(1, 18) as chapter;

insert into bible_verses (translation_id, book, chapter, verse, text)
select translation, book, chapter, verse, verse || repeat(' and there was light', 5)
  from generate_series(1, 2) as translation, generate_series(1, 66) as book, generate_series(1, 18) as chapter,
       generate_series(1, 26) as verse;

-- Nothing is cleaned but when a test says so: what is touched would depend on when it happens.
do $$
declare
    name regclass;
begin
    for name in select oid from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace loop
        execute format('alter table %s set (autovacuum_enabled = false, toast.autovacuum_enabled = false)', name);
    end loop;
end
$$;

-- Ids that were given here are taken.
select setval(pg_get_serial_sequence(name, 'id'), :users + 10000)
  from unnest('{users,saved_insights,saved_definitions,bible_translations}'::text[]) as name;
commit;
vacuum analyze;
