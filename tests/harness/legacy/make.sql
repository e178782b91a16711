-- A database as the service before Lectern left it: its tables at one of its two markers, and years of rows.
-- For psql, with the variables
--   marker     d0d22a6e1dc8 or a3f7c2e9
--   messages   how many chat messages; all else grows with it
--   text_keys  on, or off: somebody has dropped the two keys and the index over whole texts, and stored long ones since
-- As that service made them: defaults of numbers and flags are its own, not the table's; `anonymous_id` is unique by an
-- index; each key has a second index (ix_*_id); one flag may be null; there is no pgvector. Rows are made by sets and
-- before indexes and keys, so that a million messages take less than a minute.
\set ON_ERROR_STOP on
set client_min_messages = warning;
select :messages / 100 + 40 as users, :messages / 50 + 120 as insights, :messages / 40 + 20 as chats \gset
select :'marker' = 'a3f7c2e9' as is_latest \gset
begin;

create table users (id serial primary key, anonymous_id varchar(36) not null, created_at timestamptz default now(),
    device_count integer not null, pro_subscription boolean not null);
create table saved_passages (id serial primary key, reference varchar(100) not null, book varchar(50) not null,
    chapter integer not null, verse_start integer not null, verse_end integer, translation varchar(10) not null,
    text text not null, created_at timestamptz default now(), updated_at timestamptz);
create table saved_insights (id serial primary key, passage_reference varchar(100) not null, passage_text text not null,
    historical_context text not null, theological_significance text not null, practical_application text not null,
    created_at timestamptz default now());
create table user_insights (user_id integer not null, insight_id integer not null, created_at timestamptz default now(),
    primary key (user_id, insight_id));
create table saved_definitions (id serial primary key, word varchar(100) not null, passage_reference varchar(100) not null,
    verse_text text not null, definition text not null, biblical_usage text not null, original_language text not null,
    created_at timestamptz default now());
create table user_definitions (user_id integer not null, definition_id integer not null,
    created_at timestamptz default now(), primary key (user_id, definition_id));
create table chat_messages (id serial primary key, insight_id integer not null, user_id integer not null,
    role varchar(20) not null, content text not null, was_truncated boolean not null default false,
    created_at timestamptz default now());
create table standalone_chats (id serial primary key, user_id integer not null, title varchar(200),
    passage_reference varchar(100), passage_text text, created_at timestamptz default now(),
    updated_at timestamptz default now());
create table standalone_chat_messages (id serial primary key, chat_id integer not null, role varchar(20) not null,
    content text not null, was_truncated boolean, created_at timestamptz default now());
create table conversation_summaries (id serial primary key, conversation_type varchar(20) not null,
    conversation_id integer not null, summary_text text not null, message_count integer not null,
    created_at timestamptz default now(), updated_at timestamptz default now());
create table user_devices (id serial primary key, user_id integer not null, device_name varchar(100),
    device_type varchar(20), user_agent text, created_at timestamptz default now(), last_active timestamptz default now());
create table device_link_codes (id serial primary key, code varchar(64) not null, display_code varchar(20) not null,
    source_user_id integer not null, source_device_id integer, target_user_id integer, target_device_id integer,
    created_at timestamptz default now(), expires_at timestamptz not null, used_at timestamptz, status varchar(20) not null);
create table usage_tracking (id serial primary key, user_id integer not null, date timestamptz not null,
    llm_calls integer not null, created_at timestamptz default now(), updated_at timestamptz default now());
create table alembic_version (version_num varchar(32) not null, constraint alembic_version_pkc primary key (version_num));
insert into alembic_version values (:'marker');
\if :is_latest
alter table conversation_summaries add column last_message_id integer;
\endif

-- 60,000 characters that do not compress, and 60,000 that do: those fit into an index.
create function pg_temp.digits(seed integer) returns text language sql as
    $$ select string_agg(md5(seed || '.' || n), '') from generate_series(1, 1875) as n $$;
create function pg_temp.verses() returns text language sql as
    $$ select left(repeat('In the beginning God created the heaven and the earth. ', 1100), 60000) $$;
-- Every tenth user went: he was merged into the one before him, who got what he had. Nothing remembers it.
create function pg_temp.kept(number bigint) returns integer language sql immutable as
    $$ select (case when number % 10 = 0 then number - 1 else number end)::integer $$;
create function pg_temp.ago(number bigint, out_of bigint) returns timestamptz language sql stable as
    $$ select now() - interval '900 days' * (1 - number::float / out_of) - interval '1 minute' $$;

-- Device counts that drifted, also to none.
insert into users select n, md5(n::text)::uuid, pg_temp.ago(n, :users), n * 7 % 5, n % 9 = 0
    from generate_series(1, :users) as n where n % 10 <> 0;
insert into saved_passages (reference, book, chapter, verse_start, translation, text)
    select 'John ' || n, 'John', n, 1, 'WEB', 'text ' || n from generate_series(1, 21) as n;
insert into saved_insights
    select n, 'Genesis ' || n, case when n % 100 = 0 then n || pg_temp.verses() else 'the text of ' || n end,
           case when n % 500 = 0 then pg_temp.digits(n) else 'history ' || n end, 'theology ' || n, 'practice ' || n,
           pg_temp.ago(n, :insights)
    from generate_series(1, :insights) as n;
insert into saved_definitions
    select n, 'word' || n % 50, 'Genesis ' || n, case when n % 100 = 0 then n || pg_temp.verses() else 'verse ' || n end,
           'definition ' || n, 'usage ' || n, 'language ' || n, pg_temp.ago(n, :insights)
    from generate_series(1, :insights) as n;
insert into user_insights
    select distinct on (1, 2) pg_temp.kept(n % :users + 1), (n * 31 % :insights + 1)::integer,
           case when n % 97 <> 0 then pg_temp.ago(n, :messages / 10) end
    from generate_series(1, :messages / 10) as n;
insert into user_definitions
    select distinct on (1, 2) pg_temp.kept(n % :users + 1), (n * 31 % :insights + 1)::integer,
           case when n % 97 <> 0 then pg_temp.ago(n, :messages / 20) end
    from generate_series(1, :messages / 20) as n;
-- Pairs of a question and an answer, stored at one time; the times of some are lost.
insert into chat_messages (id, insight_id, user_id, role, content, was_truncated, created_at)
    select n, (n / 2 % :insights + 1)::integer, pg_temp.kept(n / 2 * 17 % :users + 1),
           case when n % 2 = 0 then 'user' else 'assistant' end,
           case when n % 5000 = 1 then pg_temp.digits(n::integer) else 'what was said as message ' || n end, n % 31 = 0,
           case when n % 1000 not between 500 and 503 then pg_temp.ago(n / 2 * 2, :messages) end
    from generate_series(1, :messages) as n;
insert into standalone_chats
    select n, pg_temp.kept(n * 13 % :users + 1), nullif('about ' || n, 'about 7'), null, null,
           case when n % 89 <> 0 then pg_temp.ago(n, :chats) end, case when n % 83 <> 0 then pg_temp.ago(n, :chats) end
    from generate_series(1, :chats) as n;
insert into standalone_chat_messages
    select n, (n / 2 % :chats + 1)::integer, case when n % 2 = 0 then 'user' else 'assistant' end, 'alone ' || n,
           case when n % 3 <> 0 then n % 31 = 0 end, case when n % 1000 <> 500 then pg_temp.ago(n / 2 * 2, :messages) end
    from generate_series(1, :messages / 5) as n;
insert into conversation_summaries (conversation_type, conversation_id, summary_text, message_count)
    select kind, n, 'summary of ' || n, 20 from generate_series(1, :chats / 10) as n, unnest('{insight,standalone}'::text[]) as kind;
-- One browser made a device at each merge: three of the same.
insert into user_devices (user_id, device_name, device_type, user_agent, created_at, last_active)
    select users.id, 'Browser', 'desktop', 'Mozilla/5.0', pg_temp.ago(n, 3), case when users.id % 71 <> 0 then pg_temp.ago(n, 3) end
    from users, generate_series(1, case when users.id % 10 = 9 then 3 when users.id % 4 = 0 then 0 else 1 end) as n;
insert into device_link_codes (code, display_code, source_user_id, source_device_id, target_user_id, created_at, expires_at, used_at, status)
    select encode(sha256(users.id::text::bytea), 'hex'), 'CODE-' || users.id, users.id,
           (select min(id) from user_devices where user_id = users.id), case when users.id % 10 <> 9 then users.id end,
           users.created_at, users.created_at + interval '5 minutes', users.created_at, 'used'
    from users where users.id % 3 = 0;
insert into usage_tracking (user_id, date, llm_calls)
    select id, date_trunc('day', now(), 'UTC') - interval '1 day' * past, id % 12 from users, generate_series(0, 1) as past;

\o /dev/null
select format('select setval(%L, max(id) + 1) from %I', name || '_id_seq', name)
    from unnest('{users,saved_passages,saved_insights,saved_definitions,chat_messages,standalone_chats}'::text[]
                || '{standalone_chat_messages,conversation_summaries,user_devices,device_link_codes}'::text[]
                || '{usage_tracking}'::text[]) as name \gexec
\o

create unique index ix_users_anonymous_id on users (anonymous_id);
create index ix_users_id on users (id);
create index ix_saved_passages_reference on saved_passages (reference);
create index ix_saved_insights_id on saved_insights (id);
create index ix_chat_messages_id on chat_messages (id);
create index idx_user_insights_user_created on user_insights (user_id, created_at);
create index idx_user_definitions_user_created on user_definitions (user_id, created_at);
create index idx_user_created on chat_messages (user_id, created_at);
create index idx_insight_user_created on chat_messages (insight_id, user_id, created_at);
create index idx_user_updated on standalone_chats (user_id, updated_at);
create index ix_standalone_chat_messages_chat_id on standalone_chat_messages (chat_id);
create index idx_user_devices_user_active on user_devices (user_id, last_active);
create unique index ix_device_link_codes_code on device_link_codes (code);
create unique index ix_device_link_codes_display_code on device_link_codes (display_code);
alter table conversation_summaries add constraint uix_conversation unique (conversation_type, conversation_id);
alter table usage_tracking add constraint uix_user_date unique (user_id, date);
\if :text_keys
alter table saved_insights add constraint uix_passage_reference_text unique (passage_reference, passage_text);
create index idx_passage_text on saved_insights (passage_text);
alter table saved_definitions add constraint uix_word_reference_verse unique (word, passage_reference, verse_text);
\else
update saved_insights set passage_text = pg_temp.digits(id) where id % 100 = 0;
update saved_definitions set verse_text = pg_temp.digits(id) where id % 100 = 0;
\endif

alter table user_insights add foreign key (user_id) references users (id) on delete cascade,
    add foreign key (insight_id) references saved_insights (id) on delete cascade;
alter table user_definitions add foreign key (user_id) references users (id) on delete cascade,
    add foreign key (definition_id) references saved_definitions (id) on delete cascade;
alter table chat_messages add foreign key (insight_id) references saved_insights (id) on delete cascade,
    add foreign key (user_id) references users (id) on delete cascade;
alter table standalone_chats add foreign key (user_id) references users (id) on delete cascade;
alter table standalone_chat_messages add foreign key (chat_id) references standalone_chats (id) on delete cascade;
alter table user_devices add foreign key (user_id) references users (id) on delete cascade;
alter table device_link_codes add foreign key (source_user_id) references users (id) on delete cascade,
    add foreign key (source_device_id) references user_devices (id) on delete cascade,
    add foreign key (target_user_id) references users (id) on delete set null,
    add foreign key (target_device_id) references user_devices (id) on delete set null;
alter table usage_tracking add foreign key (user_id) references users (id) on delete cascade;
commit;
analyze;
